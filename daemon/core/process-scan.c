/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/process-scan-internal.h"

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

	if (scan->walking)
		process_walk_end(&scan->walk);
	index_deinit(&scan->index);
	free(scan->stack);
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

struct scan_item *process_scan_item(const struct process_scan *scan, uint32_t pid)
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
	struct scan_item *items;
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
	struct scan_item item;
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

	item = (struct scan_item){ .entry = *entry, .first_tid = first_tid };
	slot = find_slot(scan, entry->pid);
	if (*slot) {
		const struct scan_item *former = &scan->items[*slot - 1];

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
	const struct scan_item *item;

	assert(scan);

	item = process_scan_item(scan, pid);
	return item ? &item->entry : NULL;
}

void process_scan_set_doubtful(struct process_scan *scan, struct scan_item *item,
			       uint32_t n_threads)
{
	scan->n_doubtful += (n_threads > 0) - (item->n_doubtful > 0);
	item->n_doubtful = n_threads;
}

static bool is_doubtful(const struct process_scan *scan, const struct process_table *table,
			uint32_t pid)
{
	const struct scan_item *item;

	if (process_table_find(table, pid))
		return false;

	item = process_scan_item(scan, pid);
	return !item || item->n_doubtful > 0 || process_scan_has_ended(&item->entry);
}

/* From here on it is known, as one that was read is. */
static void note_fork(struct process_scan *scan, const struct process_table *table,
		      const struct wire_proc_event *event)
{
	const struct process_scan_entry entry = { .pid = event->tgid };
	bool doubtful = !process_table_find(table, event->tgid) &&
			is_doubtful(scan, table, event->parent_tgid);
	struct scan_item *item = process_scan_item(scan, event->tgid);

	if (!item && process_scan_add(scan, &entry) < 0) {
		/* for good: what becomes of it cannot be told */
		scan->n_doubtful += doubtful;
		return;
	}
	if (!item)
		item = process_scan_item(scan, event->tgid);
	item->entry.zombie = false;
	process_scan_set_doubtful(scan, item, doubtful);
}

void process_scan_note(struct process_scan *scan, const struct process_table *table,
		       const struct wire_proc_event *event)
{
	struct scan_item *item;

	assert(scan && table && event);

	if (event->kind == WIRE_PROC_FORK && event->tid == event->tgid) {
		note_fork(scan, table, event);
		return;
	}

	item = process_scan_item(scan, event->tgid);
	if (!item || item->n_doubtful == 0)
		return;
	if (event->kind == WIRE_PROC_FORK)
		item->n_doubtful++;
	else if (event->kind == WIRE_PROC_EXIT)
		process_scan_set_doubtful(scan, item, item->n_doubtful - 1);
}

bool process_scan_is_doubtful(const struct process_scan *scan)
{
	assert(scan);

	return scan->n_doubtful > 0;
}
