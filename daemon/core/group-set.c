/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/group-set.h"

struct group_set *group_set_ref(struct group_set *set)
{
	if (set)
		set->n_refs++;
	return set;
}

struct group_set *group_set_unref(struct group_set *set)
{
	if (!set || --set->n_refs > 0)
		return NULL;

	LIST_REMOVE(set, all);
	free(set);
	return NULL;
}

/* Return: the place of @group, or where it would be. */
static size_t find_place(const struct group_set *set, const struct group *group)
{
	size_t low = 0, high = set ? set->n_groups : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)set->groups[middle] < (uintptr_t)group)
			low = middle + 1;
		else
			high = middle;
	}

	return low;
}

bool group_set_has(const struct group_set *set, const struct group *group)
{
	size_t at = find_place(set, group);

	return set && at < set->n_groups && set->groups[at] == group;
}

/* @other is @set and @group at @at. */
static bool is_with(const struct group_set *other, const struct group_set *set, size_t at,
		    const struct group *group)
{
	size_t n = set ? set->n_groups : 0;

	if (other->n_groups != n + 1 || other->groups[at] != group)
		return false;

	return n == 0 ||
	       (memcmp(other->groups, set->groups, at * sizeof(group)) == 0 &&
		memcmp(other->groups + at + 1, set->groups + at, (n - at) * sizeof(group)) == 0);
}

struct group_set *group_set_with(struct group_sets *sets, struct group_set *set,
				 struct group *group)
{
	size_t n = set ? set->n_groups : 0, at = find_place(set, group);
	struct group_set *other;

	assert(sets && group);

	if (at < n && set->groups[at] == group)
		return group_set_ref(set);
	LIST_FOREACH(other, sets, all)
		if (is_with(other, set, at, group))
			return group_set_ref(other);

	other = calloc(1, sizeof(*other) + (n + 1) * sizeof(*other->groups));
	if (!other)
		return NULL;
	other->n_refs = 1;
	other->n_groups = n + 1;
	if (set) {
		memcpy(other->groups, set->groups, at * sizeof(group));
		memcpy(other->groups + at + 1, set->groups + at, (n - at) * sizeof(group));
	}
	other->groups[at] = group;
	LIST_INSERT_HEAD(sets, other, all);
	return other;
}

void group_sets_drop(struct group_sets *sets, const struct group *group)
{
	struct group_set *set;

	assert(sets && group);

	LIST_FOREACH(set, sets, all) {
		size_t at = find_place(set, group);

		if (at == set->n_groups || set->groups[at] != group)
			continue;
		set->n_groups--;
		memmove(&set->groups[at], &set->groups[at + 1],
			(set->n_groups - at) * sizeof(*set->groups));
	}
}
