/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/config-object.h"

/* What holds for a filesystem that no section speaks of. */
static const char *const builtin_thresholds[] = {
	"low space 10%/10G warning",
	"critical space 3%/2G critical",
	"inodes inodes 5% warning",
};

static void filesystem_deinit(struct config_filesystem *fs)
{
	where_deinit(&fs->where);
	free(fs->thresholds);
	*fs = (struct config_filesystem){};
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;

	for (size_t i = 0; i < config->n_filesystems; i++)
		filesystem_deinit(&config->filesystems[i]);
	free(config->filesystems);
	config_processes_deinit(config);
	config_watches_deinit(config);
	filesystem_deinit(&config->builtin);
	free(config);
	return NULL;
}

const struct config_daemon *config_daemon(const struct config *config)
{
	assert(config);

	return &config->daemon;
}

const struct config_limits *config_limits(const struct config *config)
{
	assert(config);

	return &config->limits;
}

static void merge_daemon(struct config_daemon *daemon, const struct section *section)
{
	if (section_has(section, KEY_DAEMON_SOURCES)) {
		daemon->source_gate = section->daemon.source_gate;
		daemon->source_mount_events = section->daemon.source_mount_events;
		daemon->source_fs_errors = section->daemon.source_fs_errors;
		daemon->source_kmsg = section->daemon.source_kmsg;
		daemon->source_uevents = section->daemon.source_uevents;
		daemon->source_processes = section->daemon.source_processes;
		daemon->source_watches = section->daemon.source_watches;
		daemon->source_module = section->daemon.source_module;
	}
	if (section_has(section, KEY_DAEMON_HISTORY_SIZE))
		daemon->history_size = section->daemon.history_size;
	if (section_has(section, KEY_DAEMON_LOG_LEVEL))
		daemon->log_level = section->daemon.log_level;
	if (section_has(section, KEY_DAEMON_RE_EVALUATION))
		daemon->re_evaluation = section->daemon.re_evaluation;
}

static void merge_limits(struct config_limits *limits, const struct section *section)
{
	if (section_has(section, KEY_LIMITS_WATCHES))
		limits->watches = section->limits.watches;
	if (section_has(section, KEY_LIMITS_GROUPS))
		limits->groups = section->limits.groups;
	if (section_has(section, KEY_LIMITS_RELAYS))
		limits->relays = section->limits.relays;
	if (section_has(section, KEY_LIMITS_STREAMS))
		limits->streams = section->limits.streams;
	if (section_has(section, KEY_LIMITS_QUEUE_BYTES))
		limits->queue_bytes = section->limits.queue_bytes;
}

static void merge_filesystem(struct config_filesystem *fs, struct section *section)
{
	if (section_has(section, KEY_FILESYSTEM_EVENTS)) {
		fs->has_events = true;
		fs->events = section->events;
	}
	if (section_has(section, KEY_FILESYSTEM_IGNORE)) {
		fs->has_ignore = true;
		fs->ignore = section->ignore;
	}
	if (section_has(section, KEY_FILESYSTEM_THRESHOLD)) {
		free(fs->thresholds);
		fs->has_thresholds = true;
		fs->thresholds = TAKE_PTR(section->thresholds);
		fs->n_thresholds = section->n_thresholds;
		section->n_thresholds = 0;
	}
}

/* The place of @where among the sorted; Return: true where it is there already. */
static bool find_place(const struct config *config, const struct where *where, size_t *ret)
{
	size_t low = 0, high = config->n_filesystems;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = where_compare(&config->filesystems[middle].where, where);

		if (order == 0) {
			*ret = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}

	*ret = low;
	return false;
}

static int add_filesystem(struct config *config, struct section *section)
{
	struct config_filesystem *filesystems;
	size_t at;

	if (find_place(config, &section->where, &at)) {
		merge_filesystem(&config->filesystems[at], section);
		return CONFIG_MERGED;
	}
	if (config->n_filesystems >= CONFIG_FILESYSTEMS_MAX)
		return CONFIG_MERGE_FULL;

	filesystems =
		reallocarray(config->filesystems, config->n_filesystems + 1, sizeof(*filesystems));
	if (!filesystems)
		return -ENOMEM;
	memmove(&filesystems[at + 1], &filesystems[at],
		(config->n_filesystems - at) * sizeof(*filesystems));
	filesystems[at] = (struct config_filesystem){ .where = section->where };
	section->where = (struct where){};
	merge_filesystem(&filesystems[at], section);

	config->filesystems = filesystems;
	config->n_filesystems++;
	return CONFIG_MERGED;
}

int config_merge(struct config *config, struct section *section)
{
	assert(config && section && !section->faulty);

	switch (section->kind) {
	case SECTION_DAEMON:
		merge_daemon(&config->daemon, section);
		break;
	case SECTION_LIMITS:
		merge_limits(&config->limits, section);
		break;
	case SECTION_FILESYSTEM:
		return add_filesystem(config, section);
	case SECTION_PROCESS:
		return config_merge_process(config, section);
	case SECTION_WATCH:
		return config_merge_watch(config, section);
	case _SECTION_KIND_N:
		break;
	}

	return CONFIG_MERGED;
}

/* A section of the defaults that the table of keys has for it. */
static int section_new_initial(struct section **ret, const char *name)
{
	_cleanup_(section_freep) struct section *section = NULL;
	struct grammar_error error;
	struct config_key key;
	size_t index = 0;
	int r;

	r = section_new(&section, span_of(name), &error);
	if (r < 0)
		return r;

	while (config_key_next(&index, &key)) {
		if (strncmp(key.section, name, strlen(key.section)) != 0 || !key.initial)
			continue;
		r = section_set(section, key.key, key.initial, 1, &error);
		if (r < 0)
			return r;
	}

	*ret = TAKE_PTR(section);
	return 0;
}

static int merge_initial(struct config *config, const char *name)
{
	_cleanup_(section_freep) struct section *section = NULL;
	int r;

	r = section_new_initial(&section, name);
	if (r < 0)
		return r;

	return config_merge(config, section);
}

static int init_builtin(struct config_filesystem *fs)
{
	_cleanup_(section_freep) struct section *section = NULL;
	struct grammar_error error;
	int r;

	r = section_new_initial(&section, "filesystem *");
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(builtin_thresholds) / sizeof(*builtin_thresholds); i++) {
		r = section_set(section, "threshold", builtin_thresholds[i], 1, &error);
		if (r < 0)
			return r;
	}

	merge_filesystem(fs, section);
	return 0;
}

int config_new(struct config **ret)
{
	_cleanup_(config_freep) struct config *config = NULL;
	int r;

	assert(ret);

	config = calloc(1, sizeof(*config));
	if (!config)
		return -ENOMEM;
	r = merge_initial(config, "daemon");
	if (r == 0)
		r = merge_initial(config, "limits");
	if (r == 0)
		r = init_builtin(&config->builtin);
	/* the texts are our own: one that is refused is a bug */
	assert(r == 0 || r == -ENOMEM);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(config);
	return 0;
}
