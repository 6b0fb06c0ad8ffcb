/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Records of process groups
 *
 * What a group tells, as records of fsevents_stream.h. Pure; encodes only.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/group.h"

/* Names that are longer are cut; the kernel knows none. */
#define GROUP_RECORD_FILE_MAX 4096

/* Room that always suffices for one record. */
#define GROUP_RECORD_MAX (64 + GROUP_RECORD_FILE_MAX)

/*
 * Written to @ret if they fit into @n_ret bytes.
 * Return: bytes written, a multiple of 8, or 0: no room, nothing was written.
 */
size_t group_record_put_event(void *ret, size_t n_ret, const struct group_event *event,
			      uint64_t seq, uint64_t realtime_us, const char *file);
size_t group_record_put_lost(void *ret, size_t n_ret, uint64_t count); /* 0: not known how many */
size_t group_record_put_empty(void *ret, size_t n_ret, const struct group_totals *totals);
