/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/index.h"
#include "daemon/core/process-scan.h"

enum visit {
	VISIT_NOT,
	VISIT_BEGUN,
	VISIT_DONE,
};

/* By number, since the array moves. */
struct item {
	struct process_scan_entry entry; /* ->tids: of the scan */
	uint32_t former_parent; /* as the first pass saw it, 0: the same */
	size_t first_tid;
	enum visit visit;
	uint32_t n_doubtful; /* threads, where nobody knows whose descendant it is */
};

struct process_scan {
	struct item *items;
	size_t n_items, n_allocated;
	struct index index;
	uint32_t *tids;
	size_t n_tids, n_tids_allocated;
	size_t n_doubtful; /* items */
};

int process_scan_new(struct process_scan **ret)
{
	struct process_scan *scan;

	assert(ret);

	scan = calloc(1, sizeof(*scan));
	if (!scan)
		return -ENOMEM;

	*ret = scan;
	return 0;
}

struct process_scan *process_scan_free(struct process_scan *scan)
{
	if (!scan)
		return NULL;

	index_deinit(&scan->index);
	free(scan->items);
	free(scan->tids);
	free(scan);
	return NULL;
}

/* Return: the slot of @pid, which holds 0 where it is not there. */
static uint32_t *find_slot(const struct process_scan *scan, uint32_t pid)
{
	uint32_t *slot = index_first(&scan->index, hash_number(pid));

	while (*slot && scan->items[*slot - 1].entry.pid != pid)
		slot = index_next(&scan->index, slot);
	return slot;
}

static struct item *find_item(const struct process_scan *scan, uint32_t pid)
{
	uint32_t *slot;

	if (scan->n_items == 0)
		return NULL;

	slot = find_slot(scan, pid);
	return *slot ? &scan->items[*slot - 1] : NULL;
}

static int reserve_item(struct process_scan *scan)
{
	size_t n = scan->n_allocated ? 2 * scan->n_allocated : 256;
	struct index index;
	struct item *items;
	int r;

	if (scan->n_items < scan->n_allocated)
		return 0;
	if (scan->n_items >= PROCESS_SCAN_MAX)
		return -ENOSPC;

	items = reallocarray(scan->items, n, sizeof(*items));
	if (!items)
		return -ENOMEM;
	scan->items = items;
	r = index_init(&index, n);
	if (r < 0)
		return r;

	index_deinit(&scan->index);
	scan->index = index;
	scan->n_allocated = n;
	for (size_t i = 0; i < scan->n_items; i++)
		*find_slot(scan, items[i].entry.pid) = (uint32_t)i + 1;
	return 0;
}

static int copy_tids(struct process_scan *scan, const struct process_scan_entry *entry)
{
	size_t n = scan->n_tids_allocated ? scan->n_tids_allocated : 1024;
	uint32_t *tids;

	if (entry->n_tids > PROCESS_SCAN_MAX - scan->n_tids)
		return -ENOSPC;
	while (n < scan->n_tids + entry->n_tids)
		n *= 2;
	if (n > scan->n_tids_allocated) {
		tids = reallocarray(scan->tids, n, sizeof(*tids));
		if (!tids)
			return -ENOMEM;
		scan->tids = tids;
		scan->n_tids_allocated = n;
	}

	memcpy(scan->tids + scan->n_tids, entry->tids, entry->n_tids * sizeof(*tids));
	scan->n_tids += entry->n_tids;
	return 0;
}

int process_scan_add(struct process_scan *scan, const struct process_scan_entry *entry)
{
	size_t first_tid;
	struct item item;
	uint32_t *slot;
	int r;

	assert(scan && entry);
	assert(entry->pid > 0);
	assert(entry->tids || entry->n_tids == 0);

	r = reserve_item(scan);
	if (r < 0)
		return r;
	first_tid = scan->n_tids;
	if (entry->tids) {
		r = copy_tids(scan, entry);
		if (r < 0)
			return r;
	}

	item = (struct item){ .entry = *entry, .first_tid = first_tid };
	slot = find_slot(scan, entry->pid);
	if (*slot) {
		const struct item *former = &scan->items[*slot - 1];

		/* Its parent may have ended between the passes. */
		if (former->entry.start_ticks == entry->start_ticks &&
		    former->entry.parent != entry->parent)
			item.former_parent = former->entry.parent;
	} else {
		*slot = (uint32_t)++scan->n_items;
	}
	scan->items[*slot - 1] = item;
	return 0;
}

const struct process_scan_entry *process_scan_find(const struct process_scan *scan, uint32_t pid)
{
	const struct item *item;

	assert(scan);

	item = find_item(scan, pid);
	return item ? &item->entry : NULL;
}

