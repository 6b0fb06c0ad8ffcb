// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>

#include "compat.h"
#include "filesystem.h"
#include "find.h"
#include "owner.h"

#define WAIT_JIFFIES HZ
#define SEARCHES_MAX 32 /* that have not come to their end */

/* Under the control lock. */
static int find_call(struct super_block *sb, struct genl_info *info, find_function_t function,
		     void *data)
{
	if (sb->s_flags & SB_NOUSER) {
		NL_SET_ERR_MSG(info->extack, "not on a filesystem that can be mounted");
		return -EOPNOTSUPP;
	}
	owner_release_closed();
	return function(sb, info, data);
}

static int find_by_fd(struct genl_info *info, find_function_t function, void *data)
{
	struct file *file = fget_raw(nla_get_u32(info->attrs[FS_NL_A_FD]));
	int error;

	if (!file) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_FD], "no such descriptor");
		return -EBADF;
	}
	mutex_lock(&control_lock);
	error = find_call(file_inode(file)->i_sb, info, function, data);
	mutex_unlock(&control_lock);
	fput(file);
	return error;
}

static int find_by_id(struct genl_info *info, find_function_t function, void *data)
{
	struct super_block *sb = NULL;
	struct filesystem *fs;
	int error = -ENOENT;

	mutex_lock(&control_lock);
	fs = filesystem_find_id(nla_get_u32(info->attrs[FS_NL_A_FS_ID]));
	if (fs) {
		mutex_lock(&fs->lock);
		sb = fs->sb;
		/* By trylock: a umount that holds it waits for the lock of @fs. */
		if (sb && !down_read_trylock(&sb->s_umount)) {
			sb = NULL;
			error = -EBUSY;
		}
		mutex_unlock(&fs->lock);
	}
	if (sb) {
		error = find_call(sb, info, function, data);
		up_read(&sb->s_umount);
	} else if (error == -EBUSY) {
		NL_SET_ERR_MSG(info->extack, "being mounted or unmounted; try again");
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_FS_ID], "no such filesystem");
	}
	mutex_unlock(&control_lock);
	return error;
}

/*
 * Going through the superblocks of a type waits for each one's s_umount, which
 * a umount that hangs never gives back; and a request holds a lock of all of
 * generic netlink. So a worker goes through them, and the request gives up.
 */
struct search {
	struct work_struct work;
	struct kref kref;
	struct completion done;
	struct file_system_type *type;
	u32 major;
	u32 minor;
	bool is_given_up; /* control_lock; from then on the rest is not to be used */
	find_function_t function;
	struct genl_info *info;
	void *data;
	int error;
};

static struct workqueue_struct *search_workqueue;
static atomic_t n_searches;

static void search_free(struct kref *kref)
{
	kfree(container_of(kref, struct search, kref));
	atomic_dec(&n_searches);
}

static void search_look_at(struct super_block *sb, void *data)
{
	struct search *search = data;

	if (MAJOR(sb->s_dev) != search->major || MINOR(sb->s_dev) != search->minor ||
	    !compat_sb_is_alive(sb))
		return;
	mutex_lock(&control_lock);
	if (!search->is_given_up)
		search->error = find_call(sb, search->info, search->function, search->data);
	mutex_unlock(&control_lock);
}

static void search_work(struct work_struct *work)
{
	struct search *search = container_of(work, struct search, work);

	iterate_supers_type(search->type, search_look_at, search);
	module_put(search->type->owner);
	complete(&search->done);
	kref_put(&search->kref, search_free);
}

/* NULL: no memory, or too many wait for a superblock that never lets go. */
static struct search *search_new(void)
{
	struct search *search = NULL;

	if (atomic_inc_return(&n_searches) <= SEARCHES_MAX)
		search = kzalloc(sizeof(*search), GFP_KERNEL);
	if (!search) {
		atomic_dec(&n_searches);
		return NULL;
	}
	INIT_WORK(&search->work, search_work);
	kref_init(&search->kref);
	init_completion(&search->done);
	return search;
}

