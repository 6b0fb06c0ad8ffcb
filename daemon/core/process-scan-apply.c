/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/process-scan-internal.h"

static bool is_same(const struct process *process, const struct process_scan_entry *entry)
{
	if (process->start_ticks)
		return process->start_ticks == entry->start_ticks;

	/* A fork is told after the start; whoever has the pid next starts later. */
	return process->born_ticks == 0 || entry->start_ticks <= process->born_ticks + 1;
}

static void set_threads(struct process_scan *scan, const struct scan_item *item,
			struct process *process)
{
	const struct process_scan_entry *entry = &item->entry;
	const uint32_t *tids = entry->tids ? scan->tids + item->first_tid : NULL;

	process_table_set_threads(scan->table, process, tids, entry->n_tids);
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
	/* If they are others than before the loss, nobody knows since when. */
	if (!same || process->uid_stale)
		process->uid_since_ns = entry->read_ns;
	process->uid = entry->uid;
	process->uid_mixed = process->uid_split = process->uid_saved = entry->uid_mixed;
	process->uid_known = true;
	process->uid_stale = false;
}

/* Nobody is younger than his child, not even who takes it over: it has the pid of the parent since. */
static bool is_younger(const struct process *parent, const struct process_scan_entry *entry)
{
	if (parent->start_ticks)
		return parent->start_ticks > entry->start_ticks;

	return parent->born_ticks > entry->start_ticks + 1;
}

static struct process *find_parent(const struct process_scan *scan, uint32_t pid,
				   const struct process_scan_entry *entry)
{
	struct process *parent = pid ? process_table_find(scan->table, pid) : NULL;
	const struct scan_item *item;
	bool reused;

	if (!parent || parent->pid == entry->pid || parent->unseen || is_younger(parent, entry))
		return NULL;

	/* Whose end is still to be told: the pid is another's by now. */
	item = process_scan_item(scan, pid);
	if (!item)
		return parent;
	if (!is_same(parent, &item->entry))
		return NULL;

	/* Who has ended has no children any more. */
	reused = pid == entry->parent && process_scan_has_ended(&item->entry) &&
		 item->entry.read_ns < entry->read_ns;
	return reused ? NULL : parent;
}

/* Return: 0 with the process or NULL, or -ENOMEM. */
static int enter(struct process_scan *scan, const struct scan_item *item, struct process *parent,
		 struct process **ret)
{
	const struct process_scan_entry *entry = &item->entry;
	struct process *process = process_table_find(scan->table, entry->pid);
	int r;

	if (process && !is_same(process, entry)) {
		*ret = NULL;
		if (scan->lossless)
			return 0;
		scan->ops->gone(process, scan->userdata);
		process_table_remove(scan->table, process);
		process = NULL;
	}

	if (process) {
		process->start_ticks = entry->start_ticks;
		if (!scan->lossless) {
			set_threads(scan, item, process);
			process->scanned_ns = entry->read_ns;
		}
		if (!scan->lossless || !process->uid_known)
			set_uid(process, entry);
		*ret = process;
		return 0;
	}

	*ret = NULL;
	if (!parent && !scan->ops->wanted(entry, scan->userdata))
		return 0;
	r = process_table_add(scan->table, entry->pid, ret);
	if (r == -ENOSPC) {
		scan->ops->full(entry, parent, scan->userdata);
		return 0;
	}
	if (r < 0)
		return r;
	(*ret)->parent = entry->parent;
	(*ret)->start_ticks = entry->start_ticks;
	(*ret)->scanned_ns = entry->read_ns;
	set_threads(scan, item, *ret);
	set_uid(*ret, entry);
	return 0;
}

static int visit(struct process_scan *scan, const struct scan_item *item)
{
	const struct process_scan_entry *entry = &item->entry;
	struct process *parent, *former, *process;
	int r;

	/* If events do not tell, the sweep will. */
	if (process_scan_has_ended(entry))
		return 0;

	parent = find_parent(scan, entry->parent, entry);
	former = find_parent(scan, item->former_parent, entry);
	r = enter(scan, item, former ? former : parent, &process);
	if (r < 0 || !process)
		return r;

	process->scanned = true;
	process->unseen = false;
	if (former)
		scan->ops->found(process, former, scan->userdata);
	scan->ops->found(process, parent, scan->userdata);
	return 0;
}

/*
 * Its parents were read while they lived, up to where all begins; none of them is in
 * the table. What was read at different times may go in a circle: it is not then.
 */
static bool is_outside(const struct process_scan *scan, const struct scan_item *item)
{
	const struct scan_item *parent;

	if (process_scan_has_ended(&item->entry))
		return false;
	if (item->entry.parent <= 1 || find_parent(scan, item->entry.parent, &item->entry))
		return true;

	parent = process_scan_item(scan, item->entry.parent);
	return parent && parent->outside && parent->entry.start_ticks <= item->entry.start_ticks;
}

static void doubt(struct process_scan *scan, struct scan_item *item)
{
	uint32_t n_threads = item->entry.n_threads;

	item->outside = is_outside(scan, item);
	if (!item->outside && !process_scan_has_ended(&item->entry) &&
	    !process_table_find(scan->table, item->entry.pid))
		process_scan_set_doubtful(scan, item, n_threads > 0 ? n_threads : 1);
}

static void push(struct process_scan *scan, struct scan_item *item)
{
	item->visit = SCAN_VISIT_BEGUN;
	scan->stack[scan->n_stack++] = (uint32_t)(item - scan->items);
}

