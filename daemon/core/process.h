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
 * thread, whose tid is the tgid from then on.
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

/* Entries and threads besides leaders, each; past it a child is not entered: PROCESS_FULL. */
#define PROCESS_TABLE_MAX 65536U

struct group_set; /* group.h */

struct process {
	uint32_t pid; /* tgid */
	uint32_t parent; /* pid as the fork or the scan told; 0: not known */
	uint64_t start_ticks; /* field 22 of proc_pid_stat(5); 0: only ->born_ticks is known */
	uint64_t
		born_ticks; /* when its fork was told, in the same unit; not before its start; 0: not known */
	uint32_t uid; /* all its uids, where they are equal */
	bool uid_known;
	bool uid_mixed; /* they are not */
	bool was_other; /* it had another uid at some time: its figures are not its user's */

	/* The reasons why it is here. */
	struct group_set *groups; /* NULL: none; owned by groups */
	uint64_t rules; /* bits of policy rules that match it */
	bool relayed; /* forks of its user are relayed */

	/* Of its threads. */
	bool leader_ended;
	uint32_t n_threads; /* besides the leader */
	bool threads_known;
	bool unseen; /* process-scan.h: gone at the last scan; events may still tell its end */
	uint32_t status; /* provisional, then final */

	/* Accounting: what its ended threads used, and how many records are still to come. */
	struct process_usage {
		uint64_t user_us, system_us, read_bytes, write_bytes, peak_rss_kib;
	} usage;
	uint32_t n_exits, n_records;
	uint64_t round; /* feed.h: in which it ended */

	LIST_ENTRY(process) all, bucket;
};

enum process_change_kind {
	PROCESS_NONE, /* nothing that concerns a followed process as a whole */
	PROCESS_FORKED, /* ->process is new, its parent ->parent is followed */
	PROCESS_EXECED,
	PROCESS_UID, /* its uids may have changed: ->process says */
	PROCESS_THREAD_ENDED, /* but others go on */
	PROCESS_ENDED, /* with ->status; valid until process_table_settle() */
	PROCESS_FULL, /* a child of ->parent was not entered; ->pid is its pid */
};

struct process_change {
	enum process_change_kind kind;
	struct process *process; /* NULL for NONE and FULL */
	struct process *parent; /* FORKED and FULL: who forked; else NULL */
	uint32_t pid;
};

struct process_table;

int process_table_new(struct process_table **ret); /* 0 or -ENOMEM */
struct process_table *
process_table_free(struct process_table *table); /* no entry may be of a group */
DEFINE_FREEP(process_table, process_table_free)

/** process_table_find() - by pid (tgid); NULL: not followed */
struct process *process_table_find(const struct process_table *table, uint32_t pid);
/** process_table_find_tid() - the process of a thread; NULL: not followed */
struct process *process_table_find_tid(const struct process_table *table, uint32_t tid);
struct process *process_table_next(const struct process_table *table,
				   const struct process *process);
size_t process_table_size(const struct process_table *table);

/**
 * process_table_add() - enter a process; it is to be given a reason to stay
 *
 * Return: 0, -EEXIST, -ENOSPC at PROCESS_TABLE_MAX, -ENOMEM.
 */
int process_table_add(struct process_table *table, uint32_t pid, struct process **ret);
/** process_table_remove() - its groups must have been given back */
void process_table_remove(struct process_table *table, struct process *process);

/** process_table_add_thread() - Return: 0 (also where it is known), -ENOSPC, -ENOMEM */
int process_table_add_thread(struct process_table *table, struct process *process, uint32_t tid);

/**
 * process_table_apply() - let an event change the table
 * @ticks:	its time in the unit of ->start_ticks
 * @ret:	what it means; entries borrowed until the next call
 *
 * Told again of what the table knows already (a scan came first) it changes
 * nothing, and @ret is the same as if it were new.
 *
 * A child has uid and ->was_other of its parent, and as yet no reason to stay:
 * those who follow the parent give it theirs on PROCESS_FORKED.
 */
void process_table_apply(struct process_table *table, const struct wire_proc_event *event,
			 uint64_t ticks, struct process_change *ret);

/** process_is_followed() - there is a reason to keep it */
static inline bool process_is_followed(const struct process *process)
{
	return process->groups || process->rules || process->relayed;
}
