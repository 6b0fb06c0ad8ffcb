// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/module.h>

#include "check.h"
#include "culprit.h"
#include "event.h"
#include "filesystem.h"
#include "fs_event_notify.h"
#include "tell.h"

#define TELL_PAUSE_NS NSEC_PER_SEC
/* Between two checks because of processes that find no space: they may try without end. */
#define HURRY_PAUSE_NS (50 * NSEC_PER_MSEC)

/* @count: of repetitions, 0: it is none. */
static void tell_push(struct filesystem *fs, u32 id, const struct telling *telling, u32 count)
{
	struct event event = {
		.id = id,
		.fs_id = fs->id,
		.dev = fs->dev,
		.caused_id = telling->caused_id,
		.data = telling->error,
		.error = telling->error,
		.inode = telling->inode,
		.count = count,
	};

	event_push(&event);
}

/* The entry for this process, or a free one, or the one for all others. */
static struct telling *tell_find(struct telling *tellings, u32 pid, u64 now)
{
	struct telling *free = &tellings[FILESYSTEM_TELLINGS - 1];
	int i;

	for (i = FILESYSTEM_TELLINGS - 2; i >= 0; i--) {
		if (now < tellings[i].until_ns || tellings[i].count) {
			if (tellings[i].caused_id == pid)
				return &tellings[i];
		} else {
			free = &tellings[i];
		}
	}
	return free;
}

void tell(struct filesystem *fs, u32 id, u32 pid, u32 error, u64 inode)
{
	struct telling now_told = { .caused_id = pid, .error = error, .inode = inode };
	struct telling *telling;
	unsigned long flags;
	bool merged;
	u64 now;

	if (!(READ_ONCE(fs->events) & FS_EVENT_BIT(id)))
		return;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	if (fs->is_gone) {
		raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
		return;
	}
	now = ktime_get_mono_fast_ns();
	telling = tell_find(fs->tellings[id], pid, now);
	merged = now < telling->until_ns || telling->count;
	if (merged) {
		telling->count++;
		if (telling->caused_id != pid)
			telling->caused_id = 0;
	} else {
		*telling = now_told;
		telling->until_ns = now + TELL_PAUSE_NS;
		/* Under the lock: two tellings are numbered in their order. */
		tell_push(fs, id, telling, 0);
	}
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
	if (merged)
		filesystem_queue(fs, &fs->tell, nsecs_to_jiffies(TELL_PAUSE_NS));
}

/* Tells what was merged until @now; true: there is more. The caller holds ->tell_lock. */
static bool tell_rest(struct filesystem *fs, u64 now)
{
	struct telling *telling;
	bool more = false;
	int id, i;

	lockdep_assert_held(&fs->tell_lock);
	for (id = 1; id <= FS_EVENT_ID_MAX; id++) {
		for (i = 0; i < FILESYSTEM_TELLINGS; i++) {
			telling = &fs->tellings[id][i];
			if (!telling->count)
				continue;
			if (now < telling->until_ns) {
				more = true;
				continue;
			}
			if (fs->events & FS_EVENT_BIT(id))
				tell_push(fs, id, telling, telling->count);
			telling->count = 0;
			telling->until_ns = now + TELL_PAUSE_NS;
		}
	}
	return more;
}

void tell_merged(struct work_struct *work)
{
	struct filesystem *fs = container_of(to_delayed_work(work), struct filesystem, tell);
	unsigned long flags;
	bool more = false;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	if (!fs->is_gone)
		more = tell_rest(fs, ktime_get_mono_fast_ns());
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
	if (more)
		filesystem_queue(fs, &fs->tell, nsecs_to_jiffies(TELL_PAUSE_NS));
	filesystem_put(fs);
}

/* The caller holds ->tell_lock. */
static void tell_event_locked(struct filesystem *fs, struct event *event)
{
	lockdep_assert_held(&fs->tell_lock);
	event->fs_id = fs->id;
	event->dev = fs->dev;
	if (!fs->is_gone && (READ_ONCE(fs->events) & FS_EVENT_BIT(event->id)))
		event_push(event);
}

void tell_event(struct filesystem *fs, struct event *event)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	tell_event_locked(fs, event);
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
}

