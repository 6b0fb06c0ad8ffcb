/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/index.h"
#include "daemon/core/process-owner.h"
#include "daemon/core/process-thread.h"
#include "daemon/core/process.h"

#define BUCKETS_MIN 64

/* Kept for those to come: in a storm the heap would grow and shrink with each batch. */
#define SPARES_MAX 1024

LIST_HEAD(process_list, process);

struct process_table {
	struct process_list all;
	struct process_list *buckets; /* by pid */
	size_t n_buckets; /* a power of two, or 0 */
	size_t n_processes;
	struct process_list spares; /* entries in no other list */
	size_t n_spares;
	struct thread_index threads;
	struct process_owners owners;
};

static struct process_list *bucket_of(const struct process_table *table, uint32_t pid)
{
	return &table->buckets[hash_number(pid) >> 32 & (table->n_buckets - 1)];
}

static int grow(struct process_table *table)
{
	size_t n = table->n_buckets ? 2 * table->n_buckets : BUCKETS_MIN;
	struct process_list *buckets;
	struct process *process;

	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;

	free(table->buckets);
	table->buckets = buckets;
	table->n_buckets = n;
	LIST_FOREACH(process, &table->all, all)
		LIST_INSERT_HEAD(bucket_of(table, process->pid), process, bucket);
	return 0;
}

int process_table_new(struct process_table **ret)
{
	struct process_table *table;

	assert(ret);

	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;

	*ret = table;
	return 0;
}

struct process_table *process_table_free(struct process_table *table)
{
	if (!table)
		return NULL;

	while (!LIST_EMPTY(&table->all))
		process_table_remove(table, LIST_FIRST(&table->all));
	thread_index_deinit(&table->threads);
	free(table->buckets);
	free(table);
	return NULL;
}

static struct process *find(const struct process_table *table, uint32_t pid)
{
	struct process *process;

	if (table->n_processes == 0)
		return NULL;
	LIST_FOREACH(process, bucket_of(table, pid), bucket)
		if (process->pid == pid && !process->ended)
			return process;

	return NULL;
}

struct process *process_table_find(const struct process_table *table, uint32_t pid)
{
	assert(table);

	return find(table, pid);
}

/* Of several of one pid the first that ended: records come in that order. */
static struct process *find_unsettled(const struct process_table *table, uint32_t pid)
{
	struct process *process, *first = NULL;

	if (table->n_processes == 0)
		return NULL;
	LIST_FOREACH(process, bucket_of(table, pid), bucket)
		if (process->pid == pid && process->ended && process->n_records < process->n_exits)
			first = process;

	return first;
}

struct process *process_table_find_record(const struct process_table *table, uint32_t tid,
					  uint32_t tgid)
{
	struct process *process;
	struct process_thread *thread;

	assert(table);

	process = find_unsettled(table, tgid ? tgid : tid);
	if (process)
		return process;
	if (tgid)
		return find(table, tgid);

	thread = thread_index_find(&table->threads, tid);
	return thread ? thread->process : find(table, tid);
}

struct process *process_table_next(const struct process_table *table, const struct process *process)
{
	assert(table);

	return process ? LIST_NEXT(process, all) : LIST_FIRST(&table->all);
}

size_t process_table_size(const struct process_table *table)
{
	assert(table);

	return table->n_processes;
}

size_t process_table_threads(const struct process_table *table)
{
	assert(table);

	return table->threads.n_threads;
}

static struct process *entry_new(struct process_table *table)
{
	struct process *process = LIST_FIRST(&table->spares);

	if (!process)
		return calloc(1, sizeof(*process));

	LIST_REMOVE(process, all);
	table->n_spares--;
	*process = (struct process){};
	return process;
}

static void entry_free(struct process_table *table, struct process *process)
{
	if (table->n_spares >= SPARES_MAX) {
		free(process);
		return;
	}

	LIST_INSERT_HEAD(&table->spares, process, all);
	table->n_spares++;
}

static void spares_free(struct process_table *table)
{
	struct process *process;

	while ((process = LIST_FIRST(&table->spares))) {
		LIST_REMOVE(process, all);
		free(process);
	}
	table->n_spares = 0;
}

