// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "check.h"
#include "filesystem.h"
#include "mark.h"
#include "owner.h"
#include "tell.h"

#define FILESYSTEMS_MAX 4096

/*
 * How far s_fs_info is into an xfs_buf, a btrfs_device and an extent_buffer at
 * most; each of them is larger.
 */
#define WITHIN_WORDS (IS_ENABLED(CONFIG_DEBUG_SPINLOCK) ? 64 : 24)

static unsigned int requests_max = 16384;
module_param(requests_max, uint, 0644);
MODULE_PARM_DESC(requests_max, "How many requests on filesystems all listeners may have (16384)");

DEFINE_MUTEX(control_lock);

static LIST_HEAD(filesystems);
static atomic_t n_filesystems; /* not yet freed */
static unsigned int n_listed; /* control_lock */
static unsigned int n_requests; /* control_lock */
static u32 last_id; /* control_lock */
static DECLARE_WAIT_QUEUE_HEAD(filesystems_gone);
static struct workqueue_struct *filesystem_workqueue;

void filesystem_put(struct filesystem *fs)
{
	if (!refcount_dec_and_test(&fs->refs))
		return;
	check_deinit(fs);
	kfree_rcu(fs, rcu);
	if (atomic_dec_and_test(&n_filesystems))
		wake_up_all(&filesystems_gone);
}

void filesystem_requeue(struct filesystem *fs, struct delayed_work *work, unsigned long delay)
{
	if (!refcount_inc_not_zero(&fs->refs))
		return;
	/* One reference for a queued work, however often it is queued. */
	if (mod_delayed_work(filesystem_workqueue, work, delay))
		filesystem_put(fs);
}

void filesystem_queue(struct filesystem *fs, struct delayed_work *work, unsigned long delay)
{
	if (delay == 0) {
		filesystem_requeue(fs, work, 0);
		return;
	}
	if (!refcount_inc_not_zero(&fs->refs))
		return;
	if (!queue_delayed_work(filesystem_workqueue, work, delay))
		filesystem_put(fs);
}

/* --- finding */

struct filesystem *filesystem_find_sb(const struct super_block *sb)
{
	struct filesystem *fs;

	list_for_each_entry_rcu(fs, &filesystems, list, lockdep_is_held(&control_lock))
		if (READ_ONCE(fs->sb) == sb)
			return fs;
	return NULL;
}

struct filesystem *filesystem_find_info(const void *info)
{
	struct filesystem *fs;

	list_for_each_entry_rcu(fs, &filesystems, list)
		if (fs->info == info && READ_ONCE(fs->sb))
			return fs;
	return NULL;
}

struct filesystem *filesystem_find_within(const void *object)
{
	const void *words[WITHIN_WORDS];
	struct filesystem *fs;
	unsigned int i;

	if (copy_from_kernel_nofault(words, object, sizeof(words)))
		return NULL;
	list_for_each_entry_rcu(fs, &filesystems, list) {
		if (!fs->info || !READ_ONCE(fs->sb))
			continue;
		for (i = 0; i < WITHIN_WORDS; i++)
			if (words[i] == fs->info)
				return fs;
	}
	return NULL;
}

struct filesystem *filesystem_find_sector(const struct gendisk *disk, sector_t sector)
{
	struct filesystem *fs;

	list_for_each_entry_rcu(fs, &filesystems, list)
		if (fs->disk == disk && sector - fs->first_sector < fs->n_sectors &&
		    READ_ONCE(fs->sb))
			return fs;
	return NULL;
}

struct filesystem *filesystem_find_id(u32 id)
{
	struct filesystem *fs;

	lockdep_assert_held(&control_lock);
	list_for_each_entry(fs, &filesystems, list)
		if (fs->id == id && READ_ONCE(fs->sb))
			return fs;
	return NULL;
}

u64 filesystem_wanted(enum filesystem_type type)
{
	struct filesystem *fs;
	u64 wanted = 0;

	lockdep_assert_held(&control_lock);
	list_for_each_entry(fs, &filesystems, list)
		if (READ_ONCE(fs->sb) && (type == FILESYSTEM_TYPE_MAX || fs->type == type))
			wanted |= fs->events;
	return wanted;
}

struct fs_request *filesystem_find_request(struct filesystem *fs, const struct owner *owner)
{
	struct fs_request *request;

	lockdep_assert_held(&control_lock);
	list_for_each_entry(request, &fs->requests, fs_node)
		if (request->owner == owner)
			return request;
	return NULL;
}

/* --- requests */

static enum filesystem_type filesystem_type_of(const struct super_block *sb)
{
	static const char *const names[] = {
		[FILESYSTEM_EXT4] = "ext4",
		[FILESYSTEM_XFS] = "xfs",
		[FILESYSTEM_BTRFS] = "btrfs",
	};
	enum filesystem_type type;

	for (type = FILESYSTEM_EXT4; type < FILESYSTEM_TYPE_MAX; type++)
		if (!strcmp(sb->s_type->name, names[type]))
			return type;
	return FILESYSTEM_OTHER;
}

/* One reference, the caller's; not yet in the list. */
static struct filesystem *filesystem_new(struct super_block *sb)
{
	struct filesystem *fs = kzalloc(sizeof(*fs), GFP_KERNEL_ACCOUNT);

