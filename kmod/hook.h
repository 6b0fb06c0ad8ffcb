/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_HOOK_H
#define FSEVENTS_HOOK_H

/*
 * Where the kernel tells of faults: tracepoints and probes of functions
 *
 * All of them sit where something has failed already or the state changes, so
 * they cost nothing as long as nothing happens; each is on while somebody
 * requests an event that it gives, on a filesystem that it is for.
 */

#include <linux/types.h>

#include "filesystem.h"

/* Turns on and off what is wanted now; the caller holds the control lock. */
void hook_update(void);

/* The events of a type that hooks which are on can give; under the control lock. */
u64 hook_capable(enum filesystem_type type);

int hook_init(void);
/* All hooks are off; waits until none runs. */
void hook_exit(void);

#endif
