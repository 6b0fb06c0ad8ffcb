/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Errors of filesystems by fanotify
 *
 * One fanotify group with FAN_FS_ERROR for all filesystems, told apart by
 * fsid. Marks are set by workers, hold no filesystem busy and end with the
 * superblock. Several members may have one fsid (clones of an image): then all
 * are told, and each looks for itself. Reads late and in batches. The queue is
 * never unlimited; when it overflows every member is told to look again.
 * What the daemon's own processes caused is dropped, with what was merged into
 * it: the counters of the filesystem have that.
 *
 * ext4 since Linux 5.16; xfs, f2fs and others from 7.0 on. A filesystem that
 * takes the mark may still never say anything.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/superblock.h"
#include "daemon/core/wire-fanotify.h"
#include "daemon/worker/pool.h"

struct errors;
struct errors_member; /* one filesystem */

struct errors_ops {
	/* @error->overflow: some were lost. The member may be freed by it. */
	void (*error)(const struct fanotify_error *error, void *userdata);
	/* Once: 0, or why there is no mark (as in gate.h). */
	void (*marked)(int error, void *userdata);
};

/** errors_new() - all its members must be freed before it; Return: 0, -EOPNOTSUPP (not in this kernel or not allowed), or another negative errno */
int errors_new(struct errors **ret, sd_event *loop, struct pool *pool);
struct errors *errors_free(struct errors *errors);
DEFINE_FREEP(errors, errors_free)

/* By whom a mark is set: as in struct pool_submission. */
struct errors_lane {
	enum pool_lane lane;
	uint64_t key;
	uid_t owner_uid;
};

/**
 * errors_member_new() - ask for a mark on a filesystem
 * @mount:	to reach it by; borrowed for the call
 *
 * Return: 0, -ENOBUFS (too many wait in the lane), or another negative errno.
 */
int errors_member_new(struct errors_member **ret, struct errors *errors, const struct mount *mount,
		      const struct errors_lane *lane, const struct errors_ops *ops, void *userdata);

/**
 * errors_member_free() - also from within a callback, and with the mark under way
 *
 * The mark stays with the superblock, since only a path would take it away; what it
 * tells from now on is counted as unknown.
 */
struct errors_member *errors_member_free(struct errors_member *member);
DEFINE_FREEP(errors_member, errors_member_free)

struct errors_statistics {
	uint64_t events;
	uint64_t overflows;
	uint64_t own; /* caused by the daemon's processes */
	uint64_t unknown; /* of no member */
};
void errors_statistics(const struct errors *errors, struct errors_statistics *ret);
