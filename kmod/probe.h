/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_PROBE_H
#define FSEVENTS_PROBE_H

/*
 * Functions that are probed, each only where the kernel does it through ftrace:
 * by a breakpoint, the probe would run as in an NMI
 */

#include "filesystem.h"

/* As in point.h; under the control lock. */
void probe_update_all(const u64 *wanted);
u64 probe_capable(enum filesystem_type type);

#endif
