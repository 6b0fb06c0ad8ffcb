// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "filesystem.h"
#include "mark.h"
#include "owner.h"
#include "watch.h"

/* Watches that were removed and wait for the end of their inode. */
#define REMOVED_MAX 65536

static unsigned int watches_max = 65536;
module_param(watches_max, uint, 0644);
MODULE_PARM_DESC(watches_max, "How many inodes may be watched; each stays in memory (65536)");

static unsigned int n_watches; /* control_lock */
static unsigned int n_removed; /* control_lock */
static LIST_HEAD(removed); /* control_lock */
static u32 last_id; /* control_lock */

int watch_add(u32 *ret_id, struct inode *inode, struct owner *owner, u32 file_events)
{
	struct watch *watch;
	int error;

	lockdep_assert_held(&control_lock);
	if (n_watches >= READ_ONCE(watches_max) || n_removed >= REMOVED_MAX)
		return -ENOSPC;
	watch = kzalloc(sizeof(*watch), GFP_KERNEL_ACCOUNT);
	if (!watch)
		return -ENOMEM;
	INIT_LIST_HEAD(&watch->owner_node);
	/* A number is used again after 2^32 watches at the earliest, and never 0. */
	watch->id = ++last_id ?: ++last_id;
	watch->file_events = file_events;
	watch->dev = inode->i_sb->s_dev;
	watch->inode = inode->i_ino;
	*ret_id = watch->id;

	error = mark_attach_watch(watch, inode);
	if (error)
		return error;
	list_add_tail(&watch->owner_node, &owner->watches);
	n_watches++;
	return 0;
}

struct watch *watch_find(const struct owner *owner, u32 id)
{
	struct watch *watch;

	list_for_each_entry(watch, &owner->watches, owner_node)
		if (watch->id == id && !READ_ONCE(watch->is_gone))
			return watch;
	return NULL;
}

static void watch_put_removed(struct work_struct *work)
{
	struct watch *watch;

	mutex_lock(&control_lock);
	while ((watch = list_first_entry_or_null(&removed, struct watch, owner_node))) {
		list_del(&watch->owner_node);
		mutex_unlock(&control_lock);
		mark_put(&watch->mark);
		mutex_lock(&control_lock);
		n_removed--;
	}
	mutex_unlock(&control_lock);
}

static DECLARE_WORK(put_work, watch_put_removed);

void watch_remove(struct watch *watch)
{
	lockdep_assert_held(&control_lock);
	mark_detach(&watch->mark);
	list_move_tail(&watch->owner_node, &removed);
	n_watches--;
	n_removed++;
	queue_work(system_unbound_wq, &put_work);
}

void watch_flush(void)
{
	flush_work(&put_work);
}

void watch_gone(struct watch *watch)
{
	WRITE_ONCE(watch->is_gone, true);
	owner_reap();
}

void watch_free(struct watch *watch)
{
	kfree(watch);
}
