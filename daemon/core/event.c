/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"
#include "daemon/names.h"

static const struct {
	const char *name;
	enum event_severity severity;
} event_codes[_EVENT_CODE_N] = {
	[EVENT_ENOSPC] = { "enospc", SEVERITY_CRITICAL },
	[EVENT_ENOSPC_METADATA] = { "enospc-metadata", SEVERITY_CRITICAL },
	[EVENT_ENOSPC_INODES] = { "enospc-inodes", SEVERITY_WARNING },
	[EVENT_THRESHOLD_BELOW] = { "threshold-below", SEVERITY_WARNING },
	[EVENT_THRESHOLD_ABOVE] = { "threshold-above", SEVERITY_NOTICE },
	[EVENT_READ_ONLY] = { "read-only", SEVERITY_CRITICAL },
	[EVENT_READ_WRITE] = { "read-write", SEVERITY_NOTICE },
	[EVENT_CORRUPTED] = { "corrupted", SEVERITY_CRITICAL },
	[EVENT_IO_ERROR] = { "io-error", SEVERITY_CRITICAL },
	[EVENT_WRITEBACK_ERROR] = { "writeback-error", SEVERITY_CRITICAL },
	[EVENT_SHUTDOWN] = { "shutdown", SEVERITY_CRITICAL },
	[EVENT_FROZEN] = { "frozen", SEVERITY_NOTICE },
	[EVENT_THAWED] = { "thawed", SEVERITY_INFO },
	[EVENT_MOUNTED] = { "mounted", SEVERITY_INFO },
	[EVENT_UNMOUNTED] = { "unmounted", SEVERITY_INFO },
	[EVENT_STALLED] = { "stalled", SEVERITY_WARNING },
	[EVENT_RESPONDING] = { "responding", SEVERITY_NOTICE },
};

static const char *const severity_names[_SEVERITY_N] = {
	[SEVERITY_INFO] = "info",
	[SEVERITY_NOTICE] = "notice",
	[SEVERITY_WARNING] = "warning",
	[SEVERITY_CRITICAL] = "critical",
};

void event_deinit(struct event *event)
{
	assert(event);

	details_deinit(&event->details);
	*event = (struct event){};
}

int event_copy(struct event *ret, const struct event *event, bool private)
{
	struct details details = {};
	int r;

	assert(ret);
	assert(event);

	r = details_append(&details, event->details.data, event->details.n_data, private);
	if (r < 0)
		return r;

	*ret = *event;
	ret->details = details;
	return 0;
}

uint64_t event_count(const struct event *event)
{
	struct detail detail;
	uint64_t count = 1;

	assert(event);

	if (!details_find(&event->details, "count", &detail))
		return 1;
	if (detail.type == DETAIL_U64)
		count = detail_u64(&detail);
	else if (detail.type == DETAIL_U32)
		count = detail_u32(&detail);
	return count > 0 ? count : 1;
}

const char *event_code_name(enum event_code code)
{
	assert((unsigned int)code < _EVENT_CODE_N);

	return event_codes[code].name;
}

int event_code_from_name(const char *name, enum event_code *ret)
{
	assert(name);
	assert(ret);

	for (unsigned int i = 0; i < _EVENT_CODE_N; i++) {
		if (strcmp(event_codes[i].name, name) != 0)
			continue;
		*ret = (enum event_code)i;
		return 0;
	}

	return -EINVAL;
}

enum event_severity event_code_severity(enum event_code code)
{
	assert((unsigned int)code < _EVENT_CODE_N);

	return event_codes[code].severity;
}

const char *event_severity_name(enum event_severity severity)
{
	assert((unsigned int)severity < _SEVERITY_N);

	return severity_names[severity];
}

int event_severity_from_name(const char *name, enum event_severity *ret)
{
	assert(name);
	assert(ret);

	for (unsigned int i = 0; i < _SEVERITY_N; i++) {
		if (strcmp(severity_names[i], name) != 0)
			continue;
		*ret = (enum event_severity)i;
		return 0;
	}

	return -EINVAL;
}

void fs_key_path(const struct fs_key *key, char ret[static FS_PATH_MAX])
{
	assert(key);

	snprintf(ret, FS_PATH_MAX, BUS_PATH_FILESYSTEM "/%" PRIu32 "_%" PRIu32 "_%" PRIu32,
		 key->major, key->minor, key->n);
}

/* Canonical decimal: a path names one object in one way only. */
static int parse_u32(const char **text, uint32_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return -EINVAL;

	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return -EINVAL;
	}

	*text = p;
	*ret = (uint32_t)value;
	return 0;
}

int fs_key_parse(const char *path, struct fs_key *ret)
{
	static const char prefix[] = BUS_PATH_FILESYSTEM "/";
	struct fs_key key = {};
	uint32_t *const numbers[] = { &key.major, &key.minor, &key.n };

	assert(path);
	assert(ret);

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return -EINVAL;

	path += sizeof(prefix) - 1;
	for (unsigned int i = 0; i < 3; i++) {
		if (i > 0 && *path++ != '_')
			return -EINVAL;
		if (parse_u32(&path, numbers[i]) < 0)
			return -EINVAL;
	}

	if (*path != '\0')
		return -EINVAL;

	*ret = key;
	return 0;
}
