// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/gfs2_ondisk.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "check.h"
#include "compat.h"
#include "filesystem.h"
#include "tell.h"

/* How fast a filesystem may fill: decides when to look again. */
#define FILL_BYTES_PER_MS (1U << 20)
#define FILL_INODES_PER_MS 100

static unsigned int check_min_ms = 50;
module_param(check_min_ms, uint, 0644);
MODULE_PARM_DESC(check_min_ms,
		 "Shortest pause between two checks of a filesystem near a level, in ms (50)");

static unsigned int check_max_ms = 1000;
module_param(check_max_ms, uint, 0644);
MODULE_PARM_DESC(check_max_ms, "Longest pause between two checks of a filesystem, in ms (1000)");

static unsigned int check_ppm = 1000;
module_param(check_ppm, uint, 0644);
MODULE_PARM_DESC(check_ppm, "What checks may take of a processor, in millionths; 0: any (1000)");

/* Filesystems that would be looked at more often than each check_max_ms: they share check_ppm. */
static atomic_t n_near;

bool check_is_possible(const struct super_block *sb)
{
	/* fuseblk has a device, and a daemon that answers; those of clusters wait for other machines. */
	if (!sb->s_op->statfs || sb->s_magic == FUSE_SUPER_MAGIC ||
	    sb->s_magic == OCFS2_SUPER_MAGIC || sb->s_magic == GFS2_MAGIC)
		return false;
	return (sb->s_type->fs_flags & FS_REQUIRES_DEV) || sb->s_magic == TMPFS_MAGIC ||
	       sb->s_magic == BTRFS_SUPER_MAGIC;
}

void check_set_levels(struct fs_request *request, struct level *levels, unsigned int n_levels)
{
	mutex_lock(&request->fs->lock);
	swap(request->levels, levels);
	request->n_levels = n_levels;
	mutex_unlock(&request->fs->lock);
	kfree(levels);
	filesystem_queue(request->fs, &request->fs->check, 0);
}

static bool level_is_same(const struct level *a, const struct level *b)
{
	return a->resource == b->resource && a->below == b->below && a->above == b->above &&
	       a->below_id == b->below_id && !strcmp(a->name, b->name);
}

/* Somebody else asked for the same before: one event serves both. */
static bool level_is_told_by_other(struct filesystem *fs, const struct fs_request *request,
				   const struct level *level)
{
	struct fs_request *other;
	unsigned int i;

	list_for_each_entry(other, &fs->requests, fs_node) {
		if (other == request)
			return false;
		for (i = 0; i < other->n_levels; i++)
			if (level_is_same(&other->levels[i], level))
				return true;
	}
	return false;
}

static void level_check(struct filesystem *fs, struct fs_request *request, struct level *level,
			u64 available)
{
	bool is_new = level->is_new;
	struct event event = { .data = available };

	level->is_new = false;
	if (!level->is_below && available <= level->below)
		event.id = level->below_id;
	else if (level->is_below && available > level->above)
		event.id = level->above_id;
	else
		return;
	level->is_below = !level->is_below;
	if (!is_new && level_is_told_by_other(fs, request, level))
		return;
	strscpy(event.level, level->name, sizeof(event.level));
	tell_event(fs, &event);
}

/* How many ms the value cannot pass this level for, at the assumed rate */
static u64 level_pause(const struct level *level, u64 available, u64 per_ms)
{
	u64 at = level->is_below ? level->above : level->below;
	u64 distance = available > at ? available - at : at - available;

	return div64_u64(distance, per_ms ?: 1);
}

/* Looks at all levels; returns the pause until the next look in ms. */
static u64 check_levels(struct filesystem *fs, const struct kstatfs *statfs)
{
	u64 blocks_per_ms = FILL_BYTES_PER_MS / max_t(u64, statfs->f_bsize, 512);
	struct fs_request *request;
	u64 pause = U64_MAX;
	unsigned int i;

	list_for_each_entry(request, &fs->requests, fs_node) {
		for (i = 0; i < request->n_levels; i++) {
			struct level *level = &request->levels[i];
			bool is_blocks = level->resource == FS_LEVEL_BLOCKS;
			u64 available = is_blocks ? statfs->f_bavail : statfs->f_ffree;

			/* Where inodes are not counted, none can run out. */
			if (!is_blocks && !statfs->f_files)
				continue;
			level_check(fs, request, level, available);
			pause = min(pause,
				    level_pause(level, available,
						is_blocks ? blocks_per_ms : FILL_INODES_PER_MS));
		}
	}
	return pause;
}

