/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Changes of files for people and programs
 *
 * One line a change: when, what, where, and for those who are told it by whose
 * process. Names become paths below the argument they belong to. With JSON
 * one object a line.
 */

#include <stdint.h>

#include "daemon/core/change.h"
#include "daemon/ctl/feed.h"

/** watch_print_change() - @root: what is watched, as the user gave it, bytes; @seq: of that watch */
void watch_print_change(const char *root, uint64_t seq, const struct change *change,
			const struct feed_style *style);

/** watch_print_lost() - @count 0: not known; @under: n 0: all of it */
void watch_print_lost(const char *root, uint64_t count, const char *under, size_t n_under,
		      const struct feed_style *style);
