/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a scan is made of. For process-scan.c and process-scan-apply.c alone. */

#include "daemon/core/index.h"
#include "daemon/core/process-scan.h"

enum scan_visit {
	SCAN_VISIT_NOT,
	SCAN_VISIT_BEGUN,
	SCAN_VISIT_DONE,
};

/* By number, since the array moves. */
struct scan_item {
	struct process_scan_entry entry; /* ->tids: of the scan */
	uint32_t former_parent; /* as the first pass saw it, 0: the same */
	size_t first_tid;
	enum scan_visit visit;
	bool uid_foreseen; /* a change of it that was told before it was read is still to be applied */
	bool outside; /* it descends from nobody in the table */
	uint32_t n_doubtful; /* threads, where nobody knows whose descendant it is */
};

enum scan_phase {
	SCAN_PHASE_NONE,
	SCAN_PHASE_CLEAR, /* what a former scan left in the table */
	SCAN_PHASE_VISIT,
	SCAN_PHASE_MISS, /* who is in the table and not in the scan */
	SCAN_PHASE_APPLIED,
	SCAN_PHASE_SWEEP,
};

struct process_scan {
	struct scan_item *items;
	size_t n_items, n_allocated;
	struct index index;
	uint32_t *tids;
	size_t n_tids, n_tids_allocated;
	size_t n_doubtful; /* items */

	/* While it is applied: to what, for whom, and how far. */
	struct process_table *table;
	bool lossless;
	const struct process_scan_ops *ops;
	void *userdata;
	enum scan_phase phase;
	bool walking;
	struct process_walk walk;
	uint32_t *stack; /* of those who wait for their parents: ->n_stack */
	size_t n_stack, n_visited;
};

/** process_scan_item() - by pid; NULL: none. Until the next is added */
struct scan_item *process_scan_item(const struct process_scan *scan, uint32_t pid);
/** process_scan_set_doubtful() - so many threads of it that may be anybody's descendants */
void process_scan_set_doubtful(struct process_scan *scan, struct scan_item *item,
			       uint32_t n_threads);

static inline bool process_scan_has_ended(const struct process_scan_entry *entry)
{
	return entry->zombie && entry->n_threads <= 1;
}