/* Parents first: no recursion, a chain may be as long as the scan. Return: steps, or -ENOMEM. */
static int visit_step(struct process_scan *scan)
{
	struct scan_item *item, *parent;
	int r;

	if (scan->n_stack == 0) {
		item = &scan->items[scan->n_visited++];
		if (item->visit == SCAN_VISIT_NOT)
			push(scan, item);
		return 1;
	}

	item = &scan->items[scan->stack[scan->n_stack - 1]];
	parent = process_scan_item(scan, item->entry.parent);
	if (!parent || parent->visit != SCAN_VISIT_NOT)
		parent = process_scan_item(scan, item->former_parent);
	if (parent && parent->visit == SCAN_VISIT_NOT) {
		push(scan, parent);
		return 1;
	}

	r = visit(scan, item);
	if (r < 0)
		return r;
	doubt(scan, item);
	item->visit = SCAN_VISIT_DONE;
	scan->n_stack--;
	return 1 + (int)item->entry.n_tids;
}

static void set_phase(struct process_scan *scan, enum scan_phase phase)
{
	bool walks =
		phase == SCAN_PHASE_CLEAR || phase == SCAN_PHASE_MISS || phase == SCAN_PHASE_SWEEP;

	if (scan->walking)
		process_walk_end(&scan->walk);
	scan->phase = phase;
	scan->walking = walks;
	if (walks)
		process_walk_begin(scan->table, &scan->walk);
}

static void clear(struct process *process)
{
	process->scanned = false;
	process->scanned_ns = 0;
	process->unseen = false;
}

/* Who it became in the loss, before it ended, nobody knows. */
static void miss(const struct process_scan *scan, struct process *process)
{
	if (scan->lossless || process->scanned || process->ended)
		return;

	process->unseen = true;
	process->uid_stale = true;
}

static void sweep(const struct process_scan *scan, struct process *process)
{
	if (!process->unseen || process->ended) {
		process->scanned = false;
		process->scanned_ns = 0;
		return;
	}

	scan->ops->gone(process, scan->userdata);
	process_table_remove(scan->table, process);
}

static void walk_step(struct process_scan *scan, enum scan_phase next)
{
	struct process *process = process_walk_next(&scan->walk);

	if (!process)
		set_phase(scan, next);
	else if (scan->phase == SCAN_PHASE_CLEAR)
		clear(process);
	else if (scan->phase == SCAN_PHASE_MISS)
		miss(scan, process);
	else
		sweep(scan, process);
}

/* Return: how many steps it was, or -ENOMEM. */
static int apply_step(struct process_scan *scan)
{
	if (scan->phase == SCAN_PHASE_CLEAR) {
		walk_step(scan, SCAN_PHASE_VISIT);
		return 1;
	}
	if (scan->phase == SCAN_PHASE_MISS) {
		walk_step(scan, SCAN_PHASE_APPLIED);
		return 1;
	}
	if (scan->n_stack > 0 || scan->n_visited < scan->n_items)
		return visit_step(scan);

	set_phase(scan, SCAN_PHASE_MISS);
	return 1;
}

int process_scan_begin(struct process_scan *scan, struct process_table *table, bool lossless,
		       const struct process_scan_ops *ops, void *userdata)
{
	assert(scan && table && ops);
	assert(scan->phase == SCAN_PHASE_NONE);

	/* One more, since calloc() of nothing may give NULL. */
	scan->stack = calloc(scan->n_items + 1, sizeof(*scan->stack));
	if (!scan->stack)
		return -ENOMEM;

	scan->table = table;
	scan->lossless = lossless;
	scan->ops = ops;
	scan->userdata = userdata;
	set_phase(scan, SCAN_PHASE_CLEAR);
	return 0;
}

int process_scan_apply(struct process_scan *scan, struct slice *slice)
{
	assert(scan && slice);
	assert(scan->phase != SCAN_PHASE_NONE && scan->phase != SCAN_PHASE_SWEEP);

	while (scan->phase != SCAN_PHASE_APPLIED) {
		int r = apply_step(scan);

		if (r < 0)
			return r;
		if (!slice_spend(slice, (size_t)r))
			return PROCESS_SCAN_E_MORE;
	}

	return 0;
}

void process_scan_foresee(struct process_scan *scan, const struct wire_proc_event *event)
{
	struct scan_item *item;

	assert(scan && event);

	if (event->kind != WIRE_PROC_UID || event->tid != event->tgid)
		return;
	item = process_scan_item(scan, event->tgid);
	if (item && event->monotonic_ns < item->entry.read_ns)
		item->uid_foreseen = true;
}

void process_scan_take_uids(const struct process_scan *scan, struct process *process)
{
	const struct scan_item *item;

	assert(scan && process);

	item = process_scan_item(scan, process->pid);
	if (!item || process_scan_has_ended(&item->entry) || !is_same(process, &item->entry))
		return;

	set_uid(process, &item->entry);
	if (item->uid_foreseen) {
		process->uid_known = false;
		process->was_other = process->uid_mixed = process->uid_saved = true;
		process->uid_since_ns = 0;
	}
}

int process_scan_sweep(struct process_scan *scan, struct slice *slice)
{
	assert(scan && slice);
	assert(scan->phase >= SCAN_PHASE_APPLIED);

	if (scan->phase == SCAN_PHASE_APPLIED)
		set_phase(scan, SCAN_PHASE_SWEEP);
	while (scan->phase == SCAN_PHASE_SWEEP) {
		walk_step(scan, SCAN_PHASE_NONE);
		if (!slice_spend(slice, 1) && scan->phase == SCAN_PHASE_SWEEP)
			return PROCESS_SCAN_E_MORE;
	}

	return 0;
}
