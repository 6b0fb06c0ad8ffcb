/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/feed-internal.h"

int feed_scan_begin(struct feed *feed)
{
	struct process_scan *scan;
	int r;

	assert(feed);

	r = process_scan_new(&scan);
	if (r < 0)
		return r;

	feed_drop_scan(feed);
	feed->scan = scan;
	feed->scan_phase = FEED_SCAN_READ;
	groups_scan_begun(feed->groups);
	feed->scan_done = false;
	feed->scan_complete = true;
	feed->scan_matches = feed->rules_changed || feed->broken;
	feed->statistics.scans++;
	return 0;
}

static uint64_t match(struct feed *feed, const struct process_scan_entry *entry)
{
	struct process_identity identity = {};

	if (!process_policy_is_active(feed->policy))
		return 0;
	if (process_policy_wants_identity(feed->policy)) {
		if (!feed->ops->identify(entry->pid, &identity, feed->userdata))
			return 0;
	} else {
		identity.uid_known = !entry->uid_mixed;
		identity.uid = entry->uid;
	}

	return process_policy_match(feed->policy, &identity);
}

int feed_scan_add(struct feed *feed, const struct process_scan_entry *entry)
{
	struct process_scan_entry matched;
	int r;

	assert(feed && entry);

	/* Events were lost meanwhile: another will be asked for. */
	if (!feed->scan)
		return 0;

	matched = *entry;
	matched.rules = feed->scan_matches ? match(feed, entry) : 0;
	r = process_scan_add(feed->scan, &matched);
	if (r < 0)
		feed->scan_complete = false;
	return r;
}

void feed_scan_end(struct feed *feed, bool complete)
{
	assert(feed);

	feed->scan_done = true;
	feed->scan_complete &= complete;
}

static void on_found(struct process *process, struct process *parent, void *userdata)
{
	struct feed *feed = userdata;

	groups_found(feed->groups, process, parent);
	if (feed->scan_matches)
		process->rules = process_scan_find(feed->scan, process->pid)->rules;
	if (process->uid_known && relays_want_uid(feed->relays, process->uid))
		feed_set_relayed(feed, process, true);
}

static bool on_wanted(const struct process_scan_entry *entry, void *userdata)
{
	struct feed *feed = userdata;

	return groups_wanted(feed->groups, entry->pid, entry->start_ticks) ||
	       relays_want_uid(feed->relays, entry->uid) || entry->rules;
}

static void on_gone(struct process *process, void *userdata)
{
	struct feed *feed = userdata;

	groups_vanished(feed->groups, process);
}

static void on_full(const struct process_scan_entry *entry, struct process *parent, void *userdata)
{
	struct feed *feed = userdata;

	groups_full(feed->groups, parent, entry->pid);
	relays_note_full(feed->relays, entry->uid);
}

static const struct process_scan_ops scan_ops = {
	.found = on_found,
	.wanted = on_wanted,
	.gone = on_gone,
	.full = on_full,
};

static size_t moved_up(size_t place, size_t n)
{
	return place > n ? place - n : 0;
}

void feed_move_up(struct feed *feed)
{
	size_t n = feed->n_released;

	memmove(feed->events, feed->events + n, (feed->n_events - n) * sizeof(*feed->events));
	feed->n_events -= n;
	feed->n_gone += n;
	feed->n_overdue = moved_up(feed->n_overdue, n);
	feed->n_certain = moved_up(feed->n_certain, n);
	feed->n_foreseen = moved_up(feed->n_foreseen, n);
	feed->n_replay = moved_up(feed->n_replay, n);
	feed->n_released = 0;
}

/* Records that came before it are those of whoever had the pid. */
static void number_fork(struct feed *feed, const struct wire_proc_event *event)
{
	struct process *process;

	if (event->kind != WIRE_PROC_FORK || event->tid != event->tgid)
		return;
	process = process_table_find(feed->table, event->tgid);
	if (process)
		process->fork_number = feed->n_gone + feed->n_released;
}

