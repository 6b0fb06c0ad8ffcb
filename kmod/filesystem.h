/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_FILESYSTEM_H
#define FSEVENTS_FILESYSTEM_H

/*
 * Superblocks that somebody asked about
 *
 * A filesystem is there from its first request until its superblock goes or its
 * last request is withdrawn. It holds no reference to the superblock: a mark of
 * fsnotify stands in for one. While ->sb is not NULL, at least one request in
 * ->requests has a mark on it that only umount itself can take away, and umount
 * calls filesystem_unmounted(), which waits for ->lock, before it frees the
 * superblock.
 *
 * Locks, outer ones first: s_umount of a superblock, control_lock, ->lock,
 * s_umount by trylock, ->tell_lock. Nobody who holds the control lock waits
 * for an s_umount.
 */

#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "../include/fs_event.h"
#include "event.h"

struct owner;

/* All requests and all lists of owners, filesystems and watches; hooks on and off. */
extern struct mutex control_lock;

enum filesystem_type {
	FILESYSTEM_OTHER,
	FILESYSTEM_EXT4,
	FILESYSTEM_XFS,
	FILESYSTEM_BTRFS,
	FILESYSTEM_TYPE_MAX,
};

#define FILESYSTEM_PENDING_MAX 8

/*
 * What was told last of one event because of one process, so that repetitions
 * are counted and not told. The last of FILESYSTEM_TELLINGS is for all whom the
 * others have no room for.
 */
#define FILESYSTEM_TELLINGS 4

struct telling {
	u64 until_ns;
	u32 caused_id;
	u32 count; /* not yet told */
	u32 error;
	u64 inode;
};

/* A process that found no space, to be told once it is known which kind. */
struct pending {
	u32 id;
	u32 caused_id;
};

struct filesystem {
	struct list_head list; /* of all; changed under control_lock, read under RCU */
	refcount_t refs;
	u32 id;
	dev_t dev;
	enum filesystem_type type;
	/* To be compared alone. */
	const void *info; /* s_fs_info */
	const struct gendisk *disk; /* NULL: none */
	sector_t first_sector; /* on @disk */
	sector_t n_sectors;

	struct mutex lock;
	struct super_block *sb; /* NULL: it is going; @lock */
	struct list_head requests; /* changed under control_lock and @lock, read under RCU */
	u64 events; /* the union; READ_ONCE() without the lock */

	raw_spinlock_t tell_lock;
	struct telling tellings[FS_EVENT_ID_MAX + 1][FILESYSTEM_TELLINGS]; /* @tell_lock */
	struct pending pending[FILESYSTEM_PENDING_MAX]; /* @tell_lock */
	unsigned int n_pending; /* @tell_lock */
	u64 hurried_ns; /* when a check was last asked for at once; @tell_lock */
	bool is_gone; /* nothing is told any more; @tell_lock */
	struct delayed_work tell;

	struct delayed_work check; /* see check.h */
	bool is_read_only; /* as told; @tell_lock */
	bool is_aborted; /* it stays read-only, whatever its flags say; @tell_lock */
	bool is_frozen; /* as told; @tell_lock */
	bool seen_read_only; /* by the last check; the check's own */
	int seen_frozen; /* likewise, sb->s_writers.frozen */
	u64 check_ns; /* likewise, what one takes on average, never 0 */
	bool is_near; /* likewise, a level may be passed before check_max_ms are over */

	struct rcu_head rcu;
};

/* What one owner asks of one filesystem; lives until its mark is freed. */
struct fs_request {
	struct fsnotify_mark mark; /* first: see mark.c */
	struct filesystem *fs; /* one reference */
	struct owner *owner;
	struct list_head fs_node; /* in fs->requests */
	struct list_head owner_node; /* control_lock */
	bool is_withdrawn; /* fs->lock */
	u64 events;
	u32 file_events;
	struct level *levels; /* an array; fs->lock */
	unsigned int n_levels;
	struct rcu_head rcu;
};

/**
 * filesystem_request() - ask about a superblock
 * @sb: kept mounted by the caller: its s_umount is held, or a file on it
 *
 * Replaces what @owner asked before, but for its levels. The caller holds the
 * control lock.
 *
 * Return: 0, -ENOMEM, -ENOSPC: too many.
 */
int filesystem_request(struct filesystem **ret, struct super_block *sb, struct owner *owner,
		       u64 events, u32 file_events);

/* Withdraws it; the caller holds the control lock, and ends with hook_update(). */
void filesystem_withdraw(struct fs_request *request);

struct fs_request *filesystem_find_request(struct filesystem *fs, const struct owner *owner);

/* Under the control lock; NULL: none, or it is going. */
struct filesystem *filesystem_find_id(u32 id);
/* Under rcu_read_lock(); NULL: none. */
struct filesystem *filesystem_find_sb(const struct super_block *sb);
struct filesystem *filesystem_find_info(const void *info);
/* An object of a filesystem's own, at whose beginning its s_fs_info stands somewhere */
struct filesystem *filesystem_find_within(const void *object);
struct filesystem *filesystem_find_sector(const struct gendisk *disk, sector_t sector);

/* What all ask of all filesystems of a type: FS_EVENT_BIT()s. Under the control lock. */
u64 filesystem_wanted(enum filesystem_type type);

/* Its superblock is about to be freed; from the mark of @request. */
void filesystem_unmounted(struct fs_request *request);
void filesystem_free_request(struct fs_request *request);

/* Queues one of its works, no later than after @delay; the work puts a reference. Context as tell(). */
void filesystem_queue(struct filesystem *fs, struct delayed_work *work, unsigned long delay);
/* The same, and no sooner either, whatever was asked for before. */
void filesystem_requeue(struct filesystem *fs, struct delayed_work *work, unsigned long delay);
void filesystem_put(struct filesystem *fs);

int filesystem_init(void);
/* Waits until all are gone; no request is left. */
void filesystem_exit(void);

#endif
