/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/process-internal.h"

static struct process_change end(struct process_table *table, struct process *process)
{
	thread_index_clear(&table->threads, process);
	process->ended = true;
	return (struct process_change){ .kind = PROCESS_ENDED,
					.process = process,
					.pid = process->pid };
}

static void inherit_uid(struct process *child, const struct process *parent)
{
	child->uid = parent->uid;
	child->uid_known = parent->uid_known;
	/* Where it is not, the scan found the parent as it was later. */
	child->was_other = !parent->uid_known;
	child->uid_stale = parent->uid_stale;
	child->uid_since_ns = parent->uid_since_ns;
	child->uid_mixed |= parent->uid_mixed;
	child->uid_split |= parent->uid_split;
	child->uid_saved |= parent->uid_saved;
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
	inherit_uid(child, parent);
	return (struct process_change){
		.kind = PROCESS_FORKED, .process = child, .parent = parent, .pid = pid
	};
}

/* The scan has it already: the event is only told. */
static bool is_reflected(const struct process *process, const struct wire_proc_event *event)
{
	return process->scanned && event->monotonic_ns < process->scanned_ns;
}

/* NULL too where an event of that time can only be about who had the pid before. */
static struct process *find_then(const struct process_table *table, uint32_t pid, uint64_t ticks)
{
	struct process *process = process_table_find(table, pid);

	return process && process->scanned && ticks + 1 < process->start_ticks ? NULL : process;
}

static bool apply_fork(struct process_table *table, const struct wire_proc_event *event,
		       uint64_t ticks, struct process_change *ret)
{
	struct process *parent = find_then(table, event->parent_tgid, ticks);
	struct process *child = process_table_find(table, event->tgid);

	if (child && child == parent)
		return false;
	if (parent)
		parent->uid_stale |= table->stale;
	if (child && child->scanned && (!parent || ticks + 1 >= child->start_ticks)) {
		if (!parent)
			return false;
		child->parent = parent->pid;
		/* As it was then; what it did up to the scan is told in the following. */
		if (process_knows_uids(parent, event->monotonic_ns) && is_reflected(child, event)) {
			inherit_uid(child, parent);
			child->uid_since_ns = 0;
		}
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

	if (parent)
		*ret = add_child(table, parent, event->tgid, ticks);
	return false;
}

static void apply_thread(struct process_table *table, struct process *process,
			 const struct wire_proc_event *event)
{
	if (!is_reflected(process, event) &&
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
	*ret = (struct process_change){
		.kind = PROCESS_EXECED, .process = process, .pid = process->pid, .name = event->name
	};
}

/* The scan tells more of the saved one; what is in between is taken for as mixed as the end. */
static void reflect_uid(struct process *process, const struct wire_proc_event *event)
{
	if (event->tid != process->pid)
		return;

	process->uid = event->ruid;
	process->uid_known = true;
	process->uid_split |= event->ruid != event->euid;
	process->uid_saved |= process->uid_split;
	process->uid_mixed = process->uid_split || process->uid_saved;
}

static void apply_uid(struct process *process, const struct wire_proc_event *event,
		      struct process_change *ret)
{
	bool same = process->uid_known && !process->uid_mixed && event->ruid == process->uid &&
		    event->euid == process->uid;

	if (process->uid_known && !same)
		process->was_other = true;
	if (event->tid == process->pid)
		process->uid_since_ns = 0;
	if (is_reflected(process, event)) {
		reflect_uid(process, event);
		return;
	}
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
		       const struct wire_proc_event *event, struct process_change *ret)
{
	/* It lived afterwards: a thread of it ended. */
	if (is_reflected(process, event)) {
		process->n_exits++;
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

void process_table_set_stale(struct process_table *table, bool stale)
{
	assert(table);

	table->stale = stale;
}

void process_table_foresee(struct process_table *table, const struct wire_proc_event *event)
{
	struct process *process;

	assert(table && event);

	if (event->kind != WIRE_PROC_UID || event->tid != event->tgid)
		return;
	process = process_table_find(table, event->tgid);
	if (process && is_reflected(process, event))
		process->uid_known = false;
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

	process = find_then(table, event->tgid, ticks);
	if (!process)
		return false;
	process->uid_stale |= table->stale;

	switch (event->kind) {
	case WIRE_PROC_FORK:
		apply_thread(table, process, event);
		break;
	case WIRE_PROC_EXEC:
		apply_exec(table, process, event, ret);
		break;
	case WIRE_PROC_UID:
		apply_uid(process, event, ret);
		break;
	case WIRE_PROC_EXIT:
		apply_exit(table, process, event, ret);
		break;
	case WIRE_PROC_ACK:
	case WIRE_PROC_OTHER:
		break;
	}

	return false;
}