/* Of what waits, until @n are applied; Return: false where that takes another turn. */
static bool release_some(struct feed *feed, size_t n, struct slice *slice)
{
	while (feed->n_released < n) {
		const struct wire_proc_event event = feed->events[feed->n_released++];

		if (feed->scan_phase == FEED_SCAN_REPLAY)
			process_scan_note(feed->scan, feed->table, &event);
		process_table_set_stale(feed->table,
					feed->broken && feed->n_released > feed->n_certain);
		feed_apply(feed, &event);
		number_fork(feed, &event);
		if (!slice_spend(slice, 1) && feed->n_released < n) {
			/* Not each time: many may wait. */
			if (feed->n_released >= feed->n_events / 2)
				feed_move_up(feed);
			return false;
		}
	}
	return true;
}

/* The records wait for the ends that wait with the rest. */
bool feed_release_overdue(struct feed *feed)
{
	struct slice slice = feed_slice(feed);

	if (!release_some(feed, feed->n_overdue, &slice))
		return false;
	if (feed->n_released == feed->n_events && !feed_take_records(feed, &slice))
		return false;

	feed->n_overdue = 0;
	return true;
}

static int begin_apply(struct feed *feed)
{
	bool lossless = !feed->broken;
	int r;

	feed_tell_lost(feed);
	r = process_scan_begin(feed->scan, feed->table, lossless, &scan_ops, feed);
	if (r < 0)
		return r;

	relays_scan_begun(feed->relays);
	feed->scan_phase = FEED_SCAN_APPLY;
	return 0;
}

/* Return: 0, FEED_E_MORE, -ENOMEM. */
static int apply(struct feed *feed, struct slice *slice)
{
	int r;

	r = feed->scan_phase == FEED_SCAN_READ ? begin_apply(feed) : 0;
	if (r == 0)
		r = process_scan_apply(feed->scan, slice);
	if (r < 0) {
		feed_drop_scan(feed);
		feed->broken = true;
		return r;
	}
	if (r == PROCESS_SCAN_E_MORE)
		return FEED_E_MORE;

	feed->broken = false;
	process_table_set_stale(feed->table, false);
	feed->rules_changed &= !feed->scan_matches;
	feed->n_foreseen = feed->n_released;
	feed->n_replay = feed->n_events;
	feed->scan_phase = FEED_SCAN_FORESEE;
	return 0;
}

static int foresee(struct feed *feed, struct slice *slice)
{
	while (feed->n_foreseen < feed->n_replay) {
		const struct wire_proc_event *event = &feed->events[feed->n_foreseen++];

		process_table_foresee(feed->table, event);
		process_scan_foresee(feed->scan, event);
		if (!slice_spend(slice, 1))
			return FEED_E_MORE;
	}

	feed->scan_phase = FEED_SCAN_REPLAY;
	return 0;
}

static int sweep(struct feed *feed, struct slice *slice)
{
	bool doubtful;

	if (process_scan_sweep(feed->scan, slice) == PROCESS_SCAN_E_MORE)
		return FEED_E_MORE;

	doubtful = process_scan_is_doubtful(feed->scan);
	feed_drop_scan(feed);
	groups_ready(feed->groups, feed->scan_complete, doubtful);
	relays_ready(feed->relays, doubtful);
	return 0;
}

/* From one phase to the next. Return: 0 when it is done, FEED_E_MORE, -ENOMEM. */
static int go_on(struct feed *feed, struct slice *slice)
{
	int r = 0;

	if (feed->scan_phase <= FEED_SCAN_APPLY)
		r = apply(feed, slice);
	if (r == 0 && feed->scan_phase == FEED_SCAN_FORESEE)
		r = foresee(feed, slice);
	if (r == 0 && feed->scan_phase == FEED_SCAN_REPLAY) {
		if (!release_some(feed, feed->n_replay, slice))
			return FEED_E_MORE;
		feed->scan_phase = FEED_SCAN_SWEEP;
	}
	return r == 0 ? sweep(feed, slice) : r;
}

int feed_scan_apply(struct feed *feed)
{
	struct slice slice;
	int r;

	assert(feed);

	if (feed->scan ? !feed->scan_done : feed->broken || !feed_is_waiting(feed))
		return -EAGAIN;

	slice = feed_slice(feed);
	if (feed->scan) {
		r = go_on(feed, &slice);
		if (r != 0)
			return r;
	}
	/* And what came in the meantime. */
	if (!release_some(feed, feed->n_events, &slice) || !feed_take_records(feed, &slice))
		return FEED_E_MORE;
	feed->purge_wanted = true;
	return 0;
}
