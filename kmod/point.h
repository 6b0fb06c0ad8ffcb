/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_POINT_H
#define FSEVENTS_POINT_H

/*
 * Tracepoints, of the kernel and of filesystems whose modules come and go
 */

#include "filesystem.h"

/*
 * Turns on and off; @wanted has the FS_EVENT_BIT()s of each type, and last
 * those of all.
 */
void point_update_all(const u64 *wanted);

/* The events of a type that points which are on can give. */
u64 point_capable(enum filesystem_type type);

int point_init(void);
/* All points are off; waits until none runs. */
void point_exit(void);

#endif
