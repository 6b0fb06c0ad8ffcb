/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a feed is made of. For feed.c, feed-note.c and feed-scan.c alone. */

#include "daemon/core/feed.h"

struct feed_record {
	struct wire_taskstats record;
	uint64_t before; /* the number of the event that comes next */
};

struct feed {
	const struct feed_ops *ops;
	void *userdata;
	struct process_table *table;
	struct groups *groups;
	struct relays *relays;
	struct process_policy *policy;
	struct feed_clock clock;
	struct feed_statistics statistics;
	uint64_t round;
	bool round_ended; /* the socket of events was empty */
	TAILQ_HEAD(feed_ended, process)
	ended; /* in the table, until their records came; the oldest first */
	bool relays_changed; /* processes may be here for a relay that is gone */
	bool purge_wanted; /* some may be here for nothing */
	bool purging; /* they are looked for: */
	struct process_walk purge;
	bool rules_changed; /* a scan has to match all processes anew */

	/* A scan under way. */
	struct process_scan *scan;
	enum feed_scan_phase {
		FEED_SCAN_READ, /* or about to be */
		FEED_SCAN_APPLY,
		FEED_SCAN_FORESEE, /* what is to be replayed, in advance */
		FEED_SCAN_REPLAY, /* the first ->n_replay of the events that wait */
		FEED_SCAN_SWEEP,
	} scan_phase;
	bool scan_done, scan_complete;
	bool scan_matches; /* its entries have their rules */

	/* Lost, and not repaired by a scan yet. */
	bool broken;
	uint64_t lost; /* to be told to groups */
	bool lost_more; /* and nobody knows how many more */

	/* What came while a scan is under way or wanted for a loss. */
	struct wire_proc_event *events;
	size_t n_events, n_events_allocated;
	size_t n_released; /* of these, from the first: applied */
	size_t n_overdue; /* likewise: no scan will be applied before them, since events were lost */
	size_t n_certain; /* likewise: from before the first loss that no scan has repaired */
	size_t n_foreseen, n_replay; /* likewise */
	uint64_t n_gone; /* that waited before the first of these: they are numbered on */
	struct feed_record *records;
	size_t n_records, n_records_allocated;
	size_t n_records_taken; /* of these, from the first */
};

/** feed_is_waiting() - events or records do, that may be applied without another scan */
static inline bool feed_is_waiting(const struct feed *feed)
{
	return feed->n_events > 0 || feed->n_records > 0;
}

/** feed_is_holding() - what comes has to wait */
static inline bool feed_is_holding(const struct feed *feed)
{
	return feed->scan || feed->broken || feed_is_waiting(feed);
}

/** feed_needs_table() - somebody follows processes by the table */
bool feed_needs_table(const struct feed *feed);
/** feed_tell_lost() - to the groups, what was not told yet */
void feed_tell_lost(struct feed *feed);
/** feed_apply() - an event, now */
void feed_apply(struct feed *feed, const struct wire_proc_event *event);
/** feed_apply_record() - @before: as of process_table_find_record() */
void feed_apply_record(struct feed *feed, const struct wire_taskstats *record, uint64_t before);
/** feed_release_overdue() - a slice of it, to the table as it is; Return: whether that was all */
bool feed_release_overdue(struct feed *feed);
/** feed_move_up() - in place of what was applied stands what was not */
void feed_move_up(struct feed *feed);
/** feed_take_records() - all events that waited were applied: their records are; false: later */
bool feed_take_records(struct feed *feed, struct slice *slice);
/** feed_forget() - what waited */
void feed_forget(struct feed *feed);
/** feed_drop_scan() - the one under way, if any */
void feed_drop_scan(struct feed *feed);
/** feed_set_relayed() - what has no room for it is told to the relays of its user */
void feed_set_relayed(struct feed *feed, struct process *process, bool relayed);
/** feed_settle() - no more records come for a process that has ended: it goes */
void feed_settle(struct feed *feed, struct process *process, bool missing);
/** feed_slice() - what a call may spend on what waits */
struct slice feed_slice(struct feed *feed);
/** feed_purge() - processes that nobody follows any more, where ->purge_wanted; Return: whether that was all */
bool feed_purge(struct feed *feed, struct slice *slice);
