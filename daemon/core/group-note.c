/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/group-internal.h"

static bool tells_all(const struct group *group)
{
	return group->options.all || group->options.owner == 0;
}

/* What the owner may know more of than that it is there. */
static bool is_own(const struct group *group, const struct process *process, uint64_t ns)
{
	return tells_all(group) || process_is_of(process, group->options.owner, ns);
}

static void tell(struct group *group, const struct group_event *event)
{
	if (group->options.events & 1U << event->kind)
		group->groups->ops->event(group, group->next_seq++, event, group->groups->userdata);
}

static void check_empty(struct group *group)
{
	if (group->state != GROUP_LIVE || group->totals.live > 0 || group->n_unsettled > 0)
		return;

	group_end(group);
	group->groups->ops->empty(group, group->groups->userdata);
}

/* Without room or memory it stays outside, and the group is incomplete. */
static void join(struct group *group, struct process *process)
{
	struct group_set *set = NULL;

	if (group_set_has(process->groups, group))
		return;
	if (group->owner->n_members < GROUP_MEMBERS_MAX)
		set = group_set_with(&group->groups->sets, process->groups, group);
	if (!set) {
		group->totals.incomplete = true;
		return;
	}

	group_set_unref(process->groups);
	process->groups = set;
	group->owner->n_members++;
	group->totals.live++;
}

/* Each member charges the owner of its group, and a set may have several of one. */
static bool has_room(const struct group_set *set)
{
	for (size_t i = 0; i < set->n_groups; i++)
		if (set->groups[i]->owner->n_members + set->n_groups > GROUP_MEMBERS_MAX)
			return false;

	return true;
}

/* All of the parent's, by the parent's very set where there is room in all. */
static void inherit(struct process *child, const struct process *parent)
{
	const struct group_set *set = parent->groups;

	if (!set || set == child->groups)
		return;

	if (child->groups || !has_room(set)) {
		for (size_t i = 0; i < set->n_groups; i++)
			join(set->groups[i], child);
		return;
	}

	child->groups = group_set_ref(parent->groups);
	for (size_t i = 0; i < set->n_groups; i++) {
		set->groups[i]->owner->n_members++;
		set->groups[i]->totals.live++;
	}
}

static void leave(struct group *group)
{
	assert(group->totals.live > 0 && group->owner->n_members > 0);

	group->totals.live--;
	group->owner->n_members--;
}

static void note_fork(const struct process_change *change, uint64_t monotonic_us)
{
	const struct group_event event = {
		.kind = GROUP_FORK,
		.pid = change->parent->pid,
		.other = change->pid,
		.monotonic_us = monotonic_us,
	};
	const struct group_set *set = change->parent->groups;

	inherit(change->process, change->parent);
	for (size_t i = 0; set && i < set->n_groups; i++) {
		struct group *group = set->groups[i];

		if (group->state != GROUP_LIVE)
			continue;
		group->totals.forks++;
		tell(group, &event);
	}
}

static void note_exec(const struct process_change *change, uint64_t monotonic_us)
{
	const struct process *process = change->process;
	const struct group_event event = {
		.kind = GROUP_EXEC,
		.pid = process->pid,
		.other = process->parent,
		.monotonic_us = monotonic_us,
		.name = change->name,
	};
	const struct group_set *set = process->groups;

	for (size_t i = 0; set && i < set->n_groups; i++) {
		struct group *group = set->groups[i];

		if (group->state != GROUP_LIVE)
			continue;
		if (!is_own(group, process, monotonic_us * 1000)) {
			group->totals.incomplete = true;
			continue;
		}
		group->totals.execs++;
		tell(group, &event);
	}
}

static void note_end(struct process *process, uint64_t monotonic_us)
{
	const struct group_event event = {
		.kind = GROUP_EXIT,
		.pid = process->pid,
		.other = process->parent,
		.monotonic_us = monotonic_us,
		.status = process->status,
	};
	const struct group_set *set = process->groups;

	for (size_t i = 0; set && i < set->n_groups; i++) {
		struct group *group = set->groups[i];

		leave(group);
		group->n_unsettled++;
		if (group->state != GROUP_LIVE)
			continue;
		group->totals.exits++;
		tell(group, &event);
	}
}

/* It comes again before anything else can: no group becomes empty by it. */
static void unfound(struct process *process)
{
	for (size_t i = 0; process->groups && i < process->groups->n_groups; i++)
		leave(process->groups->groups[i]);
	process->groups = group_set_unref(process->groups);
}

void groups_note(struct groups *groups, const struct process_change *change, uint64_t monotonic_us)
{
	assert(groups && change);

	switch (change->kind) {
	case PROCESS_FORKED:
		note_fork(change, monotonic_us);
		break;
	case PROCESS_EXECED:
		note_exec(change, monotonic_us);
		break;
	case PROCESS_ENDED:
		note_end(change->process, monotonic_us);
		break;
	case PROCESS_VANISHED:
		groups_vanished(groups, change->process);
		break;
	case PROCESS_UNFOUND:
		unfound(change->process);
		break;
	case PROCESS_FULL:
		groups_full(groups, change->parent, change->pid);
		break;
	case PROCESS_NONE:
	case PROCESS_UID:
	case PROCESS_THREAD_ENDED:
		break;
	}
}

