/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_CHECK_H
#define FSEVENTS_CHECK_H

/*
 * The background check of a filesystem: ->statfs against levels
 *
 * Nothing here runs where a filesystem allocates. A check takes s_umount by
 * trylock and holds no reference: umount waits for a check at most, and a
 * check never for umount.
 *
 * A pause is as long as no level can be passed in, at the fastest that is assumed, from
 * check_min_ms to check_max_ms. The filesystems that would be looked at more often than each
 * check_max_ms share a part of one processor, check_ppm: by what its checks took lately, each
 * of them waits longer where that would be more than an equal part. A process that finds no
 * space has it looked at nevertheless.
 */

#include <linux/types.h>
#include <linux/workqueue.h>

#include "../include/fs_event.h"

struct filesystem;
struct fs_request;
struct super_block;

/* What a check costs beside itself: a timer, and a worker that wakes and sleeps. */
#define CHECK_AROUND_NS 3000

#define CHECK_FULL_EVENTS                                                                          \
	(FS_EVENT_BIT(FS_WARN_ENOSPC) | FS_EVENT_BIT(FS_WARN_ENOSPC_META) |                        \
	 FS_EVENT_BIT(FS_EVENT_ENOSPC_INODES))
#define CHECK_LEVEL_EVENTS                                                                         \
	(FS_EVENT_BIT(FS_THR_LRBELOW) | FS_EVENT_BIT(FS_THR_LRABOVE) |                             \
	 FS_EVENT_BIT(FS_THR_URBELOW) | FS_EVENT_BIT(FS_THR_URABOVE) |                             \
	 FS_EVENT_BIT(FS_EVENT_THR_BELOW) | FS_EVENT_BIT(FS_EVENT_THR_ABOVE))
#define CHECK_READ_ONLY_EVENTS (FS_EVENT_BIT(FS_ERR_REMOUNT_RO) | FS_EVENT_BIT(FS_EVENT_READ_WRITE))
#define CHECK_FROZEN_EVENTS (FS_EVENT_BIT(FS_EVENT_FROZEN) | FS_EVENT_BIT(FS_EVENT_THAWED))
#define CHECK_STATE_EVENTS (CHECK_READ_ONLY_EVENTS | CHECK_FROZEN_EVENTS)

struct level {
	char name[FS_EVENT_LEVEL_NAME_MAX + 1];
	u32 resource; /* enum fs_level_resource */
	u64 below;
	u64 above;
	u32 below_id; /* enum fs_event_id */
	u32 above_id;
	bool is_below; /* as told */
	bool is_new; /* not looked at yet */
};

/* Its ->statfs answers from memory, and never waits for a server or a daemon. */
bool check_is_possible(const struct super_block *sb);

/* Takes @levels, an array from kmalloc(). The caller holds the control lock. */
void check_set_levels(struct fs_request *request, struct level *levels, unsigned int n_levels);

/* struct filesystem.check */
void check_filesystem(struct work_struct *work);

/* Before it is freed: no check of it is queued, or runs. */
void check_deinit(struct filesystem *fs);

#endif
