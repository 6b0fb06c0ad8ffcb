// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/fs_context.h>
#include <linux/jbd2.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <uapi/linux/btrfs.h>

#include "check.h"
#include "compat.h"
#include "culprit.h"
#include "probe.h"
#include "tell.h"

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

static const void *probe_argument(struct pt_regs *regs, unsigned int n)
{
	return (const void *)regs_get_kernel_argument(regs, n);
}

static void probe_tell_corrupted(struct filesystem *fs)
{
	if (fs)
		tell(fs, FS_ERR_CORRUPTED, culprit_pid(), EUCLEAN, 0);
}

static int on_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = probe_argument(regs, 0);
	return 0;
}
NOKPROBE_SYMBOL(on_entry);

/* Returns 0: there is nothing to wait for, and the caller gets ENOSPC. */
static int on_ext4_should_retry_alloc(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	struct filesystem *fs;

	if (regs_return_value(regs) & 0xff)
		return 0;
	rcu_read_lock();
	fs = filesystem_find_sb(kept->object);
	if (fs)
		culprit_tell_full(fs, culprit_ext4_changes_names(get_kretprobe_retaddr(instance))
					      ? FS_WARN_ENOSPC_META
					      : FS_WARN_ENOSPC);
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_ext4_should_retry_alloc);

/* tag, level, xfs_mount */
static int on_xfs_error_report_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = probe_argument(regs, 2);
	return 0;
}
NOKPROBE_SYMBOL(on_xfs_error_report_entry);

static int on_xfs_error_reported(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;

	rcu_read_lock();
	probe_tell_corrupted(filesystem_find_info(kept->object));
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_xfs_error_reported);

/* An xfs_inode begins with its xfs_mount. */
static int on_xfs_inode_verifier_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = *(const void *const *)probe_argument(regs, 0);
	return 0;
}
NOKPROBE_SYMBOL(on_xfs_inode_verifier_entry);

/* An xfs_buf, that is one of metadata; it knows its xfs_mount. */
static int on_xfs_buf_failed(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;

	rcu_read_lock();
	probe_tell_corrupted(filesystem_find_within(kept->object));
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_xfs_buf_failed);

/* btrfs_device, which counter */
static int on_btrfs_device_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = probe_argument(regs, 0);
	kept->error = (int)(long)probe_argument(regs, 1);
	return 0;
}
NOKPROBE_SYMBOL(on_btrfs_device_entry);

static int on_btrfs_device_failed(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	struct filesystem *fs;

	rcu_read_lock();
	fs = filesystem_find_within(kept->object);
	switch (kept->error) {
	case BTRFS_DEV_STAT_CORRUPTION_ERRS:
	case BTRFS_DEV_STAT_GENERATION_ERRS:
		probe_tell_corrupted(fs);
		break;
	default:
		if (fs)
			tell(fs, FS_EVENT_IO_ERROR, culprit_pid(), EIO, 0);
		break;
	}
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_btrfs_device_failed);

static int on_btrfs_validate_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = probe_argument(regs, COMPAT_BTRFS_VALIDATE_ARGUMENT);
	return 0;
}
NOKPROBE_SYMBOL(on_btrfs_validate_entry);

/* A block of metadata that was read makes no sense; another copy may. */
static int on_btrfs_validated(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;

	if (!(int)regs_return_value(regs))
		return 0;
	rcu_read_lock();
	probe_tell_corrupted(COMPAT_BTRFS_FIND(kept->object));
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_btrfs_validated);

/* fs_info, function, line, errno */
static int on_btrfs_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kept *kept = (struct kept *)instance->data;

	kept->object = probe_argument(regs, 0);
	kept->error = abs((int)(long)probe_argument(regs, 3));
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
		tell(fs, is_corrupted ? FS_ERR_CORRUPTED : FS_EVENT_IO_ERROR, culprit_pid(),
		     kept->error, 0);
		sb = READ_ONCE(fs->sb);
		if (sb && sb_rdonly(sb))
			tell_aborted(fs, culprit_pid());
	}
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_btrfs_handle_fs_error);

/* j_private is the superblock of ext4; it is compared before it is used. */
static int on_journal_abort_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const journal_t *journal = probe_argument(regs, 0);
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
	if (fs)
		tell_aborted(fs, culprit_pid());
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_journal_aborted);

static int on_frozen_or_thawed(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	struct filesystem *fs;

	if ((int)regs_return_value(regs))
		return 0;
	rcu_read_lock();
	fs = filesystem_find_sb(kept->object);
	/* One who thaws may not be the only one who froze: the state tells, not the call. */
	if (fs)
		tell_frozen(fs,
			    ((const struct super_block *)kept->object)->s_writers.frozen !=
				    SB_UNFROZEN,
			    culprit_pid());
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_frozen_or_thawed);

