/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Process table
 *
 * The processes that somebody follows, and no others: an event of a process
 * that is not here costs one look-up. An entry is made when a followed process
 * forks, or from a scan, and stays while something follows it: a group, a
 * rule of the policy, a relay by its user.
 *
 * A process is its set of threads: it ends with the last one, with that
 * one's status; the leader's end before is provisional. An exec leaves one
 * thread, whose tid is the tgid from then on. The kernel tells the end of a
 * thread only after those who wait for it can go on: those of the threads that
 * an exec ended, the former leader's among them, may come after the exec.
 *
 * Between a loss and the scan after it a process ends with its leader where its other
 * threads are not known, and nobody knows its uids (->uid_stale). One that is entered when it
 * changes its uid is taken for ended where the end of a former leader comes that late.
 *
 * Events alone lead it; a scan of /proc adds what was there before, and
 * repairs after a loss (process-scan.h). Pure; who feeds it is feed.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/wire-proc.h"

/*
 * Entries and threads besides leaders, each; past it a child is not entered: PROCESS_FULL.
 * Of one user's there is a bound besides: process-owner.h.
 */
#define PROCESS_TABLE_MAX 65536U

struct group_set; /* group-set.h */
struct process_owner; /* process-owner.h */
struct process_thread;

/* A process as it was when it was seen, which may have ended since. */
struct process_culprit {
	uint32_t pid; /* 0: none */
	uint32_t uid;
	bool uid_known; /* and all its uids are equal */
	uint64_t start_ticks, born_ticks; /* as of struct process */
};

struct process {
	/* What a look-up reads, together: there are many more than a cache holds. */
	uint32_t pid; /* tgid */
	bool ended; /* not found by its pid any more */
	uint32_t n_exits, n_records; /* of its threads: ends, and records of these that came */
	LIST_ENTRY(process) bucket, all;

	uint32_t parent; /* pid as the fork or the scan told; 0: not known */
	uint64_t start_ticks; /* field 22 of proc_pid_stat(5); 0: only ->born_ticks is known */
	uint64_t
		born_ticks; /* when its fork, or else its exec or change of uid, was told, in the same unit; not before its start; 0: not known */
	bool start_read; /* ->start_ticks was looked for, found or not */
	uint32_t uid; /* the real one, and all where they are equal */
	bool uid_known;
	bool uid_mixed; /* they are not, or ->uid_saved */
	bool uid_split; /* real and effective differed when they were told last */
	bool uid_stale; /* a loss may have had a change of them: a scan has to tell */
	uint64_t
		uid_since_ns; /* before that, CLOCK_MONOTONIC, it may have had others: a scan told them */
	bool uid_saved; /* did before: events do not tell the saved one, which an exec makes as the effective one */
	bool was_other; /* it had other uids at some time: its figures are not one user's */

	/* The reasons why it is here. */
	struct group_set *groups; /* NULL: none; owned by the groups */
	uint64_t rules; /* bits of policy rules that match it */
	bool relayed; /* forks of its user are relayed: process_table_set_relayed() */
	struct process_owner *owner; /* charged for it and for threads; NULL: nobody */

	/* For the policy: who is to blame for its being there, and as of when. */
	struct process_culprit culprit;
	uint64_t culprit_us;

	/* Of its threads. */
	bool leader_ended;
	bool threads_missing; /* some could not be entered or read: it may end too early here */
	uint32_t n_threads; /* besides the leader */
	uint32_t n_doomed; /* of these, ended by an exec, but for the one that may have executed */
	uint32_t n_late; /* ends that are still to be told of those who were there at an exec */
	uint32_t status; /* provisional, then final: as of waitpid(2) */
	uint64_t status_ns; /* when it was told */
	LIST_HEAD(, process_thread) threads;

	bool scanned; /* a scan found it, events that come now may be older */
	uint64_t scanned_ns; /* its threads and uids are as of then; 0: as events told */
	bool unseen; /* a scan did not find it, events that come now may tell its end */

	/* Accounting: what its ended threads used. */
	struct process_usage {
		uint64_t user_us, system_us, read_bytes, write_bytes, peak_rss_kib;
	} usage;
	uint64_t fork_number; /* feed.h: of its event, where that had waited; else 0 */
	uint64_t round; /* likewise: in which it ended */
	TAILQ_ENTRY(process) settling; /* likewise, until its records came */
};

enum process_change_kind {
	PROCESS_NONE, /* nothing that concerns a followed process as a whole */
	PROCESS_FORKED, /* ->process is new, its parent ->parent is followed */
	PROCESS_EXECED,
	PROCESS_UID, /* its uids may have changed: ->process says */
	PROCESS_THREAD_ENDED, /* but others go on */
	PROCESS_ENDED, /* with ->status */
	PROCESS_VANISHED, /* its end was lost: another process has its pid */
	PROCESS_UNFOUND, /* a scan found it too early: its own fork comes later */
	PROCESS_FULL, /* a child of ->parent was not entered; ->pid is its pid */
};