static void check_tell_pending(struct filesystem *fs, const struct kstatfs *statfs)
{
	struct pending pending[FILESYSTEM_PENDING_MAX];
	unsigned int i, n = tell_take_pending(fs, pending);

	for (i = 0; i < n; i++) {
		u32 id = pending[i].id;

		/* Space is left, so it was an inode that was not there. */
		if (id == FS_WARN_ENOSPC_META && statfs && statfs->f_files && !statfs->f_ffree &&
		    statfs->f_bavail)
			id = FS_EVENT_ENOSPC_INODES;
		tell(fs, id, pending[i].caused_id, ENOSPC, 0);
	}
}

/*
 * States that no hook has told. Who changed one is known to its hook alone, which
 * therefore has until the next look. The caller holds s_umount, which whoever
 * changes them takes to write.
 */
static void check_states(struct filesystem *fs, const struct super_block *sb)
{
	bool is_read_only = sb_rdonly(sb);
	int frozen = READ_ONCE(sb->s_writers.frozen);
	/* On its way into the one or the other, it is neither. */
	bool is_stable = frozen == SB_UNFROZEN || frozen == SB_FREEZE_COMPLETE;

	if (is_read_only == fs->seen_read_only)
		tell_read_only(fs, is_read_only, 0);
	if (frozen == fs->seen_frozen && is_stable)
		tell_frozen(fs, frozen != SB_UNFROZEN, 0);
	fs->seen_read_only = is_read_only;
	fs->seen_frozen = frozen;
}

/*
 * 0; -EBUSY: somebody mounts, remounts, freezes or unmounts it; -ENODEV: it is
 * gone; -EOPNOTSUPP: without levels; or what ->statfs says. ->lock is not held
 * while that runs: one that never returns holds up its own umount and nobody's
 * request.
 */
static int check_look(struct filesystem *fs, struct kstatfs *ret)
{
	struct super_block *sb;
	int error = 0;

	mutex_lock(&fs->lock);
	sb = fs->sb;
	if (!sb)
		error = -ENODEV;
	else if (!down_read_trylock(&sb->s_umount))
		error = -EBUSY;
	mutex_unlock(&fs->lock);
	if (error)
		return error;

	if (!compat_sb_is_alive(sb)) {
		error = -EBUSY;
	} else {
		check_states(fs, sb);
		memset(ret, 0, sizeof(*ret));
		error = check_is_possible(sb) ? sb->s_op->statfs(sb->s_root, ret) : -EOPNOTSUPP;
	}
	up_read(&sb->s_umount);
	return error;
}

/*
 * The moving average of what its checks take. One that was interrupted, or waited, counts
 * for little: only what goes on makes the pauses longer.
 */
static void check_measure(struct filesystem *fs, u64 began_ns)
{
	u64 took_ns = ktime_get_ns() - began_ns + CHECK_AROUND_NS;

	fs->check_ns = (7 * fs->check_ns + min(took_ns, 4 * fs->check_ns)) / 8;
}

static void check_set_near(struct filesystem *fs, bool is_near)
{
	if (fs->is_near == is_near)
		return;
	fs->is_near = is_near;
	atomic_add(is_near ? 1 : -1, &n_near);
}

/*
 * The pause in ms, @pause: which the levels want. Each filesystem near one has an equal part of
 * what all may take: one that is slow to answer lengthens its own pauses alone.
 */
static u64 check_pause(struct filesystem *fs, u64 pause)
{
	u32 ppm = READ_ONCE(check_ppm), at_least = READ_ONCE(check_min_ms);
	u32 at_most = max(at_least, READ_ONCE(check_max_ms));

	check_set_near(fs, pause < at_most);
	if (fs->is_near && ppm)
		pause = max(pause, div_u64(fs->check_ns * atomic_read(&n_near), ppm));
	return clamp_t(u64, pause, at_least, at_most);
}

void check_deinit(struct filesystem *fs)
{
	check_set_near(fs, false);
}

void check_filesystem(struct work_struct *work)
{
	struct filesystem *fs = container_of(to_delayed_work(work), struct filesystem, check);
	u64 began_ns = ktime_get_ns(), pause = U64_MAX;
	bool is_wanted = false;
	struct kstatfs statfs;
	int error;

	error = check_look(fs, &statfs);
	mutex_lock(&fs->lock);
	if (fs->sb) {
		if (!error)
			pause = check_levels(fs, &statfs);
		else if (error != -EOPNOTSUPP)
			pause = 0;
		check_tell_pending(fs, error ? NULL : &statfs);
		check_measure(fs, began_ns);
		is_wanted = pause != U64_MAX || (fs->events & CHECK_STATE_EVENTS);
	}
	if (is_wanted)
		filesystem_queue(fs, &fs->check, msecs_to_jiffies(check_pause(fs, pause)) + 1);
	else
		check_set_near(fs, false);
	mutex_unlock(&fs->lock);
	filesystem_put(fs);
}
