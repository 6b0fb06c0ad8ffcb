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
	struct list_head owner_node; /* control_lock */
	u32 id;
	u32 file_events;
	dev_t dev;
	u64 inode;
	bool is_gone; /* the inode is deleted or its filesystem unmounted */
};

/**
 * watch_add() - watch an inode
 * @inode: kept by the caller
 *
 * The caller holds the control lock.
 *
 * Return: 0, -ENOMEM, -ENOSPC: too many.
 */
int watch_add(u32 *ret_id, struct inode *inode, struct owner *owner, u32 file_events);

/* NULL: @owner has none of that number. */
struct watch *watch_find(const struct owner *owner, u32 id);

/* Under the control lock. */
void watch_remove(struct watch *watch);

/* From the mark: its inode goes; the watch is withdrawn soon. */
void watch_gone(struct watch *watch);
void watch_free(struct watch *watch);

#endif