	if (!fs)
		return NULL;
	refcount_set(&fs->refs, 1);
	atomic_inc(&n_filesystems);
	fs->id = ++last_id;
	fs->dev = sb->s_dev;
	fs->type = filesystem_type_of(sb);
	fs->info = sb->s_fs_info;
	if (sb->s_bdev) {
		fs->disk = sb->s_bdev->bd_disk;
		fs->first_sector = get_start_sect(sb->s_bdev);
		fs->n_sectors = bdev_nr_sectors(sb->s_bdev);
	}
	fs->seen_read_only = sb_rdonly(sb);
	fs->is_read_only = fs->seen_read_only;
	fs->seen_frozen = sb->s_writers.frozen;
	fs->is_frozen = fs->seen_frozen != SB_UNFROZEN;
	fs->check_ns = CHECK_AROUND_NS;
	mutex_init(&fs->lock);
	raw_spin_lock_init(&fs->tell_lock);
	INIT_LIST_HEAD(&fs->requests);
	INIT_DELAYED_WORK(&fs->tell, tell_merged);
	INIT_DELAYED_WORK(&fs->check, check_filesystem);
	return fs;
}

static void filesystem_sum_events(struct filesystem *fs)
{
	struct fs_request *request;
	u64 events = 0;

	lockdep_assert_held(&fs->lock);
	list_for_each_entry(request, &fs->requests, fs_node)
		events |= request->events;
	WRITE_ONCE(fs->events, events);
}

/* Takes the caller's reference to @fs, also when it fails. */
static struct fs_request *filesystem_attach(struct filesystem *fs, struct super_block *sb,
					    struct fs_request *request)
{
	int error;

	request->fs = fs;
	error = mark_attach_request(request, sb);
	return error ? ERR_PTR(error) : request;
}

int filesystem_request(struct filesystem **ret, struct super_block *sb, struct owner *owner,
		       u64 events, u32 file_events)
{
	struct fs_request *request, *old = NULL;
	struct filesystem *fs;
	bool is_new;

	lockdep_assert_held(&control_lock);

	fs = filesystem_find_sb(sb);
	is_new = !fs;
	if (fs)
		old = filesystem_find_request(fs, owner);
	/* What replaces another is not one more. */
	if (!old && n_requests >= READ_ONCE(requests_max))
		return -ENOSPC;
	request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);
	if (!request)
		return -ENOMEM;
	request->owner = owner;
	request->events = events | FS_EVENT_BIT(FS_EVENT_UNMOUNTED);
	request->file_events = file_events;

	if (is_new) {
		fs = n_listed < FILESYSTEMS_MAX ? filesystem_new(sb) : NULL;
		if (!fs) {
			kfree(request);
			return n_listed < FILESYSTEMS_MAX ? -ENOMEM : -ENOSPC;
		}
	} else {
		refcount_inc(&fs->refs);
	}

	request = filesystem_attach(fs, sb, request);
	if (IS_ERR(request))
		return PTR_ERR(request);

	mutex_lock(&fs->lock);
	WRITE_ONCE(fs->sb, sb);
	list_add_tail_rcu(&request->fs_node, &fs->requests);
	if (old) {
		swap(request->levels, old->levels);
		swap(request->n_levels, old->n_levels);
	}
	filesystem_sum_events(fs);
	mutex_unlock(&fs->lock);

	list_add_tail(&request->owner_node, &owner->requests);
	n_requests++;
	if (is_new) {
		list_add_tail_rcu(&fs->list, &filesystems);
		n_listed++;
	}
	if (old)
		filesystem_withdraw(old);
	filesystem_queue(fs, &fs->check, 0);
	*ret = fs;
	return 0;
}

void filesystem_withdraw(struct fs_request *request)
{
	struct filesystem *fs = request->fs;
	bool is_last;

	lockdep_assert_held(&control_lock);

	mutex_lock(&fs->lock);
	request->is_withdrawn = true;
	list_del_rcu(&request->fs_node);
	is_last = list_empty(&fs->requests);
	/* Before its mark goes: from here on nothing would hold up the superblock's end. */
	if (is_last && fs->sb)
		tell_end(fs, false);
	if (is_last)
		WRITE_ONCE(fs->sb, NULL);
	kfree(request->levels);
	request->levels = NULL;
	request->n_levels = 0;
	filesystem_sum_events(fs);
	mutex_unlock(&fs->lock);

	/* Its next check may be far away, and whoever unloads the module waits for it. */
	if (is_last && cancel_delayed_work(&fs->check))
		filesystem_put(fs);
	list_del(&request->owner_node);
	n_requests--;
	if (is_last) {
		list_del_rcu(&fs->list);
		n_listed--;
	}
	mark_destroy(&request->mark);
}

void filesystem_unmounted(struct fs_request *request)
{
	struct filesystem *fs = request->fs;

	/* Waits for a check that is under way: it uses the superblock under this lock. */
	mutex_lock(&fs->lock);
	if (!request->is_withdrawn && fs->sb) {
		WRITE_ONCE(fs->sb, NULL);
		tell_end(fs, true);
		owner_reap();
	}
	mutex_unlock(&fs->lock);
}

void filesystem_free_request(struct fs_request *request)
{
	filesystem_put(request->fs);
	kfree(request->levels);
	kfree_rcu(request, rcu);
}

int filesystem_init(void)
{
	filesystem_workqueue = alloc_workqueue("fsevents_check", WQ_UNBOUND | WQ_FREEZABLE, 0);
	return filesystem_workqueue ? 0 : -ENOMEM;
}

void filesystem_exit(void)
{
	/* Works that tell what was merged still have a second to go. */
	wait_event(filesystems_gone, atomic_read(&n_filesystems) == 0);
	destroy_workqueue(filesystem_workqueue);
}
