/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Feed
 *
 * Where the events of processes, their losses, scans and exit records meet
 * the table, the groups, the relays and the policy. Pure: the one who reads
 * the sockets and /proc (daemon/processes.h) hands everything in here, in the
 * order that stands below, and does what is asked through the callbacks.
 *
 * One round, after the first sign on the socket of events:
 *
 *	1. read the socket of records until it is empty, if accounting is wanted,
 *	   into an array of the caller's
 *	2. feed_round_begin()
 *	3. read the socket of events until it is empty, or for a bounded number:
 *	   feed_event() for each, feed_lost() where some are missing, in place
 *	4. only where it became empty: feed_record() for each of the array; else
 *	   for those of feed_awaits_record(), so that in a storm nobody who has
 *	   ended is kept for long
 *	5. feed_round_end(), which says whether both became empty; else the rest of
 *	   the array is kept, and the next turn of the loop begins at 1 and adds to it
 *
 * Where feed_round_end() returns true, another round is needed soon (2 ms)
 * even without a sign: exits wait for their records. In this order no record
 * comes before its fork is known, and one that is not there by the round
 * after its exit never comes.
 *
 * A scan, when feed_wants_scan() says so after any call:
 *
 *	feed_scan_begin(), feed_scan_add() for each process in two passes,
 *	feed_scan_end(); then one whole round, in which the socket of events must
 *	have become empty, then feed_scan_apply()
 *
 * Rounds go on meanwhile; events wait in here (FEED_WAITING_MAX) until
 * feed_scan_apply(), but for those that relays to all go by. Where events are lost
 * meanwhile feed_scan_apply() does nothing, and another scan is wanted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/group.h"
#include "daemon/core/process-policy.h"
#include "daemon/core/process-scan.h"
#include "daemon/core/process.h"
#include "daemon/core/relay.h"
#include "daemon/core/wire-proc.h"
#include "daemon/core/wire-taskstats.h"

#define FEED_WAITING_MAX 131072 /* events; past it they are lost, and counted */
#define FEED_SLICE_NS 4000000 /* of these, applied in one turn of the loop */

struct feed;

struct feed_ops {
	struct group_ops group;
	struct relay_ops relay;
	struct process_policy_ops policy;
	/*
	 * What is this process called, where does it belong? Asked after an exec
	 * or a change of uid and in feed_scan_add(), while a rule wants to know. Bounded reads of
	 * /proc/PID; strings live until the next call. False: it is gone.
	 */
	bool (*identify)(uint32_t pid, struct process_identity *ret, void *userdata);
	/*
	 * The real, effective, saved and filesystem uid of a process as of now. Asked where
	 * the first two have met: events do not tell the others. NULL: nobody is asked, and
	 * uids that differed are trusted after an exec alone. False: it is gone.
	 */
	bool (*read_uids)(uint32_t pid, uint32_t ret[static 4], void *userdata);
};

/* How the clocks stand to each other, as of now. */
struct feed_clock {
	int64_t boot_minus_monotonic_ns;
	uint32_t ticks_per_second; /* sysconf(_SC_CLK_TCK) */
};

int feed_new(struct feed **ret, const struct feed_ops *ops, void *userdata); /* 0 or -ENOMEM */
struct feed *feed_free(struct feed *feed); /* all groups must be freed before */
DEFINE_FREEP(feed, feed_free)

struct groups *feed_groups(struct feed *feed);
struct relays *feed_relays(struct feed *feed);
struct process_policy *feed_policy(struct feed *feed);

/**
 * feed_set_rules() - the rules of the policy, all anew; copied
 *
 * A scan is wanted then. Return: 0, -E2BIG, or -ENOMEM with the old ones in force.
 */
int feed_set_rules(struct feed *feed, const struct process_rule *rules, size_t n_rules);
/** feed_set_user() - the number of a user that rules name: process_rule_names_user() */
void feed_set_user(struct feed *feed, const char *name, uint32_t uid);

/**
 * feed_wants_events() - somebody follows, or did and it is not gone yet: be subscribed;
 * else stop, and call feed_stopped()
 */
bool feed_wants_events(const struct feed *feed);
/** feed_wants_round() - soon, even without a sign: what nobody follows any more is to go, a slice in each */
bool feed_wants_round(const struct feed *feed);
/** feed_wants_records() - be subscribed to taskstats */
bool feed_wants_records(const struct feed *feed);
/** feed_wants_scan() - and none is under way */
bool feed_wants_scan(const struct feed *feed);

/** feed_stopped() - no events come any more; only while none are wanted: drops what is kept */
void feed_stopped(struct feed *feed);

void feed_round_begin(struct feed *feed, const struct feed_clock *clock);
void feed_event(struct feed *feed, const struct wire_proc_event *event);
/** feed_lost() - @count: events, 0: not known how many; also where the subscription broke and stands again */
void feed_lost(struct feed *feed, uint64_t count);
/** feed_broke() - events do not come any more, and nobody knows when: groups are told of the loss at once */
void feed_broke(struct feed *feed);
void feed_record(struct feed *feed, const struct wire_taskstats *record);
/** feed_awaits_record() - of somebody who has ended: it may come before the socket of events is empty */
bool feed_awaits_record(const struct feed *feed, const struct wire_taskstats *record);
/** feed_records_lost() - the socket of records overran: groups with accounting are incomplete */
void feed_records_lost(struct feed *feed);
bool feed_round_end(struct feed *feed, bool empty);

/** feed_scan_begin() - what was added to one not applied is dropped; Return: 0 or -ENOMEM */
int feed_scan_begin(struct feed *feed);
int feed_scan_add(struct feed *feed,
		  const struct process_scan_entry *entry); /* 0, -ENOSPC, -ENOMEM */
/** feed_scan_end() - @complete: false where something could not be read: groups are incomplete */
void feed_scan_end(struct feed *feed, bool complete);
enum {
	_FEED_E_SUCCESS,

	FEED_E_MORE, /* there is more to do: once more, after a round, empty or not */
};

/**
 * feed_scan_apply() - a slice of it
 *
 * Return: 0, FEED_E_MORE, -EAGAIN (events were lost meanwhile: again), -ENOMEM (again later).
 */
int feed_scan_apply(struct feed *feed);

struct feed_statistics {
	uint64_t events, lost, waiting_dropped, scans;
	uint64_t followed, threads; /* now */
};
void feed_statistics(const struct feed *feed, struct feed_statistics *ret);
