/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Scan of all processes
 *
 * What a reading of /proc showed, against the table: finds the descendants
 * that were there before a group began, and after a loss of events who of the
 * followed is gone, who is new, and whose pid is somebody else's by now.
 * The reading itself is the source's; two passes go into one scan (a process
 * that the first missed while its parent ended is found by the second).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/process.h"
#include "daemon/core/slice.h"

/* Entries of one scan; the kernel has at most 4 Mi processes, this is for what a service sees. */
#define PROCESS_SCAN_MAX (1U << 20)

struct process_scan_entry {
	uint32_t pid, parent; /* tgids */
	uint64_t start_ticks; /* field 22 of proc_pid_stat(5) */
	uint64_t
		read_ns; /* CLOCK_MONOTONIC right before its files were read: older events are in them */
	uint32_t uid; /* all four, where they are equal */
	bool uid_mixed;
	bool zombie; /* the leader has ended */
	const uint32_t
		*tids; /* all threads that live, copied; NULL: only the leader, or not read */
	size_t n_tids;
	uint32_t n_threads; /* as field 20 says; with a zombie leader it counts */
	uint64_t rules; /* set by feed_scan_add() */
};

struct process_scan;

int process_scan_new(struct process_scan **ret); /* 0 or -ENOMEM */
struct process_scan *process_scan_free(struct process_scan *scan);
DEFINE_FREEP(process_scan, process_scan_free)

/** process_scan_add() - a later one of the same pid replaces the former; Return: 0, -ENOSPC, -ENOMEM */
int process_scan_add(struct process_scan *scan, const struct process_scan_entry *entry);

/** process_scan_find() - by pid, NULL: it was not there; borrowed */
const struct process_scan_entry *process_scan_find(const struct process_scan *scan, uint32_t pid);

struct process_scan_ops {
	/*
	 * A process that is in the table from now on, or was: give it the reasons of
	 * its parent, NULL where the table has none, and those it has by itself.
	 * Parents come before their children; one process may be told twice, with
	 * the parents of both passes.
	 */
	void (*found)(struct process *process, struct process *parent, void *userdata);
	/* A process not in the table: is there a reason for it other than its parent? */
	bool (*wanted)(const struct process_scan_entry *entry, void *userdata);
	/* It is there no more, or its pid is another's: its reasons are to be taken back, then it is removed. */
	void (*gone)(struct process *process, void *userdata);
	/* One that belongs here has no room; @parent may be NULL. */
	void (*full)(const struct process_scan_entry *entry, struct process *parent,
		     void *userdata);
};

/**
 * process_scan_begin() - to bring a table to what the scan showed; nothing is added any more
 * @lossless:	no event was lost since the table was right: who is gone, or is
 *		another by now, stays as it is, since events will tell
 *
 * Return: 0, or -ENOMEM.
 */
int process_scan_begin(struct process_scan *scan, struct process_table *table, bool lossless,
		       const struct process_scan_ops *ops, void *userdata);

enum {
	_PROCESS_SCAN_E_SUCCESS,

	PROCESS_SCAN_E_MORE, /* the rest in another slice */
};

/**
 * process_scan_apply() - a slice of it, after process_scan_begin(), until it returns 0
 *
 * Where events were lost those who are not in the scan become ->unseen: events that
 * came since the loss may still tell how they ended. Where a pid was used again within
 * the loss and that process ended before the scan too, what it did since is
 * taken for the former's.
 *
 * No event is applied in between; processes may be removed, and get other reasons.
 *
 * Return: 0, PROCESS_SCAN_E_MORE, or -ENOMEM: what was found so far holds.
 */
int process_scan_apply(struct process_scan *scan, struct slice *slice);

/** process_scan_foresee() - as process_table_foresee(), of those who are not in the table yet */
void process_scan_foresee(struct process_scan *scan, const struct wire_proc_event *event);

/**
 * process_scan_take_uids() - of a child whose fork is replayed, and whose parent's are not known
 *
 * As the scan read them, where it found the child: it had these, or a change is
 * still to be told.
 */
void process_scan_take_uids(const struct process_scan *scan, struct process *process);

/**
 * process_scan_note() - an event that came since the scan began, before it is applied to @table
 *
 * After process_scan_apply(), for each in its order. Who was made by a process
 * that the scan never read, or only as it had ended, and whose own fork came
 * before the scan, may be anybody's descendant, and so may one whose parent was
 * read like that: another scan will find it below whoever is its parent by then.
 */
void process_scan_note(struct process_scan *scan, const struct process_table *table,
		       const struct wire_proc_event *event);
/** process_scan_is_doubtful() - such a one lives, or a child of one */
bool process_scan_is_doubtful(const struct process_scan *scan);

/**
 * process_scan_sweep() - after the events that came since were applied, a slice
 *
 * Who is still ->unseen is ->gone(); ->scanned is cleared of all others. After it the
 * scan is to be freed.
 *
 * Return: 0 or PROCESS_SCAN_E_MORE.
 */
int process_scan_sweep(struct process_scan *scan, struct slice *slice);
