/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/index.h"
#include "daemon/core/process-internal.h"

#define BUCKETS_MIN 64

/* Kept for those to come: in a storm the heap would grow and shrink with each batch. */
#define SPARES_MAX 1024

static struct process_list *bucket_of(const struct process_table *table, uint32_t pid)
{
	return &table->buckets[hash_number(pid) >> 32 & (table->n_buckets - 1)];
}

/*
 * To the two buckets that are made of one. The newest of each stays first:
 * find_unsettled() goes by that.
 */
static void split(struct process_table *table, struct process_list *from)
{
	struct process *last[2] = {}, *process;

	while ((process = LIST_FIRST(from))) {
		struct process_list *to = bucket_of(table, process->pid);
		size_t which = to >= &table->buckets[table->n_buckets / 2];

		LIST_REMOVE(process, bucket);
		if (last[which])
			LIST_INSERT_AFTER(last[which], process, bucket);
		else
			LIST_INSERT_HEAD(to, process, bucket);
		last[which] = process;
	}
}

static int grow(struct process_table *table)
{
	size_t n_old = table->n_buckets, n = n_old ? 2 * n_old : BUCKETS_MIN;
	struct process_list *old = table->buckets, *buckets;

	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;

	table->buckets = buckets;
	table->n_buckets = n;
	for (size_t i = 0; i < n_old; i++)
		split(table, &old[i]);
	free(old);
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
	assert(LIST_EMPTY(&table->walks));
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
static struct process *find_unsettled(const struct process_table *table, uint32_t pid,
				      uint64_t before)
{
	struct process *process, *first = NULL;

	if (table->n_processes == 0)
		return NULL;
	LIST_FOREACH(process, bucket_of(table, pid), bucket)
		if (process->pid == pid && process->ended &&
		    process->n_records < process->n_exits && process->fork_number < before)
			first = process;

	return first;
}

struct process *process_table_find_record(const struct process_table *table, uint32_t tid,
					  uint32_t tgid, uint64_t before)
{
	struct process *process;
	struct process_thread *thread;

	assert(table);

	process = find_unsettled(table, tgid ? tgid : tid, before);
	if (process)
		return process;

	thread = tgid ? NULL : thread_index_find(&table->threads, tid);
	process = thread ? thread->process : find(table, tgid ? tgid : tid);
	return process && process->fork_number < before ? process : NULL;
}

struct process *process_table_next(const struct process_table *table, const struct process *process)
{
	assert(table);

	return process ? LIST_NEXT(process, all) : LIST_FIRST(&table->all);
}

void process_walk_begin(struct process_table *table, struct process_walk *walk)
{
	assert(table && walk);

	walk->next = LIST_FIRST(&table->all);
	LIST_INSERT_HEAD(&table->walks, walk, walks);
}

struct process *process_walk_next(struct process_walk *walk)
{
	struct process *process;

	assert(walk);

	process = walk->next;
	if (process)
		walk->next = LIST_NEXT(process, all);
	return process;
}

void process_walk_end(struct process_walk *walk)
{
	assert(walk);

	LIST_REMOVE(walk, walks);
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
	struct process_walk *walk;

	assert(table && process);
	assert(!process->groups);

	LIST_FOREACH(walk, &table->walks, walks)
		if (walk->next == process)
			walk->next = LIST_NEXT(process, all);

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
		    thread_index_enter(&table->threads, &table->owners, process, tids[i]) < 0)
			process->threads_missing = true;
}

void process_set_start(struct process *process, uint64_t start_ticks)
{
	assert(process);

	process->start_read = true;
	if (process->start_ticks == 0 &&
	    (process->born_ticks == 0 || start_ticks <= process->born_ticks + 1))
		process->start_ticks = start_ticks;
}