/* What is applied, to what, for whom. */
struct application {
	struct process_scan *scan;
	struct process_table *table;
	bool lossless;
	const struct process_scan_ops *ops;
	void *userdata;
};

static bool is_same(const struct process *process, const struct process_scan_entry *entry)
{
	if (process->start_ticks)
		return process->start_ticks == entry->start_ticks;

	/* A fork is told after the start; whoever has the pid next starts later. */
	return process->born_ticks == 0 || entry->start_ticks <= process->born_ticks + 1;
}

static bool has_ended(const struct process_scan_entry *entry)
{
	return entry->zombie && entry->n_threads <= 1;
}

static void set_threads(const struct application *a, const struct item *item,
			struct process *process)
{
	const struct process_scan_entry *entry = &item->entry;
	const uint32_t *tids = entry->tids ? a->scan->tids + item->first_tid : NULL;

	process_table_set_threads(a->table, process, tids, entry->n_tids);
	if (!entry->tids && entry->n_threads > 1)
		process->threads_missing = true;
	process->leader_ended = entry->zombie;
}

static void set_uid(struct process *process, const struct process_scan_entry *entry)
{
	bool same = process->uid_known && process->uid == entry->uid &&
		    process->uid_mixed == entry->uid_mixed;

	if (process->uid_known && !same)
		process->was_other = true;
	process->uid = entry->uid;
	process->uid_mixed = process->uid_split = process->uid_saved = entry->uid_mixed;
	process->uid_known = true;
}

static struct process *find_parent(const struct application *a, uint32_t pid)
{
	struct process *parent = pid ? process_table_find(a->table, pid) : NULL;

	return parent && !parent->unseen ? parent : NULL;
}

/* Return: 0 with the process or NULL, or -ENOMEM. */
static int enter(const struct application *a, const struct item *item, struct process *parent,
		 struct process **ret)
{
	const struct process_scan_entry *entry = &item->entry;
	struct process *process = process_table_find(a->table, entry->pid);
	int r;

	if (process && !is_same(process, entry)) {
		*ret = NULL;
		if (a->lossless)
			return 0;
		a->ops->gone(process, a->userdata);
		process_table_remove(a->table, process);
		process = NULL;
	}

	if (process) {
		process->start_ticks = entry->start_ticks;
		if (!a->lossless) {
			set_threads(a, item, process);
			process->scanned_ns = entry->read_ns;
		}
		if (!a->lossless || !process->uid_known)
			set_uid(process, entry);
		*ret = process;
		return 0;
	}

	*ret = NULL;
	if (!parent && !a->ops->wanted(entry, a->userdata))
		return 0;
	r = process_table_add(a->table, entry->pid, ret);
	if (r == -ENOSPC) {
		a->ops->full(entry, parent, a->userdata);
		return 0;
	}
	if (r < 0)
		return r;
	(*ret)->parent = entry->parent;
	(*ret)->start_ticks = entry->start_ticks;
	(*ret)->scanned_ns = entry->read_ns;
	set_threads(a, item, *ret);
	set_uid(*ret, entry);
	return 0;
}

static int visit(const struct application *a, const struct item *item)
{
	const struct process_scan_entry *entry = &item->entry;
	struct process *former, *process;
	int r;

	/* If events do not tell, the sweep will. */
	if (has_ended(entry))
		return 0;

	former = find_parent(a, item->former_parent);
	r = enter(a, item, former ? former : find_parent(a, entry->parent), &process);
	if (r < 0 || !process)
		return r;

	process->scanned = true;
	process->unseen = false;
	if (former)
		a->ops->found(process, former, a->userdata);
	a->ops->found(process, find_parent(a, entry->parent), a->userdata);
	return 0;
}

/* Parents first: no recursion, a chain may be as long as the scan. */
static int visit_chain(const struct application *a, size_t first, uint32_t *stack)
{
	struct process_scan *scan = a->scan;
	size_t n = 0;
	int r;

	stack[n++] = (uint32_t)first;
	scan->items[first].visit = VISIT_BEGUN;
	while (n > 0) {
		struct item *item = &scan->items[stack[n - 1]];
		struct item *parent = find_item(scan, item->entry.parent);

		if (!parent || parent->visit != VISIT_NOT)
			parent = find_item(scan, item->former_parent);
		if (parent && parent->visit == VISIT_NOT) {
			parent->visit = VISIT_BEGUN;
			stack[n++] = (uint32_t)(parent - scan->items);
			continue;
		}

		r = visit(a, item);
		if (r < 0)
			return r;
		item->visit = VISIT_DONE;
		n--;
	}

	return 0;
}

