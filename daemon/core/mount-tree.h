/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The tree of mounts
 *
 * All mounts of one reading by id and by place (parent mount and mount
 * point), and what the kernel's path walk would make of them, lexically:
 * which mount a path ends on, and which mounts can be reached at all. Looks
 * nothing up in the filesystem, so that symbolic links are not followed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/index.h"
#include "daemon/core/superblock.h"

struct mount_node {
	struct mount mount; /* its strings lie in ->text */
	struct superblock *owner; /* borrowed; set once it is part of the table */
	const char *source; /* of this mount; that of the superblock is its first one's */
	uint64_t update; /* the last one that kept it; 0: not yet part of the table */
	char text[];
};

struct mount_tree {
	struct mount_node **nodes; /* in mountinfo order; owned here, what they point to is not */
	size_t n_nodes;
	bool *reachable; /* by number of the node */
	uint32_t *parents; /* number + 1; 0: its parent is not to be seen */
	struct index ids;
	struct index places;
};

/**
 * mount_tree_init() - build the tree
 * @nodes:	taken over on success
 *
 * Time in proportion to the mounts and the lengths of their mount points.
 *
 * Return: 0 or -ENOMEM.
 */
int mount_tree_init(struct mount_tree *ret, struct mount_node **nodes, size_t n_nodes);
void mount_tree_deinit(struct mount_tree *tree);

/** mount_tree_find() - by mnt_id; NULL: none */
struct mount_node *mount_tree_find(const struct mount_tree *tree, uint32_t id);

/**
 * mount_tree_resolve() - the mount that a path ends on
 * @path:	absolute, without ".", ".." and doubled slashes
 *
 * Return: NULL where not even "/" is a mount.
 */
struct mount_node *mount_tree_resolve(const struct mount_tree *tree, const char *path);

/**
 * mount_path_normalise() - fold ".", ".." and doubled slashes
 *
 * Return: new memory, or NULL for a path that is not absolute and without memory.
 */
char *mount_path_normalise(const char *path);
