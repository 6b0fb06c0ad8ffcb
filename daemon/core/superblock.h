/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Superblocks and their mounts
 *
 * The table of what is mounted, fed with whole readings of mountinfo (plus
 * unique mount ids where the kernel has listmount) and telling the
 * difference: superblocks that came, went or changed. One superblock is one
 * filesystem, however many mounts it has. One whose mounts were all replaced
 * between two readings is told as gone and come anew, never as changed, since
 * anonymous device numbers are reused at once. Pure; no I/O.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"
#include "daemon/core/mountinfo.h"

struct superblock_table;

/* Valid until the next update: one that changed is another struct mount then. */
struct mount {
	uint32_t id; /* mnt_id of mountinfo */
	uint64_t unique_id; /* STATX_MNT_ID_UNIQUE, 0 where the kernel has none */
	uint32_t parent;
	char *root; /* bytes; ends in "//deleted" where it was unlinked */
	char *where; /* bytes */
	char *options;
	bool read_only; /* "ro" of this mount alone */
	bool reachable; /* its mount point leads to it: not overmounted */
	uint64_t seen_us; /* monotonic time of the reading that brought it */
};

/* What it is known by: unique ids are above 2^31, and so none is one of the others. */
static inline uint64_t mount_number(const struct mount *mount)
{
	return mount->unique_id ? mount->unique_id : mount->id;
}

/* Its address stays the same while it lives; what its members point to changes in updates. */
struct superblock {
	struct fs_key key;
	uint64_t generation; /* counts up over all superblocks, never reused */
	char *type;
	char *source; /* bytes; of its first mount */
	char *super_options; /* as printed (\ooo); of its first mount */
	bool read_only; /* "ro" of the superblock */
	uid_t owner_uid; /* who mounted it, where that shows (FUSE user_id=), else 0 */
	struct mount **mounts; /* in mountinfo order */
	size_t n_mounts;
	void *userdata; /* of the manager */
};

/*
 * All are called from within superblock_table_update(), when the table is
 * already what it will be. None of them may change the table.
 */
struct superblock_ops {
	void (*added)(struct superblock *sb, void *userdata);
	void (*changed)(struct superblock *sb,
			void *userdata); /* mounts, options, source, read_only */
	void (*removed)(struct superblock *sb, void *userdata); /* last look: freed afterwards */
};

/** superblock_table_new() - @ops is borrowed; Return: 0 or -ENOMEM */
int superblock_table_new(struct superblock_table **ret, const struct superblock_ops *ops,
			 void *userdata);
struct superblock_table *superblock_table_free(struct superblock_table *table);

/** What the reader of one mountinfo knows besides it: unique ids by mnt_id. */
struct superblock_reading {
	char *text; /* mountinfo; overwritten, not needed after the call */
	size_t n_text;
	uint64_t now_us;
	/* unique id of a mount, or 0; asked for every mount of the reading, must be cheap; may be NULL */
	uint64_t (*unique_id)(uint32_t mnt_id, void *userdata);
	void *userdata;
};

/**
 * superblock_table_update() - take in a whole reading
 * @ret_skipped: malformed lines; may be NULL
 *
 * A superblock is kept when its device number and type are those of a
 * living one and at least one of its mounts was there before: by unique id,
 * else by id, parent, root and mount point (and source, on anonymous devices
 * other than btrfs). All others are added with a new number and generation.
 *
 * Costs time in proportion to the reading and not to its square. The order
 * of the calls is: removed in the order they came, then added and changed,
 * each in mountinfo order. Changed is told for mounts that came, went or
 * differ, for reachability, source and options; not when all is equal.
 *
 * Return: 0, or -ENOMEM (the table is as before).
 */
int superblock_table_update(struct superblock_table *table,
			    const struct superblock_reading *reading, size_t *ret_skipped);

size_t superblock_table_count(const struct superblock_table *table);
struct superblock *superblock_table_find(struct superblock_table *table, const struct fs_key *key);

/** superblock_table_find_device() - the living one of a device number; NULL: none */
struct superblock *superblock_table_find_device(struct superblock_table *table, uint32_t major,
						uint32_t minor);

/**
 * superblock_table_resolve() - which filesystem a path is on, lexically
 * @path:	absolute; "." and ".." and doubled slashes are folded, nothing is looked up
 *
 * Return: the filesystem of the longest mount point prefix that is
 * reachable, or NULL for a path that is not absolute.
 */
struct superblock *superblock_table_resolve(struct superblock_table *table, const char *path);

/** superblock_table_next() - walk all in the order they came; @sb NULL: the first */
struct superblock *superblock_table_next(struct superblock_table *table,
					 const struct superblock *sb);

/** superblock_table_find_mount() - by mnt_id, over all superblocks; NULL: none */
const struct mount *superblock_table_find_mount(struct superblock_table *table, uint32_t mnt_id,
						struct superblock **ret_sb);

/**
 * superblock_display_mount() - the mount shown and checked first
 *
 * The reachable one whose root is "/" and whose mount point is shortest;
 * failing that any reachable one; failing that NULL.
 */
const struct mount *superblock_display_mount(const struct superblock *sb);

enum superblock_class {
	SUPERBLOCK_LOCAL, /* ext4, xfs, btrfs, tmpfs ...: the shared worker */
	SUPERBLOCK_FOREIGN, /* somebody else answers: FUSE, NFS, CIFS, 9p, ceph, virtiofs ... */
	SUPERBLOCK_PSEUDO, /* proc, sysfs, cgroup ...: no space */
};

/**
 * superblock_class() - who answers for it
 *
 * By type. One that is not known is local on a block device and foreign
 * without one. An overlay is local: the filesystem of its upper layer answers.
 */
enum superblock_class superblock_class(const struct superblock *sb);

/** superblock_is_network() - whether asking for its usage goes across a network */
bool superblock_is_network(const struct superblock *sb);

/** superblock_is_image() - of a type that is written once, as a whole: squashfs, ISO 9660 ... */
bool superblock_is_image(const struct superblock *sb);

/**
 * superblock_is_default() - watched without a section that names it
 *
 * Not: pseudo filesystems, a tmpfs all of whose mounts are at or below /run,
 * /dev, /sys or /proc, images (squashfs, ISO 9660, UDF, erofs, cramfs, romfs
 * and snaps by FUSE), what an ordinary user mounted (FUSE with a user_id),
 * and overlays, except for one at "/" that has an upper layer and is not the
 * root of a live system.
 */
bool superblock_is_default(const struct superblock *sb);

DEFINE_FREEP(superblock_table, superblock_table_free)
