/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One update of the superblock table
 *
 * Everything that a reading changes is built aside, where it can fail, and
 * then put into the table, where it cannot. Internal to superblock*.c.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/index.h"
#include "daemon/core/mount-list.h"
#include "daemon/core/mount-tree.h"
#include "daemon/core/superblock.h"

struct superblock_node {
	struct superblock sb; /* first: the public pointer is the node's */
	char *text; /* type, source and super_options */
	size_t position; /* in the table */
	uint64_t update; /* the last one that kept it; 0: not yet part of the table */
};

struct superblock_table {
	const struct superblock_ops *ops;
	void *userdata;
	struct superblock_node **nodes; /* in the order they came */
	size_t n_nodes;
	struct index devices; /* into ->nodes */
	struct mount_tree tree;
	uint64_t last_generation;
	uint64_t updates; /* number of the last one */
};

enum change_kind {
	CHANGE_NONE,
	CHANGE_ADDED,
	CHANGE_CHANGED,
};

/* Of one device number of the reading. */
struct superblock_change {
	enum change_kind kind;
	struct superblock_node *node; /* kept or new */
	char *text; /* new strings of a kept one; NULL: they stay */
	char *type, *source, *super_options;
	struct mount **mounts; /* new array of a kept one; NULL: it stays */
};

struct superblock_update {
	struct mount_list list;
	struct superblock_change *changes; /* one for each device of the list */
	struct mount_node **mounts; /* one for each entry of the list, until the tree has them */
	struct mount_tree tree;
	struct superblock_node **nodes;
	size_t n_nodes;
	struct index devices;

	/* After the commit: what the table had before. */
	struct superblock_node **old_nodes;
	size_t n_old_nodes;
	struct mount_tree old_tree;
};

/**
 * superblock_update_prepare() - build what the table will be
 * @update:	zeroed; to be given to superblock_update_deinit() also on failure
 *
 * Return: 0 or -ENOMEM; the table is untouched.
 */
int superblock_update_prepare(struct superblock_update *update, struct superblock_table *table,
			      const struct superblock_reading *reading, size_t *ret_skipped);

/** superblock_update_commit() - put it into the table; what was there moves to ->old_* */
void superblock_update_commit(struct superblock_update *update, struct superblock_table *table);
void superblock_update_deinit(struct superblock_update *update);

struct superblock_node *superblock_node_free(struct superblock_node *node);

/** superblock_find_slot() - the slot of a device number, used or empty */
uint32_t *superblock_find_slot(const struct index *devices, struct superblock_node *const *nodes,
			       uint32_t major, uint32_t minor);
