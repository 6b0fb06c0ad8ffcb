// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/blk-mq.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/tracepoint.h>

#include "check.h"
#include "culprit.h"
#include "point.h"
#include "tell.h"

/* A tracepoint: of the kernel, or of a module that comes and goes */
struct point {
	const char *name;
	void *probe;
	enum filesystem_type type; /* FILESYSTEM_TYPE_MAX: any */
	u64 events;
	bool is_wanted; /* point_lock */
	bool is_on; /* point_lock */
	struct tracepoint *tracepoint; /* NULL: not there; point_lock */
	struct module *module; /* NULL: the kernel's; point_lock */
};

/* An xfs_inode begins with its xfs_mount, which is the superblock's s_fs_info. */
static void on_xfs_delalloc_enospc(void *data, void *inode, loff_t offset, ssize_t count)
{
	rcu_read_lock();
	culprit_tell_full(filesystem_find_info(*(void **)inode), FS_WARN_ENOSPC);
	rcu_read_unlock();
}

static void on_xfs_blockgc_flush_all(void *data, void *mount, unsigned long caller)
{
	struct filesystem *fs;

	rcu_read_lock();
	fs = filesystem_find_info(mount);
	if (fs)
		culprit_tell_full(fs,
				  culprit_changes_names() ? FS_WARN_ENOSPC_META : FS_WARN_ENOSPC);
	rcu_read_unlock();
}

#define XFS_SHUTDOWN_IO (1 << 0 | 1 << 1)
#define XFS_SHUTDOWN_CORRUPT (1 << 3 | 1 << 4)

static void on_xfs_force_shutdown(void *data, void *mount, int tag, int flags, const char *file,
				  int line)
{
	struct filesystem *fs;

	rcu_read_lock();
	fs = filesystem_find_info(mount);
	if (fs && (flags & XFS_SHUTDOWN_CORRUPT))
		tell(fs, FS_ERR_CORRUPTED, culprit_pid(), EUCLEAN, 0);
	if (fs && (flags & XFS_SHUTDOWN_IO))
		tell(fs, FS_EVENT_IO_ERROR, culprit_pid(), EIO, 0);
	if (fs)
		tell(fs, FS_EVENT_SHUTDOWN, culprit_pid(), 0, 0);
	rcu_read_unlock();
}

static void on_ext4_shutdown(void *data, struct super_block *sb, unsigned long flags)
{
	struct filesystem *fs;

	rcu_read_lock();
	fs = filesystem_find_sb(sb);
	if (fs)
		tell(fs, FS_EVENT_SHUTDOWN, culprit_pid(), 0, 0);
	rcu_read_unlock();
}

#define BTRFS_METADATA (1 << 2)
#define BTRFS_FLUSH_DATA 3
#define BTRFS_FLUSH_FREE_SPACE_INODE 4

static void on_btrfs_reserve_ticket(void *data, const void *info, u64 flags, u64 bytes,
				    u64 start_ns, int flush, int error)
{
	/* Where data and metadata share their space, the flags are of both. */
	bool is_data = flush == BTRFS_FLUSH_DATA || flush == BTRFS_FLUSH_FREE_SPACE_INODE;

	if (error != -ENOSPC)
		return;
	rcu_read_lock();
	culprit_tell_full(filesystem_find_info(info), (flags & BTRFS_METADATA) && !is_data
							      ? FS_WARN_ENOSPC_META
							      : FS_WARN_ENOSPC);
	rcu_read_unlock();
}

static void on_filemap_set_wb_err(void *data, struct address_space *mapping, errseq_t before)
{
	const struct inode *inode = mapping->host;
	struct filesystem *fs;

	if (!inode)
		return;
	rcu_read_lock();
	fs = filesystem_find_sb(inode->i_sb);
	/* The argument is the value before; the low bits of the new one are the errno. */
	if (fs)
		tell(fs, FS_EVENT_WRITEBACK_ERROR, 0, READ_ONCE(mapping->wb_err) & MAX_ERRNO,
		     inode->i_ino);
	rcu_read_unlock();
}

static void on_block_rq_error(void *data, struct request *rq, blk_status_t status,
			      unsigned int n_bytes)
{
	struct filesystem *fs;

	/* A read ahead or a discard that fails costs nobody anything. */
	if (status == BLK_STS_NOTSUPP || (rq->cmd_flags & REQ_RAHEAD) ||
	    (req_op(rq) != REQ_OP_READ && req_op(rq) != REQ_OP_WRITE &&
	     req_op(rq) != REQ_OP_FLUSH) ||
	    !rq->q->disk)
		return;
	rcu_read_lock();
	fs = filesystem_find_sector(rq->q->disk, blk_rq_pos(rq));
	if (fs)
		tell(fs, FS_EVENT_IO_ERROR, 0, abs(blk_status_to_errno(status)), 0);
	rcu_read_unlock();
}

