/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Exit records by taskstats
 *
 * libnl sets the socket up and resolves the family; it is read by recvmsg(),
 * because libnl cannot tell an overrun from no memory. The socket is no
 * source of the loop: it is read where feed.h says, once a round. Registered for
 * all CPUs only between start and stop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/wire-taskstats.h"

#define TASKSTATS_BUFFER (16U << 20)

struct taskstats_source; /* "struct taskstats" is the kernel's record */

int taskstats_new(struct taskstats_source **ret,
		  uint32_t buffer); /* @buffer 0: TASKSTATS_BUFFER; 0 or -ENOMEM */
/** taskstats_start() - synchronous, the kernel answers at once; Return: 0, -EALREADY, -EPERM, -ENOENT (no such family) ... */
int taskstats_start(struct taskstats_source *taskstats);
void taskstats_stop(struct taskstats_source *taskstats);
bool taskstats_is_started(const struct taskstats_source *taskstats);
struct taskstats_source *taskstats_free(struct taskstats_source *taskstats);
DEFINE_FREEP(taskstats_source, taskstats_free)

/**
 * taskstats_read() - what is there, without waiting
 * @ret_lost:	set to true where the socket overran since the last call; else untouched
 *
 * Return: records, at most @n_max (call again then), 0 when it is empty, or
 * a negative errno.
 */
int taskstats_read(struct taskstats_source *taskstats, struct wire_taskstats *ret, size_t n_max,
		   bool *ret_lost);

struct taskstats_statistics {
	uint64_t records, overruns, foreign, malformed;
};
void taskstats_statistics(const struct taskstats_source *taskstats,
			  struct taskstats_statistics *ret);
