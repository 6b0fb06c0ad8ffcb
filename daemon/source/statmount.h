/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Unique mount ids
 *
 * The mnt_id of mountinfo is given to the next mount as soon as it is free;
 * the unique id of Linux 6.8 never is. This keeps which mnt_id stands for which
 * unique id, by listmount() and statmount(), in step with readings of mountinfo.
 * Neither call touches a mount or can hang; only who asks for the options of a
 * superblock is at the mercy of its filesystem, and btrfs reads its disk for them.
 *
 * Unique ids are given in order of creation. Usually only those above the
 * last one known are asked for; but a mount may be created long before it is
 * attached, so that an mnt_id that is still unknown then causes a full listing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"

struct mount_ids;

int mount_ids_new(struct mount_ids **ret);
struct mount_ids *mount_ids_free(struct mount_ids *ids);
DEFINE_FREEP(mount_ids, mount_ids_free)

enum mount_ids_outcome {
	MOUNT_IDS_UNSUPPORTED = 1, /* the kernel has none, or denies them */
};

/**
 * mount_ids_refresh() - learn the ids of the mounts of a reading
 * @text, @n_text:	mountinfo, not changed
 * @complete:		ask for all ids, not just for new ones: to be set when the
 *			mounts may have changed between the last reading and its refresh
 *
 * What is not in @text is forgotten.
 *
 * Return: 0, MOUNT_IDS_UNSUPPORTED, or -ENOMEM (then as before).
 */
int mount_ids_refresh(struct mount_ids *ids, const char *text, size_t n_text, bool complete);

/** mount_ids_find() - the unique id of a mount of the last reading; 0: not known */
uint64_t mount_ids_find(const struct mount_ids *ids, uint32_t mnt_id);

/** mount_ids_listings() - full listings so far */
uint64_t mount_ids_listings(const struct mount_ids *ids);

/* What the superblock itself says, whatever its mounts say. */
struct statmount_super {
	bool read_only; /* SB_RDONLY */
	bool emergency_ro; /* ext4: read-only after an error, and no flag shows it (Linux 6.12) */
	bool shutdown; /* ext4: it was shut down */
};

/**
 * statmount_super() - flags and options of the superblock in one call
 * @with_options:	only for a filesystem that has ->emergency_ro and ->shutdown and
 *			waits for no disk to say so: ext2, ext3, ext4
 *
 * Without them, and where the kernel tells none (before 6.11), those are false.
 *
 * Return: 0, -ENOENT (no such mount any more), -EOPNOTSUPP (no statmount(),
 * before 6.8), or another negative errno.
 */
int statmount_super(uint64_t unique_id, bool with_options, struct statmount_super *ret);

/**
 * statmount_options() - options of the superblock, as the kernel has them now
 * @ret:	NUL-terminated, "rw,emergency_ro"
 *
 * Says what statfs() does not: emergency_ro, shutdown. May sleep: btrfs looks
 * up the name of a subvolume on its disk.
 *
 * Return: 0, -ENOENT (no such mount any more), -EOVERFLOW (longer than
 * @n_ret), -EOPNOTSUPP (not in this kernel), or another negative errno.
 */
int statmount_options(uint64_t unique_id, char *ret, size_t n_ret);
