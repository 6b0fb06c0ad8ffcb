/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_WATCH_H
#define FSEVENTS_WATCH_H

/*
 * Inodes that somebody watches; each watch is of one owner and has records of
 * its own
 */

#include <linux/fsnotify_backend.h>
#include <linux/list.h>

struct owner;

struct watch {
	struct fsnotify_mark mark; /* first: see mark.c */
	struct list_head owner_node; /* then of those that were removed; control_lock */
	u32 id;
	u32 file_events;
	dev_t dev;
	u64 inode;
	bool is_gone; /* removed, the inode is deleted, or its filesystem unmounted */
};

/**
 * watch_add() - watch an inode
 * @inode: kept by the caller
 *
 * The caller holds the control lock.
 *
 * Return: 0, -ENOMEM, -ENOSPC: too many, or too many that wait for the end of their inode.
 */
int watch_add(u32 *ret_id, struct inode *inode, struct owner *owner, u32 file_events);

/* NULL: @owner has none of that number. */
struct watch *watch_find(const struct owner *owner, u32 id);

/* Under the control lock. Nothing is told from then on; a worker lets go of the inode. */
void watch_remove(struct watch *watch);
/* No watch is added any more: waits for the worker. */
void watch_flush(void);

/* From the mark: its inode goes; the watch is withdrawn soon. */
void watch_gone(struct watch *watch);
void watch_free(struct watch *watch);

#endif
