// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/blk-mq.h>
#include <linux/fs_context.h>
#include <linux/jbd2.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

#include "check.h"
#include "hook.h"
#include "tell.h"

#define BITS(id) FS_EVENT_BIT(id)

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

/* A function: its arguments are kept at its entry, it is told at its return */
struct probe {
	const char *name;
	kretprobe_handler_t entry;
	kretprobe_handler_t handler;
	enum filesystem_type type;
	u64 events;
	bool is_on; /* control_lock */
	bool is_refused; /* not there, or by a breakpoint only; control_lock */
	struct kretprobe kretprobe;
};

/* What a probe keeps between entry and return */
struct kept {
	const void *object;
	int error;
};

static u32 hook_culprit(void)
{
	return in_task() && !(current->flags & PF_KTHREAD) ? task_tgid_nr(current) : 0;
}

/* --- tracepoints */

static void hook_full(struct filesystem *fs, u32 id)
{
	if (fs)
		tell_full(fs, id, hook_culprit());
}

/* An xfs_inode begins with its xfs_mount, which is the superblock's s_fs_info. */
static void on_xfs_delalloc_enospc(void *data, void *inode, loff_t offset, ssize_t count)
{
	rcu_read_lock();
	hook_full(filesystem_find_info(*(void **)inode), FS_WARN_ENOSPC);
	rcu_read_unlock();
}

static void on_xfs_blockgc_flush_all(void *data, void *mount, unsigned long caller)
{
	rcu_read_lock();
	hook_full(filesystem_find_info(mount), FS_WARN_ENOSPC);
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
		tell(fs, FS_ERR_CORRUPTED, hook_culprit(), EUCLEAN, 0);
	if (fs && (flags & XFS_SHUTDOWN_IO))
		tell(fs, FS_EVENT_IO_ERROR, hook_culprit(), EIO, 0);
	if (fs)
		tell(fs, FS_EVENT_SHUTDOWN, hook_culprit(), 0, 0);
	rcu_read_unlock();
}

static void on_ext4_shutdown(void *data, struct super_block *sb, unsigned long flags)
{
	struct filesystem *fs;

	rcu_read_lock();
	fs = filesystem_find_sb(sb);
	if (fs)
		tell(fs, FS_EVENT_SHUTDOWN, hook_culprit(), 0, 0);
	rcu_read_unlock();
}

#define BTRFS_METADATA (1 << 2)

static void on_btrfs_reserve_ticket(void *data, const void *info, u64 flags, u64 bytes,
				    u64 start_ns, int flush, int error)
{
	if (error != -ENOSPC)
		return;
	rcu_read_lock();
	hook_full(filesystem_find_info(info),
		  flags & BTRFS_METADATA ? FS_WARN_ENOSPC_META : FS_WARN_ENOSPC);
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
	  BITS(FS_EVENT_SHUTDOWN) | BITS(FS_ERR_CORRUPTED) | BITS(FS_EVENT_IO_ERROR) },
	{ "ext4_shutdown", on_ext4_shutdown, FILESYSTEM_EXT4, BITS(FS_EVENT_SHUTDOWN) },
	{ "btrfs_reserve_ticket", on_btrfs_reserve_ticket, FILESYSTEM_BTRFS, CHECK_FULL_EVENTS },
	{ "filemap_set_wb_err", on_filemap_set_wb_err, FILESYSTEM_TYPE_MAX,
	  BITS(FS_EVENT_WRITEBACK_ERROR) },
	{ "block_rq_error", on_block_rq_error, FILESYSTEM_TYPE_MAX, BITS(FS_EVENT_IO_ERROR) },
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

/* --- probes */

static const void *hook_argument(struct pt_regs *regs, unsigned int n)
{
	return (const void *)regs_get_kernel_argument(regs, n);
}

static int on_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = hook_argument(regs, 0);
	return 0;
}
NOKPROBE_SYMBOL(on_entry);

/* Returns 0: there is nothing to wait for, and the caller gets ENOSPC. */
static int on_ext4_should_retry_alloc(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;

	if (regs_return_value(regs) & 0xff)
		return 0;
	rcu_read_lock();
	hook_full(filesystem_find_sb(kept->object), FS_WARN_ENOSPC);
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_ext4_should_retry_alloc);

/* fs_info, function, line, errno */
static int on_btrfs_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = hook_argument(regs, 0);
	kept->error = abs((int)(long)hook_argument(regs, 3));
	return 0;
}
NOKPROBE_SYMBOL(on_btrfs_entry);

static int on_btrfs_handle_fs_error(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	bool is_corrupted = kept->error == EUCLEAN || kept->error == EBADMSG;
	struct super_block *sb;
	struct filesystem *fs;

	rcu_read_lock();
	fs = filesystem_find_info(kept->object);
	if (fs) {
		tell(fs, is_corrupted ? FS_ERR_CORRUPTED : FS_EVENT_IO_ERROR, hook_culprit(),
		     kept->error, 0);
		sb = READ_ONCE(fs->sb);
		if (sb && sb_rdonly(sb))
			tell_read_only(fs, true, hook_culprit());
	}
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_btrfs_handle_fs_error);

/* j_private is the superblock of ext4; it is compared before it is used. */
static int on_journal_abort_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const journal_t *journal = hook_argument(regs, 0);
	struct kept *kept = (struct kept *)instance->data;

	kept->object = journal->j_private;
	return 0;
}
NOKPROBE_SYMBOL(on_journal_abort_entry);