static void set_doubtful(struct process_scan *scan, struct item *item, uint32_t n_threads)
{
	scan->n_doubtful += (n_threads > 0) - (item->n_doubtful > 0);
	item->n_doubtful = n_threads;
}

/* Its parents were read while they lived, up to where all begins; none of them is in the table. */
static bool is_outside(const struct process_scan *scan, const struct process_table *table,
		       const struct item *item)
{
	/* What was read at different times may go in a circle. */
	for (size_t n = 0; item && !has_ended(&item->entry) && n <= scan->n_items; n++) {
		if (item->entry.parent <= 1 || process_table_find(table, item->entry.parent))
			return true;
		item = find_item(scan, item->entry.parent);
	}

	return false;
}

static void doubt(struct process_scan *scan, const struct process_table *table)
{
	for (size_t i = 0; i < scan->n_items; i++) {
		struct item *item = &scan->items[i];
		uint32_t n_threads = item->entry.n_threads;

		if (!has_ended(&item->entry) && !process_table_find(table, item->entry.pid) &&
		    !is_outside(scan, table, item))
			set_doubtful(scan, item, n_threads > 0 ? n_threads : 1);
	}
}

int process_scan_apply(struct process_scan *scan, struct process_table *table, bool lossless,
		       const struct process_scan_ops *ops, void *userdata)
{
	const struct application a = { scan, table, lossless, ops, userdata };
	_cleanup_free_ uint32_t *stack = NULL;
	struct process *process;
	int r;

	assert(scan && table && ops);

	/* One more, since calloc() of nothing may give NULL. */
	stack = calloc(scan->n_items + 1, sizeof(*stack));
	if (!stack)
		return -ENOMEM;

	for (process = process_table_next(table, NULL); process;
	     process = process_table_next(table, process)) {
		process->scanned = false;
		process->scanned_ns = 0;
		process->unseen = false;
	}
	for (size_t i = 0; i < scan->n_items; i++)
		scan->items[i].visit = VISIT_NOT;
	for (size_t i = 0; i < scan->n_items; i++) {
		if (scan->items[i].visit != VISIT_NOT)
			continue;
		r = visit_chain(&a, i, stack);
		if (r < 0)
			return r;
	}

	for (process = process_table_next(table, NULL); process;
	     process = process_table_next(table, process))
		if (!lossless && !process->scanned && !process->ended)
			process->unseen = true;
	doubt(scan, table);
	return 0;
}

static bool is_doubtful(const struct process_scan *scan, const struct process_table *table,
			uint32_t pid)
{
	const struct item *item;

	if (process_table_find(table, pid))
		return false;

	item = find_item(scan, pid);
	return !item || item->n_doubtful > 0 || has_ended(&item->entry);
}

/* From here on it is known, as one that was read is. */
static void note_fork(struct process_scan *scan, const struct process_table *table,
		      const struct wire_proc_event *event)
{
	const struct process_scan_entry entry = { .pid = event->tgid };
	bool doubtful = !process_table_find(table, event->tgid) &&
			is_doubtful(scan, table, event->parent_tgid);
	struct item *item = find_item(scan, event->tgid);

	if (!item && process_scan_add(scan, &entry) < 0) {
		/* for good: what becomes of it cannot be told */
		scan->n_doubtful += doubtful;
		return;
	}
	if (!item)
		item = find_item(scan, event->tgid);
	item->entry.zombie = false;
	set_doubtful(scan, item, doubtful);
}

void process_scan_note(struct process_scan *scan, const struct process_table *table,
		       const struct wire_proc_event *event)
{
	struct item *item;

	assert(scan && table && event);

	if (event->kind == WIRE_PROC_FORK && event->tid == event->tgid) {
		note_fork(scan, table, event);
		return;
	}

	item = find_item(scan, event->tgid);
	if (!item || item->n_doubtful == 0)
		return;
	if (event->kind == WIRE_PROC_FORK)
		item->n_doubtful++;
	else if (event->kind == WIRE_PROC_EXIT)
		set_doubtful(scan, item, item->n_doubtful - 1);
}

bool process_scan_is_doubtful(const struct process_scan *scan)
{
	assert(scan);

	return scan->n_doubtful > 0;
}

void process_scan_sweep(struct process_table *table, const struct process_scan_ops *ops,
			void *userdata)
{
	struct process *process, *next;

	assert(table && ops);

	for (process = process_table_next(table, NULL); process; process = next) {
		next = process_table_next(table, process);
		if (process->unseen && !process->ended) {
			ops->gone(process, userdata);
			process_table_remove(table, process);
			continue;
		}
		process->scanned = false;
		process->scanned_ns = 0;
	}
}