void tell_end(struct filesystem *fs, bool is_unmounted)
{
	struct event event = {
		.id = FS_EVENT_UNMOUNTED,
		.fs_id = fs->id,
		.dev = fs->dev,
		.caused_id = culprit_pid(),
	};
	struct telling telling = { .error = ENOSPC };
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	fs->is_gone = true;
	if (is_unmounted) {
		tell_rest(fs, U64_MAX - TELL_PAUSE_NS);
		for (i = 0; i < fs->n_pending; i++) {
			u32 id = fs->pending[i].id;

			telling.caused_id = fs->pending[i].caused_id;
			if (fs->events & FS_EVENT_BIT(id))
				tell_push(fs, id, &telling, 0);
		}
		event_push(&event);
	}
	fs->n_pending = 0;
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
}

/* How long a check has to wait. The caller holds ->tell_lock. */
static u64 tell_hurry(struct filesystem *fs)
{
	u64 now = ktime_get_mono_fast_ns();

	lockdep_assert_held(&fs->tell_lock);
	if (now < fs->hurried_ns + HURRY_PAUSE_NS)
		return fs->hurried_ns + HURRY_PAUSE_NS - now;
	fs->hurried_ns = now;
	return 0;
}

void tell_full(struct filesystem *fs, u32 id, u32 pid)
{
	bool full, is_new;
	unsigned long flags;
	unsigned int i;
	u64 pause = 0;

	if (!(READ_ONCE(fs->events) & CHECK_FULL_EVENTS))
		return;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	for (i = 0; i < fs->n_pending; i++)
		if (fs->pending[i].caused_id == pid && fs->pending[i].id == id)
			break;
	full = i == FILESYSTEM_PENDING_MAX;
	is_new = i == fs->n_pending && !full;
	if (is_new) {
		fs->pending[fs->n_pending++] = (struct pending){ .id = id, .caused_id = pid };
		pause = tell_hurry(fs);
	}
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);

	if (full)
		tell(fs, id, pid, ENOSPC, 0);
	/* For the others that are pending, a check has been asked for. */
	if (is_new)
		filesystem_requeue(fs, &fs->check, nsecs_to_jiffies(pause));
}

unsigned int tell_take_pending(struct filesystem *fs, struct pending *ret)
{
	unsigned long flags;
	unsigned int n;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	n = fs->n_pending;
	memcpy(ret, fs->pending, n * sizeof(*ret));
	fs->n_pending = 0;
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
	return n;
}

/* Not merged: of states the last one counts. The caller holds ->tell_lock. */
static void tell_read_only_locked(struct filesystem *fs, bool is_read_only, u32 pid)
{
	struct event event = { .caused_id = pid };

	is_read_only |= fs->is_aborted;
	if (fs->is_read_only == is_read_only)
		return;
	fs->is_read_only = is_read_only;
	event.id = is_read_only ? FS_ERR_REMOUNT_RO : FS_EVENT_READ_WRITE;
	tell_event_locked(fs, &event);
}

void tell_read_only(struct filesystem *fs, bool is_read_only, u32 pid)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	tell_read_only_locked(fs, is_read_only, pid);
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
}

void tell_aborted(struct filesystem *fs, u32 pid)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	fs->is_aborted = true;
	tell_read_only_locked(fs, true, pid);
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
}

void tell_frozen(struct filesystem *fs, bool is_frozen, u32 pid)
{
	struct event event = { .caused_id = pid };
	unsigned long flags;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	if (fs->is_frozen != is_frozen) {
		fs->is_frozen = is_frozen;
		event.id = is_frozen ? FS_EVENT_FROZEN : FS_EVENT_THAWED;
		tell_event_locked(fs, &event);
	}
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
}

u64 tell_get_holds(struct filesystem *fs)
{
	unsigned long flags;
	u64 holds = 0;

	raw_spin_lock_irqsave(&fs->tell_lock, flags);
	if (fs->is_frozen)
		holds |= FS_EVENT_BIT(FS_EVENT_FROZEN);
	if (fs->is_read_only)
		holds |= FS_EVENT_BIT(FS_ERR_REMOUNT_RO);
	raw_spin_unlock_irqrestore(&fs->tell_lock, flags);
	return holds;
}

void fs_event_notify(struct super_block *sb, unsigned int event_id)
{
	struct filesystem *fs;

	if (!sb || event_id == FS_EVENT_NONE || event_id > FS_EVENT_ID_MAX ||
	    event_id == FS_EVENT_UNMOUNTED || (FS_EVENT_BIT(event_id) & CHECK_LEVEL_EVENTS))
		return;
	rcu_read_lock();
	fs = filesystem_find_sb(sb);
	if (fs)
		tell(fs, event_id, culprit_pid(), 0, 0);
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(fs_event_notify);