struct process_change {
	enum process_change_kind kind;
	struct process *process; /* NULL for NONE and FULL */
	struct process *parent; /* FORKED and FULL: who forked; else NULL */
	uint32_t pid;
	uint64_t name; /* EXECED: of the event */
};

struct process_table;

int process_table_new(struct process_table **ret); /* 0 or -ENOMEM */
struct process_table *
process_table_free(struct process_table *table); /* no entry may be of a group */
DEFINE_FREEP(process_table, process_table_free)

/** process_table_find() - by pid (tgid); NULL: not followed, or ended */
struct process *process_table_find(const struct process_table *table, uint32_t pid);

/**
 * process_table_find_record() - whose thread an exit record is of
 * @tgid:	0 where the record does not say
 * @before:	not whose fork has this number or a later one
 *
 * One that has ended and still lacks records goes before one that lives.
 */
struct process *process_table_find_record(const struct process_table *table, uint32_t tid,
					  uint32_t tgid, uint64_t before);

/** process_table_next() - all, those that have ended too; NULL at the start and at the end */
struct process *process_table_next(const struct process_table *table,
				   const struct process *process);

/* A look at all that stops and goes on, while others come and go: who comes is not in it. */
struct process_walk {
	struct process *next;
	LIST_ENTRY(process_walk) walks;
};

/** process_walk_begin() - until process_walk_end(), before which @walk may not move */
void process_walk_begin(struct process_table *table, struct process_walk *walk);
struct process *process_walk_next(struct process_walk *walk); /* NULL: that was all */
void process_walk_end(struct process_walk *walk);

size_t process_table_size(const struct process_table *table);
size_t process_table_threads(const struct process_table *table); /* besides leaders */

/**
 * process_table_add() - enter a process; it is to be given a reason to stay
 *
 * Return: 0, -EEXIST, -ENOSPC at PROCESS_TABLE_MAX, -ENOMEM.
 */
int process_table_add(struct process_table *table, uint32_t pid, struct process **ret);
/** process_table_remove() - and free; its groups must have been given back */
void process_table_remove(struct process_table *table, struct process *process);

/** process_table_set_relayed() - Return: false where it is to be and its user has no more room */
bool process_table_set_relayed(struct process_table *table, struct process *process, bool relayed);

/** process_table_set_threads() - all there are now, the leader among them or not; past a bound ->threads_missing */
void process_table_set_threads(struct process_table *table, struct process *process,
			       const uint32_t *tids, size_t n_tids);

/**
 * process_table_apply() - let an event change the table
 * @ticks:	its time in the unit of ->start_ticks
 * @ret:	what it means; entries borrowed until the next call
 *
 * Told again of what a scan found before (->scanned) it changes nothing, and
 * @ret is the same as if it were new.
 *
 * A child has the uids of its parent, and as yet no reason to stay: those who
 * follow the parent give it theirs on PROCESS_FORKED. After PROCESS_ENDED,
 * PROCESS_VANISHED and PROCESS_UNFOUND the entry is ->ended and the caller's to remove.
 *
 * Return: true where the same event is to be applied once more: its pid was
 * that of another process, and @ret is about that one (PROCESS_VANISHED,
 * PROCESS_UNFOUND).
 */
bool process_table_apply(struct process_table *table, const struct wire_proc_event *event,
			 uint64_t ticks, struct process_change *ret);

/**
 * process_table_set_stale() - whether events were lost before the next that are applied
 *
 * Those whom they are about are ->uid_stale then, and whoever is forked by them.
 */
void process_table_set_stale(struct process_table *table, bool stale);

/**
 * process_table_foresee() - an event that is to be applied, after a scan that may reflect it
 *
 * Before process_table_apply() of the first: a process that has changed its uid
 * was not what the scan says when the events before that happened.
 */
void process_table_foresee(struct process_table *table, const struct wire_proc_event *event);

/**
 * process_set_start() - what "stat" says of a process that lives, 0: it cannot be read
 *
 * What began after the fork was told is of another, later process: not taken.
 */
void process_set_start(struct process *process, uint64_t start_ticks);

/** process_knows_uids() - whether they are known as of then, CLOCK_MONOTONIC; the last ones: UINT64_MAX */
static inline bool process_knows_uids(const struct process *process, uint64_t ns)
{
	return process->uid_known && !process->uid_stale && ns >= process->uid_since_ns;
}

/** process_is_of() - likewise, and all are this one */
static inline bool process_is_of(const struct process *process, uint32_t uid, uint64_t ns)
{
	return process_knows_uids(process, ns) && !process->uid_mixed && process->uid == uid;
}

/** process_is_followed() - there is a reason to keep it */
static inline bool process_is_followed(const struct process *process)
{
	return process->groups || process->rules || process->relayed;
}
