/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/feed-internal.h"

/* The clock is looked at after so many events. */
#define CLOCK_EVENTS 64

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

void feed_move_up(struct feed *feed)
{
	size_t n = feed->n_released;

	memmove(feed->events, feed->events + n, (feed->n_events - n) * sizeof(*feed->events));
	feed->n_events -= n;
	feed->n_replay -= n < feed->n_replay ? n : feed->n_replay;
	feed->n_overdue -= n < feed->n_overdue ? n : feed->n_overdue;
	feed->n_released = 0;
}

/* Of what waits, until @n are applied; Return: false where that takes another turn. */
static bool release_some(struct feed *feed, size_t n)
{
	uint64_t began_ns = feed->ops->relay.now_ns(feed->userdata);

	while (feed->n_released < n) {
		const struct wire_proc_event event = feed->events[feed->n_released++];

		if (feed->replaying)
			process_scan_note(feed->scan, feed->table, &event);
		feed_apply(feed, &event);
		if (feed->n_released % CLOCK_EVENTS == 0 && feed->n_released < n &&
		    feed->ops->relay.now_ns(feed->userdata) - began_ns >= FEED_SLICE_NS) {
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
	if (!release_some(feed, feed->n_overdue))
		return false;

	feed->n_overdue = 0;
	if (feed->n_released == feed->n_events)
		feed_take_records(feed);
	return true;
}

static void end_replay(struct feed *feed)
{
	bool doubtful = process_scan_is_doubtful(feed->scan);

	feed_drop_scan(feed);
	process_scan_sweep(feed->table, &scan_ops, feed);
	groups_ready(feed->groups, feed->scan_complete, doubtful);
	relays_ready(feed->relays);
}

static int begin_replay(struct feed *feed)
{
	bool lossless = !feed->broken;
	int r;

	feed_tell_lost(feed);
	r = process_scan_apply(feed->scan, feed->table, lossless, &scan_ops, feed);
	if (r < 0) {
		feed_drop_scan(feed);
		feed->broken = true;
		return r;
	}

	feed->broken = false;
	feed->rules_changed &= !feed->scan_matches;
	feed->replaying = true;
	feed->n_replay = feed->n_events;
	for (size_t i = feed->n_released; i < feed->n_replay; i++)
		process_table_foresee(feed->table, &feed->events[i]);
	return 0;
}

int feed_scan_apply(struct feed *feed)
{
	int r;

	assert(feed);

	if (feed->scan ? !feed->scan_done : feed->broken || feed->n_events == 0)
		return -EAGAIN;
	if (feed->scan && !feed->replaying) {
		r = begin_replay(feed);
		if (r < 0)
			return r;
	}

	if (feed->replaying) {
		if (!release_some(feed, feed->n_replay))
			return FEED_E_MORE;
		end_replay(feed);
	}
	/* And what came in the meantime. */
	if (!release_some(feed, feed->n_events))
		return FEED_E_MORE;
	feed_take_records(feed);
	feed_purge(feed);
	return 0;
}
