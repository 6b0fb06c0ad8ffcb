/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_COMPAT_H
#define FSEVENTS_COMPAT_H

/*
 * What differs between the kernels that the module is built for
 *
 * The only place that looks at version numbers. Prototypes of tracepoints are
 * no interface: a changed one would be garbage in memory and no error of the
 * compiler. So a kernel newer than the newest tested one is refused, unless
 * the builder says that he has looked (make CFLAGS_MODULE=-DFSEVENTS_ANY_KERNEL).
 */

#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/version.h>
#include <net/genetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "fsevents: kernels before 6.1 have no such fsnotify"
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0) && !defined(FSEVENTS_ANY_KERNEL)
#error "fsevents: not tested past Linux 6.12; -DFSEVENTS_ANY_KERNEL builds it nevertheless"
#endif

/* Group flags: kernels that cannot ask for CAP_SYS_ADMIN ask for CAP_NET_ADMIN. */
#ifdef GENL_MCAST_CAP_SYS_ADMIN
#define COMPAT_GROUP_FLAGS GENL_MCAST_CAP_SYS_ADMIN
#else
#define COMPAT_GROUP_FLAGS GENL_UNS_ADMIN_PERM
#endif

/*
 * Reclaim may take the lock of a group, to free the marks of an inode whose last name
 * has gone: where kernels do not take care of that themselves, no allocation below
 * that lock may start reclaim.
 */
#ifdef FSNOTIFY_GROUP_NOFS
#define COMPAT_MARK_GROUP_FLAGS (FSNOTIFY_GROUP_DUPS | FSNOTIFY_GROUP_NOFS)
#else
#define COMPAT_MARK_GROUP_FLAGS FSNOTIFY_GROUP_DUPS
#endif

static inline int compat_mark_add_sb(struct fsnotify_mark *mark, struct super_block *sb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return fsnotify_add_mark(mark, sb, FSNOTIFY_OBJ_TYPE_SB, 0);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return fsnotify_add_mark(mark, &sb->s_fsnotify_marks, FSNOTIFY_OBJ_TYPE_SB, 0);
#else
	return fsnotify_add_mark(mark, &sb->s_fsnotify_marks, FSNOTIFY_OBJ_TYPE_SB, 0, NULL);
#endif
}

static inline int compat_mark_add_inode(struct fsnotify_mark *mark, struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return fsnotify_add_mark(mark, inode, FSNOTIFY_OBJ_TYPE_INODE, 0);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return fsnotify_add_mark(mark, &inode->i_fsnotify_marks, FSNOTIFY_OBJ_TYPE_INODE, 0);
#else
	return fsnotify_add_mark(mark, &inode->i_fsnotify_marks, FSNOTIFY_OBJ_TYPE_INODE, 0, NULL);
#endif
}

/* As name_to_handle_at() does it; @n_words: of @fid. The type, or a negative errno. */
static inline int compat_encode_handle(struct inode *inode, struct fid *fid, int *n_words)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return exportfs_encode_inode_fh(inode, fid, n_words, NULL, 0);
#else
	if (!inode->i_sb->s_export_op)
		return -EOPNOTSUPP;
	return exportfs_encode_inode_fh(inode, fid, n_words, NULL);
#endif
}

/* The filesystem is mounted and not on its way out; the caller holds s_umount. */
static inline bool compat_sb_is_alive(struct super_block *sb)
{
	unsigned long flags = READ_ONCE(sb->s_flags);

#ifdef SB_DYING
	if (flags & SB_DYING)
		return false;
#endif
	return (flags & SB_BORN) && sb->s_root;
}

/*
 * What looks at a block of btrfs' metadata that was read, and how to find the
 * filesystem of the object that it looks at. The types are btrfs' own.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define COMPAT_BTRFS_VALIDATE "btrfs_validate_extent_buffer"
#define COMPAT_BTRFS_VALIDATE_ARGUMENT 0
#define COMPAT_BTRFS_FIND(object) filesystem_find_within(object)
#else
#define COMPAT_BTRFS_VALIDATE "btrfs_validate_metadata_buffer"
#define COMPAT_BTRFS_VALIDATE_ARGUMENT 1
#define COMPAT_BTRFS_FIND(object)                                                                  \
	filesystem_find_sb(((const struct page *)(object))->mapping->host->i_sb)
#endif

/* sched_process_exit tells from 6.16 on whether the process ends. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define COMPAT_EXIT_PROTO void *data, struct task_struct *task, bool group_dead
#define COMPAT_EXIT_IS_LAST group_dead
#else
#define COMPAT_EXIT_PROTO void *data, struct task_struct *task
#define COMPAT_EXIT_IS_LAST (atomic_read(&task->signal->live) == 0)
#endif

#endif