/* ext4 with errors=remount-ro writes nothing from here on, but leaves SB_RDONLY alone. */
static int on_journal_aborted(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	struct filesystem *fs;

	rcu_read_lock();
	fs = kept->object ? filesystem_find_sb(kept->object) : NULL;
	if (fs) {
		WRITE_ONCE(fs->is_aborted, true);
		tell_read_only(fs, true, hook_culprit());
	}
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_journal_aborted);

static int on_frozen_or_thawed(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	struct filesystem *fs;

	if (regs_return_value(regs))
		return 0;
	rcu_read_lock();
	fs = filesystem_find_sb(kept->object);
	/* One who thaws may not be the only one who froze: the state tells, not the call. */
	if (fs)
		tell_frozen(fs,
			    ((const struct super_block *)kept->object)->s_writers.frozen !=
				    SB_UNFROZEN,
			    hook_culprit());
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_frozen_or_thawed);

static int on_reconfigure_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct fs_context *context = hook_argument(regs, 0);
	struct kept *kept = (struct kept *)instance->data;

	kept->object = context->root ? context->root->d_sb : NULL;
	return 0;
}
NOKPROBE_SYMBOL(on_reconfigure_entry);

static int on_reconfigured(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	struct filesystem *fs;

	if (!kept->object || regs_return_value(regs))
		return 0;
	rcu_read_lock();
	fs = filesystem_find_sb(kept->object);
	if (fs)
		tell_read_only(fs, sb_rdonly((const struct super_block *)kept->object),
			       hook_culprit());
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_reconfigured);

static struct probe probes[] = {
	{ "ext4_should_retry_alloc", on_entry, on_ext4_should_retry_alloc, FILESYSTEM_EXT4,
	  CHECK_FULL_EVENTS },
	{ "__btrfs_handle_fs_error", on_btrfs_entry, on_btrfs_handle_fs_error, FILESYSTEM_BTRFS,
	  BITS(FS_ERR_CORRUPTED) | BITS(FS_EVENT_IO_ERROR) | CHECK_STATE_EVENTS },
	{ "jbd2_journal_abort", on_journal_abort_entry, on_journal_aborted, FILESYSTEM_EXT4,
	  CHECK_STATE_EVENTS },
	{ "freeze_super", on_entry, on_frozen_or_thawed, FILESYSTEM_TYPE_MAX,
	  BITS(FS_EVENT_FROZEN) | BITS(FS_EVENT_THAWED) },
	{ "thaw_super", on_entry, on_frozen_or_thawed, FILESYSTEM_TYPE_MAX,
	  BITS(FS_EVENT_FROZEN) | BITS(FS_EVENT_THAWED) },
	{ "reconfigure_super", on_reconfigure_entry, on_reconfigured, FILESYSTEM_TYPE_MAX,
	  CHECK_STATE_EVENTS },
};

static void probe_start(struct probe *probe)
{
	probe->kretprobe = (struct kretprobe){
		.kp.symbol_name = probe->name,
		.entry_handler = probe->entry,
		.handler = probe->handler,
		.data_size = sizeof(struct kept),
		.maxactive = 64,
	};
	if (register_kretprobe(&probe->kretprobe)) {
		pr_info("%s cannot be probed\n", probe->name);
		probe->is_refused = true;
		return;
	}
	if (!kprobe_ftrace(&probe->kretprobe.kp)) {
		unregister_kretprobe(&probe->kretprobe);
		pr_info("%s would be probed by a breakpoint; left alone\n", probe->name);
		probe->is_refused = true;
		return;
	}
	probe->is_on = true;
}

static void probe_update(struct probe *probe, u64 wanted)
{
	bool is_wanted = wanted & probe->events;

	/* What was not there may come with its filesystem's module: asked again next time. */
	if (!wanted)
		probe->is_refused = false;
	if (is_wanted && !probe->is_on && !probe->is_refused)
		probe_start(probe);
	if (!is_wanted && probe->is_on) {
		unregister_kretprobe(&probe->kretprobe);
		probe->is_on = false;
	}
}

void hook_update(void)
{
	u64 wanted[FILESYSTEM_TYPE_MAX + 1];
	int i;

	lockdep_assert_held(&control_lock);
	for (i = 0; i <= FILESYSTEM_TYPE_MAX; i++)
		wanted[i] = filesystem_wanted(i);

	mutex_lock(&point_lock);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		points[i].is_wanted = wanted[points[i].type] & points[i].events;
		point_update(&points[i]);
	}
	mutex_unlock(&point_lock);
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		probe_update(&probes[i], wanted[probes[i].type]);
}

u64 hook_capable(enum filesystem_type type)
{
	u64 events = 0;
	int i;

	lockdep_assert_held(&control_lock);
	mutex_lock(&point_lock);
	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (points[i].is_on &&
		    (points[i].type == type || points[i].type == FILESYSTEM_TYPE_MAX))
			events |= points[i].events;
	mutex_unlock(&point_lock);
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].is_on &&
		    (probes[i].type == type || probes[i].type == FILESYSTEM_TYPE_MAX))
			events |= probes[i].events;
	return events;
}

int hook_init(void)
{
	mutex_lock(&point_lock);
	for_each_kernel_tracepoint(point_found, NULL);
	mutex_unlock(&point_lock);
	/* Tells of the modules that are there already, as of those that come. */
	return register_tracepoint_module_notifier(&point_notifier);
}

void hook_exit(void)
{
	unregister_tracepoint_module_notifier(&point_notifier);
	tracepoint_synchronize_unregister();
}
