/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/index.h"
#include "daemon/core/process-thread.h"

#define BUCKETS_MIN 64

/* How much later the end of a thread may be told than it was, on a machine that is busy. */
#define STATUS_LATE_NS 200000000ULL

static struct thread_bucket *bucket_of(const struct thread_index *index, uint32_t tid)
{
	return &index->buckets[hash_number(tid) >> 32 & (index->n_buckets - 1)];
}

static int grow(struct thread_index *index)
{
	size_t n_old = index->n_buckets, n = n_old ? 2 * n_old : BUCKETS_MIN;
	struct thread_bucket *old = index->buckets, *buckets;
	struct process_thread *thread;

	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;

	index->buckets = buckets;
	index->n_buckets = n;
	for (size_t i = 0; i < n_old; i++) {
		while ((thread = LIST_FIRST(&old[i]))) {
			LIST_REMOVE(thread, bucket);
			LIST_INSERT_HEAD(bucket_of(index, thread->tid), thread, bucket);
		}
	}
	free(old);
	return 0;
}

void thread_index_deinit(struct thread_index *index)
{
	assert(index && index->n_threads == 0);

	free(index->buckets);
	*index = (struct thread_index){};
}

struct process_thread *thread_index_find(const struct thread_index *index, uint32_t tid)
{
	struct process_thread *thread;

	assert(index);

	if (index->n_threads == 0)
		return NULL;
	LIST_FOREACH(thread, bucket_of(index, tid), bucket)
		if (thread->tid == tid)
			return thread;

	return NULL;
}

static struct process_thread *find_of(const struct thread_index *index,
				      const struct process *process, uint32_t tid)
{
	struct process_thread *thread;

	if (index->n_threads == 0)
		return NULL;
	LIST_FOREACH(thread, bucket_of(index, tid), bucket)
		if (thread->tid == tid && thread->process == process)
			return thread;

	return NULL;
}

/* Those of other processes have ended unseen, but for what a scan read: events are still to tell that. */
static void remove_former(struct thread_index *index, uint32_t tid)
{
	struct process_thread *thread, *next;

	if (index->n_threads == 0)
		return;
	for (thread = LIST_FIRST(bucket_of(index, tid)); thread; thread = next) {
		next = LIST_NEXT(thread, bucket);
		if (thread->tid == tid && !thread->process->scanned)
			thread_index_remove(index, thread);
	}
}

int thread_index_add(struct thread_index *index, struct process_owners *owners,
		     struct process *process, uint32_t tid)
{
	struct process_thread *thread = find_of(index, process, tid);

	assert(owners && process);

	if (thread) {
		process->n_doomed -= thread->doomed;
		thread->doomed = false;
		return 0;
	}

	remove_former(index, tid);
	return thread_index_enter(index, owners, process, tid);
}

int thread_index_enter(struct thread_index *index, struct process_owners *owners,
		       struct process *process, uint32_t tid)
{
	struct process_thread *thread;
	int r;

	assert(owners && process);

	if (find_of(index, process, tid))
		return 0;
	if (index->n_threads >= PROCESS_TABLE_MAX)
		return -ENOSPC;
	if (index->n_threads >= index->n_buckets) {
		r = grow(index);
		if (r < 0)
			return r;
	}

	thread = calloc(1, sizeof(*thread));
	if (!thread)
		return -ENOMEM;
	r = process_charge_thread(owners, process);
	if (r < 0) {
		free(thread);
		return r;
	}
	thread->tid = tid;
	thread->process = process;
	LIST_INSERT_HEAD(bucket_of(index, tid), thread, bucket);
	LIST_INSERT_HEAD(&process->threads, thread, siblings);
	index->n_threads++;
	return 0;
}

void thread_index_remove(struct thread_index *index, struct process_thread *thread)
{
	assert(index && thread);

	thread->process->n_doomed -= thread->doomed;
	process_release_thread(thread->process);
	index->n_threads--;
	LIST_REMOVE(thread, siblings);
	LIST_REMOVE(thread, bucket);
	free(thread);
}

/*
 * Who ends all threads gives them its status; one that ended by itself before that
 * has 0, and may be told behind them.
 */
static void note_status(struct process *process, const struct wire_proc_event *event, bool final)
{
	if (event->status == 0 &&
	    (!final ||
	     (process->status != 0 && event->monotonic_ns < process->status_ns + STATUS_LATE_NS)))
		return;

	process->status = event->status;
	process->status_ns = event->monotonic_ns;
}

bool thread_index_end(struct thread_index *index, struct process *process,
		      const struct wire_proc_event *event)
{
	struct process_thread *thread;

	assert(process && event);

	thread = find_of(index, process, event->tid);
	if (event->tid == process->pid) {
		/* Where one was told before, that was the former leader's. */
		if (process->leader_ended && process->n_late > 0)
			process->n_late--;
		process->leader_ended = true;
	} else if (thread) {
		bool doomed = thread->doomed;

		thread_index_remove(index, thread);
		if (doomed) {
			process->n_late -= process->n_late > 0;
			return true;
		}
	} else if (!process->threads_missing &&
		   (!process->leader_ended || process->n_threads > 0)) {
		/* One that is not known may be the last one of a process found while it ended. */
		return false;
	}

	note_status(process, event, process->leader_ended);
	return true;
}

void thread_index_doom(struct thread_index *index, struct process *process, bool leader)
{
	struct process_thread *thread;
	uint32_t n_late;

	assert(index && process);

	n_late = process->n_late + process->n_threads - process->n_doomed + leader;
	/* Whoever executed goes on, and nobody says which of them it was. */
	process->n_late = n_late > 0 ? n_late - 1 : 0;
	LIST_FOREACH(thread, &process->threads, siblings)
		thread->doomed = true;
	process->n_doomed = process->n_threads;
	if (process->n_late == 0)
		thread_index_clear(index, process);
}

void thread_index_clear(struct thread_index *index, struct process *process)
{
	assert(process);

	while (!LIST_EMPTY(&process->threads))
		thread_index_remove(index, LIST_FIRST(&process->threads));
	process->n_late = 0;
}
