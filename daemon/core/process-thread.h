/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Threads besides the leaders
 *
 * Finds the process of a thread, for the process table alone. A thread of one
 * process whose tid comes up in another has ended unseen; while what a scan
 * read is ahead of the events both may have it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/process-owner.h"
#include "daemon/core/process.h"

struct process_thread {
	uint32_t tid;
	struct process *process;
	bool doomed; /* an exec has ended it, or it is the leader since */
	LIST_ENTRY(process_thread) siblings, bucket;
};

/* Zeroed at first; embedded in the table. */
struct thread_index {
	LIST_HEAD(thread_bucket, process_thread) * buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t n_threads;
};

/** thread_index_deinit() - there must be no thread any more */
void thread_index_deinit(struct thread_index *index);
struct process_thread *thread_index_find(const struct thread_index *index,
					 uint32_t tid); /* one of them */
/** thread_index_add() - Return: 0 (also where it is known), -ENOSPC at PROCESS_TABLE_MAX or PROCESS_OWNER_MAX, -ENOMEM */
int thread_index_add(struct thread_index *index, struct process_owners *owners,
		     struct process *process, uint32_t tid);
/** thread_index_enter() - likewise one that a scan read; it stays with others, too, until they are read */
int thread_index_enter(struct thread_index *index, struct process_owners *owners,
		       struct process *process, uint32_t tid);
void thread_index_remove(struct thread_index *index, struct process_thread *thread);
/** thread_index_doom() - all threads of a process: an exec has ended them; ->n_late, with @leader for one more */
void thread_index_doom(struct thread_index *index, struct process *process, bool leader);
/**
 * thread_index_end() - a thread of a process, or its leader, has ended
 *
 * Return: false where it is none that is known.
 */
bool thread_index_end(struct thread_index *index, struct process *process,
		      const struct wire_proc_event *event);
/** thread_index_clear() - all threads of a process, and what is late of them */
void thread_index_clear(struct thread_index *index, struct process *process);