/*
 * Types whose modules are known not to have a netlink family of their own:
 * get_fs_type() may load the module, and registering a family would wait for
 * this very request.
 */
static bool find_is_known_type(const char *name)
{
	static const char *const names[] = { "ext2", "ext3",  "ext4", "xfs",  "btrfs",
					     "f2fs", "tmpfs", "vfat", "exfat" };

	return match_string(names, ARRAY_SIZE(names), name) >= 0;
}

static int find_by_device(struct genl_info *info, find_function_t function, void *data)
{
	const char *name = nla_data(info->attrs[FS_NL_A_FS_TYPE]);
	struct file_system_type *type;
	struct search *search;
	bool is_done;
	int error;

	if (!info->attrs[FS_NL_A_DEV_MAJOR] || !info->attrs[FS_NL_A_DEV_MINOR]) {
		NL_SET_ERR_MSG(info->extack, "FS_TYPE goes with DEV_MAJOR and DEV_MINOR");
		return -EINVAL;
	}
	type = find_is_known_type(name) ? get_fs_type(name) : NULL;
	if (!type) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_FS_TYPE],
				    "cannot be found by type; use a descriptor");
		return -EOPNOTSUPP;
	}
	search = search_new();
	if (!search) {
		module_put(type->owner);
		NL_SET_ERR_MSG(info->extack, "no memory, or too many searches that wait");
		return -ENOMEM;
	}
	search->type = type;
	search->major = nla_get_u32(info->attrs[FS_NL_A_DEV_MAJOR]);
	search->minor = nla_get_u32(info->attrs[FS_NL_A_DEV_MINOR]);
	search->function = function;
	search->info = info;
	search->data = data;
	search->error = -ENOENT;

	kref_get(&search->kref);
	queue_work(search_workqueue, &search->work);
	is_done = wait_for_completion_timeout(&search->done, WAIT_JIFFIES);

	mutex_lock(&control_lock);
	search->is_given_up = true;
	/* Its answer stands, though the search may go on. */
	error = is_done || search->error != -ENOENT ? search->error : -EBUSY;
	mutex_unlock(&control_lock);
	kref_put(&search->kref, search_free);

	if (error == -ENOENT && !info->extack->_msg)
		NL_SET_ERR_MSG(info->extack, "no mounted filesystem of this type and device");
	else if (error == -EBUSY && !info->extack->_msg)
		NL_SET_ERR_MSG(info->extack,
			       "another filesystem of this type is being unmounted; try again");
	return error;
}

int find_filesystem(struct genl_info *info, find_function_t function, void *data)
{
	bool by_fd = info->attrs[FS_NL_A_FD];
	bool by_id = info->attrs[FS_NL_A_FS_ID];
	bool by_device = info->attrs[FS_NL_A_FS_TYPE] || info->attrs[FS_NL_A_DEV_MAJOR] ||
			 info->attrs[FS_NL_A_DEV_MINOR];

	if (by_fd + by_id + by_device != 1) {
		NL_SET_ERR_MSG(
			info->extack,
			"one of FD, FS_ID, and FS_TYPE with DEV_MAJOR and DEV_MINOR is needed");
		return -EINVAL;
	}
	if (by_fd)
		return find_by_fd(info, function, data);
	if (by_id)
		return find_by_id(info, function, data);
	if (!info->attrs[FS_NL_A_FS_TYPE]) {
		NL_SET_ERR_MSG(info->extack, "DEV_MAJOR and DEV_MINOR go with FS_TYPE");
		return -EINVAL;
	}
	return find_by_device(info, function, data);
}

int find_init(void)
{
	search_workqueue = alloc_workqueue("fsevents_find", WQ_UNBOUND, 0);
	return search_workqueue ? 0 : -ENOMEM;
}

void find_exit(void)
{
	destroy_workqueue(search_workqueue);
}