void groups_note_lost(struct groups *groups, uint64_t count)
{
	struct group *group;

	assert(groups);

	LIST_FOREACH(group, &groups->all, all) {
		uint64_t told = tells_all(group) ? count : 0;

		if (group->state != GROUP_LIVE)
			continue;
		group->totals.lost += told;
		group->totals.incomplete = true;
		groups->ops->lost(group, told, groups->userdata);
	}
}

void groups_scan_begun(struct groups *groups)
{
	assert(groups);

	groups->scan++;
}

static bool waits_for(const struct group *group, uint32_t pid, uint64_t start_ticks)
{
	return group->options.leader == pid && group->options.start_ticks == start_ticks;
}

bool groups_wanted(const struct groups *groups, uint32_t pid, uint64_t start_ticks)
{
	const struct group *group;

	assert(groups);

	LIST_FOREACH(group, &groups->waiting, waiting)
		if (waits_for(group, pid, start_ticks))
			return true;

	return false;
}

void groups_found(struct groups *groups, struct process *process, struct process *parent)
{
	struct group *group;

	assert(groups && process);

	if (parent)
		inherit(process, parent);
	LIST_FOREACH(group, &groups->waiting, waiting) {
		if (!waits_for(group, process->pid, process->start_ticks))
			continue;
		join(group, process);
		group->found = group_set_has(process->groups, group);
	}
}

void groups_vanished(struct groups *groups, struct process *process)
{
	struct group_set *set;

	assert(groups && process);

	set = process->groups;
	process->groups = NULL;
	for (size_t i = 0; set && i < set->n_groups; i++) {
		leave(set->groups[i]);
		set->groups[i]->totals.incomplete = true;
		check_empty(set->groups[i]);
	}
	group_set_unref(set);
}

void groups_full(struct groups *groups, const struct process *parent, uint32_t pid)
{
	const struct group_set *set = parent ? parent->groups : NULL;
	struct group *group;

	assert(groups);

	for (size_t i = 0; set && i < set->n_groups; i++)
		set->groups[i]->totals.incomplete = true;
	LIST_FOREACH(group, &groups->waiting, waiting)
		if (group->options.leader == pid)
			group->totals.incomplete = true;
}

/* Return: whether another scan may tell what this one did not. */
static bool waits_on(struct group *group, const struct groups *groups, bool doubtful)
{
	if (!group->found)
		return group->scan == groups->scan;
	if (!doubtful)
		return false;
	if (group->n_doubtful < GROUP_DOUBTFUL_MAX) {
		group->n_doubtful++;
		return true;
	}

	group->totals.incomplete = true;
	return false;
}

void groups_ready(struct groups *groups, bool complete, bool doubtful)
{
	struct group *group;

	assert(groups);

	LIST_FOREACH(group, &groups->all, all) {
		if (!complete && group->state != GROUP_OVER)
			group->totals.incomplete = true;
		if (group->state != GROUP_WAITING || waits_on(group, groups, doubtful))
			continue;

		if (group->found) {
			group_take(group);
			group->state = GROUP_LIVE;
		} else {
			group_end(group);
		}
		groups->ops->ready(group, group->found, groups->userdata);
		check_empty(group);
	}
}

void groups_record(struct process *process, const struct wire_taskstats *record)
{
	struct process_usage *usage = &process->usage;

	assert(process && record);

	process->n_records++;
	usage->user_us += record->user_us;
	usage->system_us += record->system_us;
	usage->read_bytes += record->read_bytes;
	usage->write_bytes += record->write_bytes;
	if (record->peak_rss_kib > usage->peak_rss_kib)
		usage->peak_rss_kib = record->peak_rss_kib;
}

bool groups_account(const struct process *process)
{
	const struct group_set *set;

	assert(process);

	set = process->groups;
	for (size_t i = 0; set && i < set->n_groups; i++)
		if (set->groups[i]->options.accounting)
			return true;

	return false;
}

static void account(struct group *group, const struct process *process, bool missing)
{
	const struct process_usage *usage = &process->usage;
	struct group_totals *totals = &group->totals;

	if (missing)
		totals->incomplete = true;
	if (!is_own(group, process, UINT64_MAX) || (process->was_other && !tells_all(group))) {
		totals->incomplete = true;
		return;
	}

	totals->user_us += usage->user_us;
	totals->system_us += usage->system_us;
	totals->read_bytes += usage->read_bytes;
	totals->write_bytes += usage->write_bytes;
	if (usage->peak_rss_kib > totals->peak_rss_kib)
		totals->peak_rss_kib = usage->peak_rss_kib;
}

void groups_settle(struct groups *groups, struct process *process, bool missing)
{
	struct group_set *set;

	assert(groups && process);
	assert(process->ended);

	set = process->groups;
	process->groups = NULL;
	for (size_t i = 0; set && i < set->n_groups; i++) {
		struct group *group = set->groups[i];

		assert(group->n_unsettled > 0);
		group->n_unsettled--;
		if (group->options.accounting && group->state == GROUP_LIVE)
			account(group, process, missing);
		check_empty(group);
	}
	group_set_unref(set);
}

void groups_note_records_lost(struct groups *groups)
{
	struct group *group;

	assert(groups);

	LIST_FOREACH(group, &groups->all, all)
		if (group->options.accounting && group->state != GROUP_OVER)
			group->totals.incomplete = true;
}
