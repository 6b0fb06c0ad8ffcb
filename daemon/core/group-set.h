/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Sets of groups
 *
 * To which groups a process belongs. A child belongs to the same ones as its
 * parent, so a set is shared: a fork costs a reference. Sets that are shared never
 * change, but for a group that goes and is taken out of all. For group.c alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct group;

struct group_set {
	size_t n_refs, n_groups;
	LIST_ENTRY(group_set) all;
	struct group *groups[]; /* by address, each once */
};

LIST_HEAD(group_sets, group_set);

/** group_set_ref() - @set may be NULL */
struct group_set *group_set_ref(struct group_set *set);
/** group_set_unref() - Return: NULL */
struct group_set *group_set_unref(struct group_set *set);
bool group_set_has(const struct group_set *set, const struct group *group); /* NULL: none */

/**
 * group_set_with() - @set and one group more; @set itself where it has it
 * @sets:	an equal one that is there is taken
 *
 * Return: a reference, or NULL without memory.
 */
struct group_set *group_set_with(struct group_sets *sets, struct group_set *set,
				 struct group *group);
/** group_sets_drop() - a group is no more: out of all sets, which may become empty */
void group_sets_drop(struct group_sets *sets, const struct group *group);