static int on_reconfigure_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct fs_context *context = probe_argument(regs, 0);
	struct kept *kept = (struct kept *)instance->data;

	kept->object = context->root ? context->root->d_sb : NULL;
	return 0;
}
NOKPROBE_SYMBOL(on_reconfigure_entry);

static int on_reconfigured(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct kept *kept = (struct kept *)instance->data;
	struct filesystem *fs;

	if (!kept->object || (int)regs_return_value(regs))
		return 0;
	rcu_read_lock();
	fs = filesystem_find_sb(kept->object);
	if (fs)
		tell_read_only(fs, sb_rdonly((const struct super_block *)kept->object),
			       culprit_pid());
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(on_reconfigured);

static struct probe probes[] = {
	{ "ext4_should_retry_alloc", on_entry, on_ext4_should_retry_alloc, FILESYSTEM_EXT4,
	  CHECK_FULL_EVENTS },
	{ "xfs_error_report", on_xfs_error_report_entry, on_xfs_error_reported, FILESYSTEM_XFS,
	  FS_EVENT_BIT(FS_ERR_CORRUPTED) },
	{ "xfs_inode_verifier_error", on_xfs_inode_verifier_entry, on_xfs_error_reported,
	  FILESYSTEM_XFS, FS_EVENT_BIT(FS_ERR_CORRUPTED) },
	{ "xfs_buf_verifier_error", on_entry, on_xfs_buf_failed, FILESYSTEM_XFS,
	  FS_EVENT_BIT(FS_ERR_CORRUPTED) },
	{ "xfs_buf_corruption_error", on_entry, on_xfs_buf_failed, FILESYSTEM_XFS,
	  FS_EVENT_BIT(FS_ERR_CORRUPTED) },
	{ COMPAT_BTRFS_VALIDATE, on_btrfs_validate_entry, on_btrfs_validated, FILESYSTEM_BTRFS,
	  FS_EVENT_BIT(FS_ERR_CORRUPTED) },
	{ "btrfs_dev_stat_inc_and_print", on_btrfs_device_entry, on_btrfs_device_failed,
	  FILESYSTEM_BTRFS, FS_EVENT_BIT(FS_ERR_CORRUPTED) | FS_EVENT_BIT(FS_EVENT_IO_ERROR) },
	{ "__btrfs_handle_fs_error", on_btrfs_entry, on_btrfs_handle_fs_error, FILESYSTEM_BTRFS,
	  FS_EVENT_BIT(FS_ERR_CORRUPTED) | FS_EVENT_BIT(FS_EVENT_IO_ERROR) |
		  CHECK_READ_ONLY_EVENTS },
	{ "jbd2_journal_abort", on_journal_abort_entry, on_journal_aborted, FILESYSTEM_EXT4,
	  CHECK_READ_ONLY_EVENTS },
	{ "freeze_super", on_entry, on_frozen_or_thawed, FILESYSTEM_TYPE_MAX, CHECK_FROZEN_EVENTS },
	{ "thaw_super", on_entry, on_frozen_or_thawed, FILESYSTEM_TYPE_MAX, CHECK_FROZEN_EVENTS },
	{ "reconfigure_super", on_reconfigure_entry, on_reconfigured, FILESYSTEM_TYPE_MAX,
	  CHECK_READ_ONLY_EVENTS },
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

/* true: it is to be unregistered. */
static bool probe_update(struct probe *probe, u64 wanted)
{
	bool is_wanted = wanted & probe->events;

	/* What was not there may come with its filesystem's module: asked again next time. */
	if (!wanted)
		probe->is_refused = false;
	if (is_wanted && !probe->is_on && !probe->is_refused)
		probe_start(probe);
	if (is_wanted || !probe->is_on)
		return false;
	probe->is_on = false;
	return true;
}

void probe_update_all(const u64 *wanted)
{
	struct kretprobe *off[ARRAY_SIZE(probes)];
	int i, n_off = 0;

	lockdep_assert_held(&control_lock);
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (probe_update(&probes[i], wanted[probes[i].type]))
			off[n_off++] = &probes[i].kretprobe;
	/* At once, as each call waits until nobody is in a handler. */
	unregister_kretprobes(off, n_off);
}

u64 probe_capable(enum filesystem_type type)
{
	u64 events = 0;
	int i;

	lockdep_assert_held(&control_lock);
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].is_on &&
		    (probes[i].type == type || probes[i].type == FILESYSTEM_TYPE_MAX))
			events |= probes[i].events;
	return events;
}