static struct point points[] = {
	{ "xfs_delalloc_enospc", on_xfs_delalloc_enospc, FILESYSTEM_XFS, CHECK_FULL_EVENTS },
	{ "xfs_blockgc_flush_all", on_xfs_blockgc_flush_all, FILESYSTEM_XFS, CHECK_FULL_EVENTS },
	{ "xfs_force_shutdown", on_xfs_force_shutdown, FILESYSTEM_XFS,
	  FS_EVENT_BIT(FS_EVENT_SHUTDOWN) | FS_EVENT_BIT(FS_ERR_CORRUPTED) |
		  FS_EVENT_BIT(FS_EVENT_IO_ERROR) },
	{ "ext4_shutdown", on_ext4_shutdown, FILESYSTEM_EXT4, FS_EVENT_BIT(FS_EVENT_SHUTDOWN) },
	{ "btrfs_reserve_ticket", on_btrfs_reserve_ticket, FILESYSTEM_BTRFS, CHECK_FULL_EVENTS },
	{ "filemap_set_wb_err", on_filemap_set_wb_err, FILESYSTEM_TYPE_MAX,
	  FS_EVENT_BIT(FS_EVENT_WRITEBACK_ERROR) },
	{ "block_rq_error", on_block_rq_error, FILESYSTEM_TYPE_MAX,
	  FS_EVENT_BIT(FS_EVENT_IO_ERROR) },
};

/*
 * The notifier of modules runs under a lock of tracepoints, which the control
 * lock's holders take: so points have a lock of their own.
 */
static DEFINE_MUTEX(point_lock);

static void point_update(struct point *point)
{
	lockdep_assert_held(&point_lock);
	if (!point->tracepoint || point->is_wanted == point->is_on)
		return;
	if (point->is_on)
		tracepoint_probe_unregister(point->tracepoint, point->probe, NULL);
	else if (tracepoint_probe_register(point->tracepoint, point->probe, NULL))
		return;
	point->is_on = !point->is_on;
}

static void point_found(struct tracepoint *tracepoint, void *module)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (strcmp(tracepoint->name, points[i].name))
			continue;
		points[i].tracepoint = tracepoint;
		points[i].module = module;
		point_update(&points[i]);
	}
}

static void point_gone(struct module *module)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (!points[i].tracepoint || points[i].module != module)
			continue;
		if (points[i].is_on)
			tracepoint_probe_unregister(points[i].tracepoint, points[i].probe, NULL);
		points[i].is_on = false;
		points[i].tracepoint = NULL;
	}
}

static int point_notify(struct notifier_block *block, unsigned long action, void *data)
{
	struct module *module = ((struct tp_module *)data)->mod;
	int i;

	mutex_lock(&point_lock);
	if (action == MODULE_STATE_COMING)
		for (i = 0; i < module->num_tracepoints; i++)
			point_found(tracepoint_ptr_deref(&module->tracepoints_ptrs[i]), module);
	else if (action == MODULE_STATE_GOING)
		point_gone(module);
	mutex_unlock(&point_lock);
	return NOTIFY_OK;
}

static struct notifier_block point_notifier = { .notifier_call = point_notify };

void point_update_all(const u64 *wanted)
{
	int i;

	mutex_lock(&point_lock);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		points[i].is_wanted = wanted[points[i].type] & points[i].events;
		point_update(&points[i]);
	}
	mutex_unlock(&point_lock);
}

u64 point_capable(enum filesystem_type type)
{
	u64 events = 0;
	int i;

	mutex_lock(&point_lock);
	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (points[i].is_on &&
		    (points[i].type == type || points[i].type == FILESYSTEM_TYPE_MAX))
			events |= points[i].events;
	mutex_unlock(&point_lock);
	return events;
}

int point_init(void)
{
	mutex_lock(&point_lock);
	for_each_kernel_tracepoint(point_found, NULL);
	mutex_unlock(&point_lock);
	/* Tells of the modules that are there already, as of those that come. */
	return register_tracepoint_module_notifier(&point_notifier);
}

void point_exit(void)
{
	unregister_tracepoint_module_notifier(&point_notifier);
	tracepoint_synchronize_unregister();
}
