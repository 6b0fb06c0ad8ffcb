/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A filesystem as it is shown
 *
 * What the daemon knows of one superblock beyond its mounts: settings,
 * thresholds, usage and state. Owned by the manager and read by the bus
 * objects; a plain value apart from what it owns. The state is the worst of
 * what holds.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/event.h"
#include "daemon/core/fusion.h"
#include "daemon/core/schedule.h"
#include "daemon/core/superblock.h"
#include "daemon/core/threshold.h"
#include "daemon/core/usage.h"

/* Ordered: the later, the worse. */
enum fs_state {
	FS_STATE_OK,
	FS_STATE_UNKNOWN,
	FS_STATE_WARNING,
	FS_STATE_CRITICAL,
	FS_STATE_FULL,
	FS_STATE_FROZEN,
	FS_STATE_READ_ONLY,
	FS_STATE_ERROR,
	FS_STATE_STALLED,
};

struct filesystem {
	struct superblock *sb; /* borrowed: they live and die together */
	struct usage usage;
	bool usage_known;
	struct threshold_set thresholds;
	struct schedule schedule;
	uint32_t events; /* codes selected */
	uint32_t capabilities; /* codes that can come */
	bool stalled;
	bool frozen;
	bool failed; /* an error was seen; until unmount */
	bool full; /* no data, metadata or inodes are left */
	enum read_only_reason read_only;
	uint64_t error_count;
	struct event last_event; /* id 0: none */
	bool has_last_event;
};

/**
 * filesystem_state() - the worst that holds
 *
 * "full" is nothing left for an ordinary user, of whatever a new file needs,
 * on a filesystem that can be written to. Crossed thresholds count from severity "warning" on. While the usage is unknown, what was
 * crossed before still holds.
 */
enum fs_state filesystem_state(const struct filesystem *fs);

/** fs_state_name() - as in the property State */
const char *fs_state_name(enum fs_state state);

/** filesystem_deinit() - frees what it owns; ->sb is not touched */
void filesystem_deinit(struct filesystem *fs);
