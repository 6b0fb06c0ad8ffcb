/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Events
 *
 * What happened, to which filesystem, with which cause: the one currency in
 * which sources, the space engine, the history and all outputs deal. A plain
 * value; it knows nothing of how it came or where it goes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/details.h"

/*
 * The codes, with the severity that each has by itself. Numbers are kept in
 * the state file and given to clients (fsevents_stream.h): new codes are
 * appended, none is ever renumbered.
 *
 *	enospc			critical	nothing more can be written
 *	enospc-metadata		critical	likewise, data blocks may be free
 *	enospc-inodes		warning		no new files; existing ones still grow
 *	threshold-below		warning		unless the threshold has its own
 *	threshold-above		notice		always: good news
 *	read-only		critical	forced by an error; notice where the
 *						administrator did it (set by the source)
 *	read-write		notice
 *	corrupted		critical
 *	io-error		critical
 *	writeback-error		critical	data that was accepted is lost
 *	shutdown		critical
 *	frozen			notice
 *	thawed			info
 *	mounted, unmounted	info
 *	stalled			warning
 *	responding		notice
 */
enum event_code {
	EVENT_ENOSPC,
	EVENT_ENOSPC_METADATA,
	EVENT_ENOSPC_INODES,
	EVENT_THRESHOLD_BELOW,
	EVENT_THRESHOLD_ABOVE,
	EVENT_READ_ONLY,
	EVENT_READ_WRITE,
	EVENT_CORRUPTED,
	EVENT_IO_ERROR,
	EVENT_WRITEBACK_ERROR,
	EVENT_SHUTDOWN,
	EVENT_FROZEN,
	EVENT_THAWED,
	EVENT_MOUNTED,
	EVENT_UNMOUNTED,
	EVENT_STALLED,
	EVENT_RESPONDING,

	_EVENT_CODE_N,
};

#define EVENT_CODES_ALL ((1U << _EVENT_CODE_N) - 1)

/* Ordered: a larger one is worse. */
enum event_severity {
	SEVERITY_INFO,
	SEVERITY_NOTICE,
	SEVERITY_WARNING,
	SEVERITY_CRITICAL,

	_SEVERITY_N,
};

/*
 * Names a superblock while the daemon runs; @n counts from 1 and is never
 * reused. 0: one of an earlier run, which no object stands for any more.
 */
struct fs_key {
	uint32_t major;
	uint32_t minor;
	uint32_t n;
};

struct event {
	uint64_t id; /* given by the history, 0 before */
	uint64_t realtime_us;
	enum event_code code;
	enum event_severity severity;
	struct fs_key fs;
	uint32_t pid; /* whose action led to it, else 0 */
	uint64_t data; /* bytes or inodes for thresholds, else errno or 0 */
	uint32_t cause_uid; /* whose doing it is, for rates (rate.h); 0 where unknown */
	bool user_mount; /* mounted by an ordinary user: never evicts others' events */
	bool test; /* synthetic, by EmitTestEvent */
	struct details details; /* owned; always has where, source and type */
};

void event_deinit(struct event *event);

/**
 * event_copy() - a second event with details of its own
 * @ret:	overwritten, not freed before
 * @private:	with the private details too
 *
 * Return: 0, or -ENOMEM with @ret untouched.
 */
int event_copy(struct event *ret, const struct event *event, bool private);

/** event_count() - how many happenings it stands for by itself: its detail "count", at least 1 */
uint64_t event_count(const struct event *event);

/** event_code_name() - the name on the bus, "threshold-below" */
const char *event_code_name(enum event_code code);

/** event_code_from_name() - Return: 0, or -EINVAL for no such code */
int event_code_from_name(const char *name, enum event_code *ret);

/** event_code_severity() - the severity of a code unless a threshold has its own */
enum event_severity event_code_severity(enum event_code code);

const char *event_severity_name(enum event_severity severity);
int event_severity_from_name(const char *name, enum event_severity *ret);

/* Enough for "/org/fsevents1/filesystem/" and three numbers. */
#define FS_PATH_MAX 64

/** fs_key_path() - the object path of a filesystem */
void fs_key_path(const struct fs_key *key, char ret[static FS_PATH_MAX]);

/** fs_key_parse() - the inverse; Return: 0, or -EINVAL */
int fs_key_parse(const char *path, struct fs_key *ret);

static inline bool fs_key_equal(const struct fs_key *a, const struct fs_key *b)
{
	return a->major == b->major && a->minor == b->minor && a->n == b->n;
}
