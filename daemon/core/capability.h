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
	uint32_t module; /* fsevents.ko, on this very filesystem: capability_of_module() */
};

/** capability_wants_module() - whether there is anything that it could tell of such a filesystem */
bool capability_wants_module(const struct superblock *sb);

/** capability_of_module() - bits FS_EVENT_BIT(id) as 1 << enum event_code */
uint32_t capability_of_module(uint64_t capable);

/** capability_codes() - a bit set of 1 << enum event_code */
uint32_t capability_codes(const struct superblock *sb, const struct capability_sources *sources);
