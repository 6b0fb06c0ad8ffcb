/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "daemon/core/config-object.h"

static bool matches_mount(const char *where, const struct config_match *match)
{
	for (size_t i = 0; i < match->n_where; i++)
		if (strcmp(match->where[i], where) == 0)
			return true;

	return false;
}

static bool matches_device(const struct config_filesystem *fs, const struct config_match *match)
{
	for (size_t i = 0; i < match->n_devices; i++)
		if (fs->device_known && match->devices[i].major == fs->device.major &&
		    match->devices[i].minor == fs->device.minor)
			return true;

	return false;
}

static bool matches(const struct config_filesystem *fs, const struct config_match *match)
{
	const char *text = fs->where.text;

	switch (fs->where.kind) {
	case WHERE_MOUNT:
		return matches_mount(text, match);
	case WHERE_UUID:
		/* vfat's are written in upper case, ext4's in lower case */
		return match->uuid && strcasecmp(match->uuid, text) == 0;
	case WHERE_LABEL:
		return match->label && strcmp(match->label, text) == 0;
	case WHERE_DEVICE:
		return matches_device(fs, match);
	case WHERE_TYPE:
		return match->type && strcmp(match->type, text) == 0;
	case WHERE_ALL:
		return true;
	}

	return false;
}

struct resolution {
	const struct config_filesystem *events, *ignore, *thresholds;
};

static void take_keys(struct resolution *found, const struct config_filesystem *fs,
		      const struct config_match *match)
{
	if (!found->events && fs->has_events)
		found->events = fs;
	if (!found->thresholds && fs->has_thresholds)
		found->thresholds = fs;
	/* * names nothing: it does not bring in what an ordinary user mounted */
	if (!found->ignore && fs->has_ignore &&
	    (fs->ignore || match->is_default || fs->where.kind != WHERE_ALL))
		found->ignore = fs;
}

void config_resolve(const struct config *config, const struct config_match *match,
		    struct config_settings *ret)
{
	struct resolution found = {};

	assert(config && match && ret);

	/* sorted by precedence: the first that has a key gives it */
	for (size_t i = 0; i < config->n_filesystems; i++)
		if (matches(&config->filesystems[i], match))
			take_keys(&found, &config->filesystems[i], match);
	if (!found.events)
		found.events = &config->builtin;
	if (!found.thresholds)
		found.thresholds = &config->builtin;

	memset(ret, 0, sizeof(*ret));
	ret->ignored = found.ignore ? found.ignore->ignore : !match->is_default;
	ret->events = found.events->events;
	ret->n_thresholds = found.thresholds->n_thresholds;
	if (ret->n_thresholds > 0)
		memcpy(ret->thresholds, found.thresholds->thresholds,
		       ret->n_thresholds * sizeof(*ret->thresholds));
}

const char *config_device_next(const struct config *config, size_t *index)
{
	assert(config && index);

	while (*index < config->n_filesystems) {
		const struct config_filesystem *fs = &config->filesystems[(*index)++];

		if (fs->where.kind == WHERE_DEVICE)
			return fs->where.text;
	}

	return NULL;
}

void config_device_set(struct config *config, const char *path, uint32_t major, uint32_t minor)
{
	assert(config && path);

	for (size_t i = 0; i < config->n_filesystems; i++) {
		struct config_filesystem *fs = &config->filesystems[i];

		if (fs->where.kind == WHERE_DEVICE && strcmp(fs->where.text, path) == 0) {
			fs->device = (struct device_number){ major, minor };
			fs->device_known = true;
		}
	}
}

void config_device_forget(struct config *config, const char *path)
{
	assert(config && path);

	for (size_t i = 0; i < config->n_filesystems; i++) {
		struct config_filesystem *fs = &config->filesystems[i];

		if (fs->where.kind == WHERE_DEVICE && strcmp(fs->where.text, path) == 0)
			fs->device_known = false;
	}
}

bool config_needs_identity(const struct config *config)
{
	assert(config);

	for (size_t i = 0; i < config->n_filesystems; i++)
		if (config->filesystems[i].where.kind == WHERE_UUID ||
		    config->filesystems[i].where.kind == WHERE_LABEL)
			return true;

	return false;
}
