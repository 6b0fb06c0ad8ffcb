/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is mounted inside watched trees
 *
 * Compares the mount table with what it was, as long as somebody watches a tree. What
 * came or went is told to those whose tree has the place, if they may see
 * its name: a walk goes from the root of the filesystem down to the directory that has the mount
 * point, entry by entry, through no other path, and then asks for each receiver whether it may list all
 * directories from its root on. Who watches across mounts gets a further anchor there.
 *
 * watches-tree.c compares and knows anchors across mounts, watches-walk.c walks.
 */

#include <sys/queue.h>

#include "daemon/watches-internal.h"

/* That wait; past that all is to be looked through. */
#define WALKS_MAX 256
#define WALK_DEPTH_MAX 60
/* Receivers of different credentials. */
#define WALK_CREDENTIALS_MAX 256

struct place {
	uint64_t key; /* of the mount: not that of another one while that is there */
	uint32_t id, parent;
	uint64_t generation; /* of its superblock */
	char *where;
	char *root;
};

struct places {
	struct place *items;
	size_t n_items;
};

enum walk_kind {
	WALK_MOUNT, /* to the mount point of what came */
	WALK_UNMOUNT,
	WALK_ROOT, /* to the root of a mount, which is not that of its filesystem */
};

struct walk {
	enum walk_kind kind;
	bool silent; /* it was there before: not told */
	uint64_t generation; /* of the superblock that it is in */
	uint64_t mount; /* key of what came, or went */
	uint64_t watched; /* id of who wants it; 0: all */
	char *path; /* from the root of the superblock, without '/' at the ends */
	size_t n_names;
	struct handle *handles; /* the root, and one for each name walked so far */
	size_t n_handles;
	const struct credential *credential; /* being asked for; borrowed */
	STAILQ_ENTRY(walk) next;
};

struct watch_tree {
	struct watches *watches;
	bool active; /* the places are kept */
	struct places places;
	STAILQ_HEAD(, walk) walks; /* the first is under way */
	size_t n_walks;
	struct pool_ticket *ticket;
	struct credential *done[WALK_CREDENTIALS_MAX]; /* of the first: who was asked for */
	size_t n_done;
	bool put_off;
	bool busy; /* somebody is being told: walks go on after that */
};

/* watches-walk.c */
struct walk *walk_free(struct walk *walk);
DEFINE_FREEP(walk, walk_free)
/** walk_new() - Return: 0, -ENOMEM or -EINVAL: no such place */
int walk_new(struct walk **ret, enum walk_kind kind, const char *root, const char *below);
void watch_tree_push(struct watch_tree *tree, struct walk *walk); /* takes it over */
void watch_tree_go_on(struct watch_tree *tree);
void watch_tree_stop(struct watch_tree *tree); /* all walks */

/* watches-tree.c */
void watch_tree_cross_again(struct watch_tree *tree); /* what was put off */
/** watch_tree_reached() - what a walk found at @anchor of somebody who may know; @name: within its watch */
void watch_tree_reached(struct watch_tree *tree, const struct walk *walk, struct anchor *anchor,
			const char *name);
/** watch_tree_found_root() - of a mount */
void watch_tree_found_root(struct watch_tree *tree, const struct walk *walk,
			   const struct handle *root);
