/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>

#include "daemon/core/feed-internal.h"

#define NSEC_PER_SEC 1000000000ULL

static uint64_t ticks_of(const struct feed *feed, uint64_t monotonic_ns)
{
	uint64_t ns = monotonic_ns + (uint64_t)feed->clock.boot_minus_monotonic_ns;
	uint64_t rate = feed->clock.ticks_per_second;

	return ns / NSEC_PER_SEC * rate + ns % NSEC_PER_SEC * rate / NSEC_PER_SEC;
}

static void remove_process(struct feed *feed, struct process *process)
{
	if (process->ended)
		TAILQ_REMOVE(&feed->ended, process, settling);
	process_table_remove(feed->table, process);
}

static void purge_one(struct feed *feed, struct process *process)
{
	groups_drop_empty(process);
	if (process->relayed && !relays_want_uid(feed->relays, process->uid))
		process_table_set_relayed(feed->table, process, false);
	if (!process_is_followed(process))
		remove_process(feed, process);
}

bool feed_purge(struct feed *feed, struct slice *slice)
{
	while (feed->purge_wanted || feed->purging) {
		struct process *process;

		if (!feed->purging) {
			feed->purge_wanted = false;
			feed->purging = true;
			process_walk_begin(feed->table, &feed->purge);
		}
		process = process_walk_next(&feed->purge);
		if (process) {
			purge_one(feed, process);
		} else {
			process_walk_end(&feed->purge);
			feed->purging = false;
		}
		if (!slice_spend(slice, 1))
			break;
	}

	return !feed->purge_wanted && !feed->purging;
}

void feed_settle(struct feed *feed, struct process *process, bool missing)
{
	groups_settle(feed->groups, process, missing);
	remove_process(feed, process);
}

static void end(struct feed *feed, struct process *process, uint64_t monotonic_us)
{
	const struct process_change change = {
		.kind = PROCESS_ENDED,
		.process = process,
		.pid = process->pid,
	};

	TAILQ_INSERT_TAIL(&feed->ended, process, settling);
	process->round = feed->round;
	groups_note(feed->groups, &change, monotonic_us);
	process_policy_note(feed->policy, &change, monotonic_us);
	if (!groups_account(process) || process->n_records >= process->n_exits)
		feed_settle(feed, process, false);
}

void feed_set_relayed(struct feed *feed, struct process *process, bool relayed)
{
	if (!process_table_set_relayed(feed->table, process, relayed))
		relays_note_full(feed->relays, process->uid);
}

/* What it is called and where it belongs may be others' from now on. */
static void identify(struct feed *feed, const struct wire_proc_event *event,
		     struct process *process)
{
	struct process_identity identity = {};
	uint64_t rules;

	if (!process_policy_is_active(feed->policy))
		return;
	if (process_policy_wants_identity(feed->policy)) {
		if (!feed->ops->identify(event->tgid, &identity, feed->userdata))
			return;
	} else if (event->kind == WIRE_PROC_UID) {
		identity.uid_known = event->ruid == event->euid;
		identity.uid = event->ruid;
	} else {
		return;
	}

	rules = process_policy_match(feed->policy, &identity);
	if (!process && rules && process_table_add(feed->table, event->tgid, &process) == 0) {
		process->uid_known = identity.uid_known;
		process->uid = identity.uid;
		process->born_ticks = ticks_of(feed, event->monotonic_ns);
		process->threads_missing = event->kind != WIRE_PROC_EXEC;
	}
	if (process)
		process->rules = rules;
}

/* Whoever keeps another saved uid, or had it by now, may be root again at any time. */
static void look_at_uids(struct feed *feed, struct process *process)
{
	uint32_t uids[4];

	if (!feed->ops->read_uids || process->uid_split)
		return;
	if (!feed->ops->read_uids(process->pid, uids, feed->userdata)) {
		process->uid_mixed = process->uid_saved = true;
		return;
	}

	process->uid_saved = uids[2] != process->uid || uids[3] != process->uid;
	process->uid_mixed =
		process->uid_saved || uids[0] != process->uid || uids[1] != process->uid;
}

