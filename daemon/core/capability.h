/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which events can come
 *
 * The one table of code by filesystem by source: the property Capabilities,
 * and what org.fsevents1(5) says. It claims a code only where a source that is
 * in use tells it; that a disk never fails is another matter. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/superblock.h"

/* What is in use besides looking (statmount, statfs, sysfs), which always is. */
struct capability_sources {
	bool fs_errors; /* fanotify, on this very filesystem: its mark was taken */
	bool fs_errors_common; /* this kernel reports errors of all disk filesystems by it */
	bool kmsg; /* kernel messages */
	bool module; /* fsevents.ko */
};

/** capability_codes() - a bit set of 1 << enum event_code */
uint32_t capability_codes(const struct superblock *sb, const struct capability_sources *sources);
