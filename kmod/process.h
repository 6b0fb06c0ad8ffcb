/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_PROCESS_H
#define FSEVENTS_PROCESS_H

/*
 * fork, exec and exit: tracepoints of the scheduler; changes of user ids: a
 * probe. On while somebody asks.
 */

#include <linux/types.h>

#define PROCESS_EVENTS                                                                             \
	((1U << FS_RECORD_FORK) | (1U << FS_RECORD_EXEC) | (1U << FS_RECORD_EXIT) |                \
	 (1U << FS_RECORD_UID))

/*
 * Turns on and off what is asked for now; the caller holds the control lock.
 * 0, or the error with which something could not be turned on.
 */
int process_update(void);

/* Finds the tracepoints; -ENOENT: one is not there. */
int process_init(void);

#endif