/* Return: NULL where it has no room, or the scan has told of it, or of who has the pid since. */
static struct process *add_changed(struct feed *feed, const struct wire_proc_event *event)
{
	struct process *process;
	int r;

	r = process_table_add(feed->table, event->tgid, &process);
	if (r < 0) {
		if (r != -EEXIST)
			relays_note_full(feed->relays, event->ruid);
		return NULL;
	}

	process->uid = event->ruid;
	process->uid_known = true;
	process->uid_mixed = process->uid_split = process->uid_saved = event->ruid != event->euid;
	process->born_ticks = ticks_of(feed, event->monotonic_ns);
	/* It was somebody else's, whose threads are not known. */
	process->threads_missing = true;
	return process;
}

static void change_uid(struct feed *feed, const struct wire_proc_event *event,
		       struct process *process)
{
	/* A setuid program too: it may become its user's again, and not quite. */
	bool wanted = event->tid == event->tgid && relays_want_uid(feed->relays, event->ruid);

	if (!process && wanted)
		process = add_changed(feed, event);
	if (process && event->tid == event->tgid) {
		look_at_uids(feed, process);
		feed_set_relayed(feed, process, wanted);
	}
	identify(feed, event, process);
}

/* @process may be gone afterwards. */
static void drop_unfollowed(struct feed *feed, struct process *process)
{
	if (process && !process->ended && !process_is_followed(process))
		remove_process(feed, process);
}

static void note(struct feed *feed, const struct wire_proc_event *event,
		 const struct process_change *change)
{
	uint64_t monotonic_us = event->monotonic_ns / 1000;
	struct process *process = change->process;

	switch (change->kind) {
	case PROCESS_FORKED:
		if (process->uid_stale && feed->scan_phase == FEED_SCAN_REPLAY)
			process_scan_take_uids(feed->scan, process);
		if (change->parent->relayed)
			feed_set_relayed(feed, process, true);
		groups_note(feed->groups, change, monotonic_us);
		process_policy_note(feed->policy, change, monotonic_us);
		relays_note_own(feed->relays, event, change->parent);
		drop_unfollowed(feed, process);
		break;
	case PROCESS_EXECED:
		groups_note(feed->groups, change, monotonic_us);
		identify(feed, event, process);
		drop_unfollowed(feed, process);
		break;
	case PROCESS_UID:
		change_uid(feed, event, process);
		drop_unfollowed(feed, process);
		break;
	case PROCESS_ENDED:
		end(feed, process, monotonic_us);
		break;
	case PROCESS_VANISHED:
	case PROCESS_UNFOUND:
		groups_note(feed->groups, change, monotonic_us);
		process_table_remove(feed->table, process);
		break;
	case PROCESS_FULL:
		groups_note(feed->groups, change, monotonic_us);
		relays_note_own(feed->relays, event, change->parent);
		if (change->parent->relayed)
			relays_note_full(feed->relays, change->parent->uid);
		break;
	case PROCESS_NONE:
		if (event->kind == WIRE_PROC_EXEC && process_policy_wants_identity(feed->policy))
			identify(feed, event, NULL);
		else if (event->kind == WIRE_PROC_UID)
			change_uid(feed, event, NULL);
		break;
	case PROCESS_THREAD_ENDED:
		break;
	}
}

void feed_apply(struct feed *feed, const struct wire_proc_event *event)
{
	struct process_change change;
	const uint64_t ticks = ticks_of(feed, event->monotonic_ns);

	while (process_table_apply(feed->table, event, ticks, &change))
		note(feed, event, &change);
	note(feed, event, &change);
}

void feed_apply_record(struct feed *feed, const struct wire_taskstats *record, uint64_t before)
{
	struct process *process =
		process_table_find_record(feed->table, record->tid, record->tgid, before);

	if (!process)
		return;

	groups_record(process, record);
	if (process->ended && process->n_records >= process->n_exits)
		feed_settle(feed, process, false);
}
