/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a group is made of. For group.c and group-note.c alone. */

#include "daemon/core/group-set.h"
#include "daemon/core/group.h"

#define GROUP_DOUBTFUL_MAX 3 /* scans */

enum group_state {
	GROUP_WAITING, /* for a scan */
	GROUP_LIVE,
	GROUP_OVER, /* empty, or of no use */
};

/* Whoever has groups: the bound of members is one for all of them. */
struct group_owner {
	uid_t uid;
	size_t n_groups, n_members;
	LIST_ENTRY(group_owner) all;
};

struct group {
	struct groups *groups;
	struct group_owner *owner;
	struct group_options options;
	void *userdata;
	enum group_state state;
	bool found; /* the leader was */
	uint64_t scan; /* the last one begun before it, which may have missed its leader */
	unsigned int n_doubtful; /* scans that may have missed a member */
	struct group_totals totals;
	uint64_t next_seq;
	size_t n_unsettled; /* ended members whose records may come */
	LIST_ENTRY(group) all, waiting;
};

struct groups {
	struct process_table *table;
	const struct group_ops *ops;
	void *userdata;
	LIST_HEAD(, group) all;
	LIST_HEAD(, group) waiting; /* for a scan */
	LIST_HEAD(, group_owner) owners;
	struct group_sets sets;
	size_t n_groups;
	size_t n_going, n_accounting; /* not over; of these, with accounting */
	size_t n_hasty; /* waiting and not patient */
	uint64_t scan; /* the last one begun, counted */
	bool freed;
};

/** group_take() - it waits no more */
void group_take(struct group *group);
/** group_end() - it is over: nobody belongs to it, or will */
void group_end(struct group *group);