int process_table_add(struct process_table *table, uint32_t pid, struct process **ret)
{
	struct process *process;

	assert(table && ret);
	assert(pid > 0);

	if (find(table, pid))
		return -EEXIST;
	if (table->n_processes >= PROCESS_TABLE_MAX)
		return -ENOSPC;
	if (2 * table->n_processes >= table->n_buckets) {
		int r = grow(table);

		if (r < 0)
			return r;
	}

	process = entry_new(table);
	if (!process)
		return -ENOMEM;
	process->pid = pid;
	LIST_INSERT_HEAD(&table->all, process, all);
	LIST_INSERT_HEAD(bucket_of(table, pid), process, bucket);
	table->n_processes++;

	*ret = process;
	return 0;
}

void process_table_remove(struct process_table *table, struct process *process)
{
	assert(table && process);
	assert(!process->groups);

	thread_index_clear(&table->threads, process);
	process_release_relayed(process);
	LIST_REMOVE(process, all);
	LIST_REMOVE(process, bucket);
	entry_free(table, process);
	table->n_processes--;
	if (table->n_processes > 0)
		return;

	/* An idle daemon keeps nothing. */
	spares_free(table);
	thread_index_deinit(&table->threads);
	free(table->buckets);
	table->buckets = NULL;
	table->n_buckets = 0;
}

bool process_table_set_relayed(struct process_table *table, struct process *process, bool relayed)
{
	assert(table && process);

	if (relayed)
		return process_charge_relayed(&table->owners, process) == 0;

	process_release_relayed(process);
	return true;
}

void process_table_set_threads(struct process_table *table, struct process *process,
			       const uint32_t *tids, size_t n_tids)
{
	assert(table && process);
	assert(tids || n_tids == 0);

	thread_index_clear(&table->threads, process);
	process->threads_missing = false;
	for (size_t i = 0; i < n_tids; i++)
		if (tids[i] != process->pid &&
		    thread_index_add(&table->threads, &table->owners, process, tids[i]) < 0)
			process->threads_missing = true;
}

static struct process_change end(struct process_table *table, struct process *process)
{
	thread_index_clear(&table->threads, process);
	process->ended = true;
	return (struct process_change){ .kind = PROCESS_ENDED,
					.process = process,
					.pid = process->pid };
}

static struct process_change add_child(struct process_table *table, struct process *parent,
				       uint32_t pid, uint64_t ticks)
{
	struct process *child;

	if (process_table_add(table, pid, &child) < 0)
		return (struct process_change){ .kind = PROCESS_FULL,
						.parent = parent,
						.pid = pid };

	child->parent = parent->pid;
	child->born_ticks = ticks;
	child->uid = parent->uid;
	child->uid_known = parent->uid_known;
	child->uid_mixed = parent->uid_mixed;
	child->uid_split = parent->uid_split;
	child->uid_saved = parent->uid_saved;
	return (struct process_change){
		.kind = PROCESS_FORKED, .process = child, .parent = parent, .pid = pid
	};
}

/* The scan has it already: the event is only told. */
static bool is_reflected(const struct process *process, const struct wire_proc_event *event)
{
	return process->scanned && event->monotonic_ns < process->scanned_ns;
}

static bool apply_fork(struct process_table *table, const struct wire_proc_event *event,
		       uint64_t ticks, struct process_change *ret)
{
	struct process *parent = find(table, event->parent_tgid), *child;

	if (!parent)
		return false;

	child = find(table, event->tgid);
	if (child == parent)
		return false;
	if (child && child->scanned && ticks + 1 >= child->start_ticks) {
		child->parent = parent->pid;
		*ret = (struct process_change){ .kind = PROCESS_FORKED,
						.process = child,
						.parent = parent,
						.pid = child->pid };
		return false;
	}
	/* The end of the former was lost, or the fork of the one that the scan found is still to come. */
	if (child) {
		*ret = end(table, child);
		ret->kind = child->scanned ? PROCESS_UNFOUND : PROCESS_VANISHED;
		return true;
	}

	*ret = add_child(table, parent, event->tgid, ticks);
	return false;
}

