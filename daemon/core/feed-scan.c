/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>

#include "daemon/core/feed-internal.h"

int feed_scan_begin(struct feed *feed)
{
	struct process_scan *scan;
	int r;

	assert(feed);

	r = process_scan_new(&scan);
	if (r < 0)
		return r;

	process_scan_free(feed->scan);
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

/* What waits; Return: whether somebody is there of whom neither it nor the scan told the parents. */
static bool release(struct feed *feed, struct process_scan *scan)
{
	for (size_t i = 0; i < feed->n_events; i++) {
		process_scan_note(scan, feed->table, &feed->events[i]);
		feed_apply(feed, &feed->events[i]);
	}
	feed->n_events = 0;
	feed_release(feed);
	return process_scan_is_doubtful(scan);
}

int feed_scan_apply(struct feed *feed)
{
	_cleanup_(process_scan_freep) struct process_scan *scan = NULL;
	bool lossless, complete, doubtful;
	int r;

	assert(feed);

	if (!feed->scan || !feed->scan_done)
		return -EAGAIN;

	lossless = !feed->broken;
	feed_tell_lost(feed);
	r = process_scan_apply(feed->scan, feed->table, lossless, &scan_ops, feed);
	if (r < 0) {
		feed->scan = process_scan_free(feed->scan);
		feed->broken = true;
		return r;
	}

	complete = feed->scan_complete;
	scan = feed->scan;
	feed->scan = NULL;
	feed->broken = false;
	feed->rules_changed &= !feed->scan_matches;
	doubtful = release(feed, scan);
	process_scan_sweep(feed->table, &scan_ops, feed);
	groups_ready(feed->groups, complete, doubtful);
	relays_ready(feed->relays);
	feed_purge(feed);
	return 0;
}
