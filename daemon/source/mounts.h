/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The mount table of the kernel
 *
 * Reads /proc/1/mountinfo when the kernel says that it changed, by poll on the
 * file and by fanotify mount events where there are any, and feeds
 * superblock_table_update(); adds unique mount ids by listmount and
 * statmount. Touches no mount.
 *
 * Reads late and in batches: 10 ms after the first sign, and never twice
 * within 25 ms, however often mounts come and go. A reading during which the
 * table of the kernel changed is not taken in but repeated, since it may lack
 * a mount that was there all the time; only where none succeeds for a second
 * the last one is taken as it is.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/superblock.h"

struct mounts;

struct mounts_ops {
	/* After each reading that was taken in; may be NULL. Must not free the object. */
	void (*updated)(void *userdata);
};

struct mounts_options {
	bool use_fanotify; /* FAN_MNT_ATTACH/DETACH where the kernel has it */
};

/**
 * mounts_new() - only builds
 * @loop:	a reference is taken
 * @table:	borrowed; fed from mounts_start() on
 * @ops:	borrowed
 *
 * Return: 0 or a negative errno.
 */
int mounts_new(struct mounts **ret, sd_event *loop, struct superblock_table *table,
	       const struct mounts_options *options, const struct mounts_ops *ops, void *userdata);

/**
 * mounts_start() - take the first reading, synchronously, and follow from there
 *
 * Reads the table of PID 1; where that is in another mount namespace, or may
 * not be read, that of the caller: paths must mean the same on both sides.
 *
 * Return: 0 or a negative errno.
 */
int mounts_start(struct mounts *mounts);
struct mounts *mounts_free(struct mounts *mounts);
DEFINE_FREEP(mounts, mounts_free)

/**
 * mounts_enter_namespace() - go to PID 1's mount namespace
 * @ret_entered:	false: was there already, or is not allowed to
 *
 * Root and working directory are "/" afterwards. Before any thread exists and
 * before the zygote starts, so that workers see the same paths.
 *
 * Return: 0 or a negative errno.
 */
int mounts_enter_namespace(bool *ret_entered);

/** mounts_source() - "mountinfo", "mountinfo+listmount", "mountinfo+listmount+fanotify" or "mountinfo+fanotify" */
const char *mounts_source(const struct mounts *mounts);

struct mounts_statistics {
	uint64_t readings; /* taken in */
	uint64_t skipped_lines; /* malformed, over all readings */
	uint64_t wakeups; /* by the kernel; many changes are one */
	uint64_t unsteady; /* readings repeated: the table changed meanwhile */
	uint64_t failed; /* could not be read or taken in; tried again after a second */
	uint64_t listings; /* full listings of unique ids */
	uint64_t overflows; /* of the fanotify queue: harmless, mountinfo has all */
};

void mounts_statistics(const struct mounts *mounts, struct mounts_statistics *ret);
