/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/group-internal.h"

int groups_new(struct groups **ret, struct process_table *table, const struct group_ops *ops,
	       void *userdata)
{
	struct groups *groups;

	assert(ret && table && ops);

	groups = calloc(1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	groups->table = table;
	groups->ops = ops;
	groups->userdata = userdata;

	*ret = groups;
	return 0;
}

struct groups *groups_free(struct groups *groups)
{
	struct process *process;

	if (!groups)
		return NULL;

	for (process = process_table_next(groups->table, NULL); process;
	     process = process_table_next(groups->table, process))
		groups_drop_empty(process);
	assert(LIST_EMPTY(&groups->all) && LIST_EMPTY(&groups->owners));
	assert(LIST_EMPTY(&groups->sets));
	free(groups);
	return NULL;
}

static struct group_owner *owner_get(struct groups *groups, uid_t uid)
{
	struct group_owner *owner;

	LIST_FOREACH(owner, &groups->owners, all)
		if (owner->uid == uid)
			return owner;

	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->uid = uid;
	LIST_INSERT_HEAD(&groups->owners, owner, all);
	return owner;
}

int group_new(struct group **ret, struct groups *groups, const struct group_options *options,
	      void *userdata)
{
	_cleanup_free_ struct group *group = NULL;

	assert(ret && groups && options);
	assert(options->leader > 0 && !(options->events & ~GROUP_EVENTS_ALL));

	if (groups->n_groups >= GROUPS_MAX)
		return -ENOSPC;
	group = calloc(1, sizeof(*group));
	if (!group)
		return -ENOMEM;
	group->owner = owner_get(groups, options->owner);
	if (!group->owner)
		return -ENOMEM;

	group->groups = groups;
	group->options = *options;
	group->userdata = userdata;
	group->next_seq = 1;
	group->scan = groups->scan;
	group->totals.leader = options->leader;
	group->totals.accounting = options->accounting;
	group->owner->n_groups++;
	groups->n_groups++;
	groups->n_going++;
	groups->n_accounting += options->accounting;
	groups->n_hasty += !options->patient;
	LIST_INSERT_HEAD(&groups->waiting, group, waiting);
	LIST_INSERT_HEAD(&groups->all, group, all);
	*ret = TAKE_PTR(group);
	return 0;
}

bool group_hurry(struct group *group)
{
	assert(group);

	if (group->state != GROUP_WAITING || !group->options.patient)
		return false;

	group->options.patient = false;
	group->groups->n_hasty++;
	return true;
}

void group_take(struct group *group)
{
	assert(group->state == GROUP_WAITING);

	LIST_REMOVE(group, waiting);
	group->groups->n_hasty -= !group->options.patient;
}

void group_end(struct group *group)
{
	struct groups *groups = group->groups;

	assert(group->state != GROUP_OVER);

	if (group->state == GROUP_WAITING)
		group_take(group);
	group->state = GROUP_OVER;
	groups->n_going--;
	groups->n_accounting -= group->options.accounting;
}

struct group *group_free(struct group *group)
{
	struct groups *groups;

	if (!group)
		return NULL;

	groups = group->groups;
	/* Members have an empty set then: to look for them is for all that are freed at once. */
	group_sets_drop(&groups->sets, group);
	group->owner->n_members -= group->totals.live;
	if (--group->owner->n_groups == 0) {
		assert(group->owner->n_members == 0);
		LIST_REMOVE(group->owner, all);
		free(group->owner);
	}
	if (group->state != GROUP_OVER)
		group_end(group);
	groups->n_groups--;
	groups->freed = true;
	LIST_REMOVE(group, all);
	free(group);
	return NULL;
}

void *group_userdata(const struct group *group)
{
	assert(group);

	return group->userdata;
}

const struct group_options *group_options(const struct group *group)
{
	assert(group);

	return &group->options;
}

bool group_is_ready(const struct group *group)
{
	assert(group);

	return group->state != GROUP_WAITING;
}

bool group_is_empty(const struct group *group)
{
	assert(group);

	return group->state == GROUP_OVER && group->found;
}

bool group_is_over(const struct group *group)
{
	assert(group);

	return group->state == GROUP_OVER;
}

void group_totals(const struct group *group, struct group_totals *ret)
{
	assert(group && ret);

	*ret = group->totals;
}

uint64_t group_next_seq(const struct group *group)
{
	assert(group);

	return group->next_seq;
}

struct group *groups_next(const struct groups *groups, const struct group *group)
{
	assert(groups);

	return group ? LIST_NEXT(group, all) : LIST_FIRST(&groups->all);
}

bool groups_want_accounting(const struct groups *groups)
{
	assert(groups);

	return groups->n_accounting > 0;
}

bool groups_want_events(const struct groups *groups)
{
	assert(groups);

	return groups->n_going > 0;
}

void groups_drop_empty(struct process *process)
{
	assert(process);

	if (process->groups && process->groups->n_groups == 0)
		process->groups = group_set_unref(process->groups);
}

bool groups_have_freed(const struct groups *groups)
{
	assert(groups);

	return groups->freed;
}

bool groups_take_freed(struct groups *groups)
{
	bool freed;

	assert(groups);

	freed = groups->freed;
	groups->freed = false;
	return freed;
}

bool groups_want_scan(const struct groups *groups)
{
	assert(groups);

	return groups->n_hasty > 0;
}

const struct process *group_member_next(const struct group *group, const struct process *process)
{
	assert(group);

	do
		process = process_table_next(group->groups->table, process);
	while (process && (process->ended || !group_set_has(process->groups, group)));

	return process;
}

struct process *group_member_unread(const struct group *group, const struct process *process)
{
	struct process *found;

	assert(group);

	do {
		found = process_table_next(group->groups->table, process);
		process = found;
	} while (found && (found->ended || found->start_ticks || found->start_read ||
			   !group_set_has(found->groups, group)));

	return found;
}