static void apply_thread(struct process_table *table, const struct wire_proc_event *event)
{
	struct process *process = find(table, event->tgid);

	if (process && !is_reflected(process, event) &&
	    thread_index_add(&table->threads, &table->owners, process, event->tid) < 0)
		process->threads_missing = true;
}

static void apply_exec(struct process_table *table, struct process *process,
		       const struct wire_proc_event *event, struct process_change *ret)
{
	/* Whoever executed is the leader now, under its tid. */
	if (!is_reflected(process, event)) {
		thread_index_doom(&table->threads, process, !process->leader_ended);
		process->leader_ended = false;
		process->threads_missing = false;
		process->status = 0;
		if (process->uid_saved && !process->uid_split)
			process->uid_saved = process->uid_mixed = false;
	}
	*ret = (struct process_change){ .kind = PROCESS_EXECED,
					.process = process,
					.pid = process->pid };
}

static void apply_uid(struct process *process, const struct wire_proc_event *event,
		      struct process_change *ret)
{
	bool same = process->uid_known && !process->uid_mixed && event->ruid == process->uid &&
		    event->euid == process->uid;

	if (process->uid_known && !same)
		process->was_other = true;
	if (is_reflected(process, event))
		return;
	if (event->tid == process->pid) {
		process->uid = event->ruid;
		process->uid_known = true;
		process->uid_split = event->ruid != event->euid;
		process->uid_saved |= process->uid_split;
		process->uid_mixed = process->uid_split || process->uid_saved;
	} else if (!same) {
		/* One thread alone has changed: the process has both. */
		process->uid_mixed = process->uid_split = true;
		process->uid_saved |= event->ruid != event->euid;
	}
	*ret = (struct process_change){ .kind = PROCESS_UID,
					.process = process,
					.pid = process->pid };
}

static void apply_exit(struct process_table *table, struct process *process,
		       const struct wire_proc_event *event, uint64_t ticks,
		       struct process_change *ret)
{
	/* It lived afterwards: a thread of it ended, or the one who had the pid before. */
	if (is_reflected(process, event)) {
		process->n_exits += ticks + 1 >= process->start_ticks;
		return;
	}
	if (!thread_index_end(&table->threads, process, event))
		return;

	process->n_exits++;
	if (process->leader_ended && process->n_late == 0 &&
	    process->n_threads == process->n_doomed)
		*ret = end(table, process);
	else
		*ret = (struct process_change){ .kind = PROCESS_THREAD_ENDED,
						.process = process,
						.pid = process->pid };
}

bool process_table_apply(struct process_table *table, const struct wire_proc_event *event,
			 uint64_t ticks, struct process_change *ret)
{
	struct process *process;

	assert(table && event && ret);

	*ret = (struct process_change){ .kind = PROCESS_NONE, .pid = event->tgid };
	if (table->n_processes == 0)
		return false;
	if (event->kind == WIRE_PROC_FORK && event->tid == event->tgid)
		return apply_fork(table, event, ticks, ret);

	switch (event->kind) {
	case WIRE_PROC_FORK:
		apply_thread(table, event);
		break;
	case WIRE_PROC_EXEC:
		process = find(table, event->tgid);
		if (process)
			apply_exec(table, process, event, ret);
		break;
	case WIRE_PROC_UID:
		process = find(table, event->tgid);
		if (process)
			apply_uid(process, event, ret);
		break;
	case WIRE_PROC_EXIT:
		process = find(table, event->tgid);
		if (process)
			apply_exit(table, process, event, ticks, ret);
		break;
	case WIRE_PROC_ACK:
	case WIRE_PROC_OTHER:
		break;
	}

	return false;
}

void process_set_start(struct process *process, uint64_t start_ticks)
{
	assert(process);

	process->start_read = true;
	if (process->start_ticks == 0 &&
	    (process->born_ticks == 0 || start_ticks <= process->born_ticks + 1))
		process->start_ticks = start_ticks;
}
