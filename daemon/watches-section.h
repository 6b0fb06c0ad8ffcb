/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Sections [watch PATH]
 *
 * Each is a watch of root's by the daemon itself, whose changes become entries of the
 * journal. A section is of a path and not of a file: what the path leads to is
 * looked for again when what was watched was removed, renamed or replaced, when
 * its filesystem went or another one is mounted above it, and, as long as there is nothing,
 * when the mount table has another filesystem there, and at each tick.
 *
 * watches-section.c finds and follows, watches-section-tell.c writes.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/config.h"
#include "daemon/core/entry-rate.h"
#include "daemon/core/watch-entry.h"
#include "daemon/watches-internal.h"

struct section {
	struct watches *watches;
	char *path; /* as configured */
	uint32_t mask; /* FSEVENTS_...: to be told */
	bool recursive;
	enum config_log_level level;

	struct watched *current; /* stands; NULL: none */
	struct watched *next; /* what the path leads to, on the way to be that; NULL: none */
	uint64_t tried; /* generation of the filesystem the last one was looked for on; 0: none */
	unsigned int tries; /* since it was there */
	bool stood; /* there was one, once */
	bool absent; /* that there is none was told */
	bool left; /* the filesystem of the last one is gone */
	bool doubt; /* whether ->current is what the path leads to */
	sd_event_source *check; /* look again */

	struct entry_rate rate;
	sd_event_source *window; /* tell what was left out */
	LIST_ENTRY(section) all;
};

/* watches-section-tell.c */
/** section_tell_present() - it is watched from now on; @back: on another filesystem than before */
void section_tell_present(struct section *section, bool back);
void section_tell_absent(struct section *section, const char *why);
void section_tell_left_out(struct section *section);
