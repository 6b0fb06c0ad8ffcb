/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Sections
 *
 * One section of one file while it is read: its header, the keys given so
 * far and their values, and whether a fault was found in it. The table of
 * all keys stands behind it. Which section wins over which is not known here.
 */

#include "daemon/core/config.h"
#include "daemon/core/config-where.h"

enum section_kind {
	SECTION_DAEMON,
	SECTION_LIMITS,
	SECTION_FILESYSTEM,
	SECTION_WATCH,
	SECTION_PROCESS,

	_SECTION_KIND_N,
};

/* Of all sections; the order of the table of keys. */
enum section_key {
	KEY_DAEMON_SOURCES,
	KEY_DAEMON_HISTORY_SIZE,
	KEY_DAEMON_LOG_LEVEL,
	KEY_DAEMON_RE_EVALUATION,
	KEY_LIMITS_WATCHES,
	KEY_LIMITS_GROUPS,
	KEY_LIMITS_RELAYS,
	KEY_LIMITS_STREAMS,
	KEY_LIMITS_QUEUE_BYTES,
	KEY_FILESYSTEM_EVENTS,
	KEY_FILESYSTEM_IGNORE,
	KEY_FILESYSTEM_THRESHOLD,
	KEY_WATCH_EVENTS,
	KEY_WATCH_RECURSIVE,
	KEY_WATCH_LOG_LEVEL,
	KEY_PROCESS_COMMAND,
	KEY_PROCESS_UNIT,
	KEY_PROCESS_USER,
	KEY_PROCESS_FORK_RATE,
	KEY_PROCESS_EXITS,

	_SECTION_KEY_N,
};

/* What [process NAME] says; texts are owned. */
struct section_process {
	char *command, *unit, *user;
	char *user_file; /* where that stands: the name as for messages, escaped */
	unsigned int user_line;
	uint32_t fork_rate;
	enum process_exits exits;
};

struct section {
	enum section_kind kind;
	struct where where; /* of a filesystem */
	char *name; /* of a watch, bytes, or of a process; else NULL */
	char *title; /* "[filesystem /srv]" for messages, escaped */
	bool faulty;
	unsigned int lines[_SECTION_KEY_N]; /* where a key was given first; 0: not given */

	struct config_daemon daemon;
	struct config_limits limits;
	uint32_t events;
	bool ignore;
	struct threshold_spec *thresholds; /* owned; none given and "none" are both 0 */
	size_t n_thresholds;
	struct section_process process;
	struct config_watch watch; /* its path is ->name */
};

/**
 * section_new() - from what stands between [ and ]
 *
 * Return: 0, -EINVAL with @error, or -ENOMEM.
 */
int section_new(struct section **ret, struct span header, struct grammar_error *error);
struct section *section_free(struct section *section);
DEFINE_FREEP(section, section_free)

void section_process_deinit(struct section_process *process);

/** section_is_same() - both are about the same thing */
bool section_is_same(const struct section *a, const struct section *b);

/**
 * section_set() - one line "key = value"
 * @line:	its number, at least 1
 *
 * Return: 0, -EINVAL with @error (the section is not made faulty by it), or
 * -ENOMEM.
 */
int section_set(struct section *section, const char *key, const char *value, unsigned int line,
		struct grammar_error *error);

static inline bool section_has(const struct section *section, enum section_key key)
{
	return section->lines[key] > 0;
}
