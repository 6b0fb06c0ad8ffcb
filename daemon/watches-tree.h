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
 * That holds as long as the directories that lead there are what they were: where one of them
 * gets other attributes or another name, the anchor is silent from that event on until
 * another walk has come there.
 *
 * watches-tree.c compares, watches-cross.c knows anchors across mounts, watches-walk.c walks.
 */

#include <sys/queue.h>

#include "daemon/watches-internal.h"

/* That wait; past that all is to be looked through. */
#define WALKS_MAX 1024
#define WALK_DEPTH_MAX 60
/* While others change the way. */
#define WALK_TRIES_MAX 16

#define GUARD_BUCKETS 1024 /* a power of two */

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
	uint64_t number; /* higher than that of those before it */
	enum walk_kind kind;
	bool silent; /* it was there before: not told */
	uint64_t generation; /* of the superblock that it is in */
	uint64_t mount; /* key of what came, or went */
	uint64_t watched; /* id of who wants it; 0: all */
	char *path; /* from the root of the superblock, without '/' at the ends */
	size_t n_names;
	struct handle *handles; /* the root, and one for each name walked so far; NULL: it waits */
	size_t n_handles;
	bool changed; /* one of these did meanwhile: from the beginning */
	unsigned int n_tries;
	struct credential *credential; /* being asked for */
	STAILQ_ENTRY(walk) next;
};

/* A directory on the way to an anchor across mounts. */
struct guard {
	struct handle handle;
	uint64_t generation; /* of the superblock that it is in */
	struct anchor *anchor;
	LIST_ENTRY(guard) in_bucket;
};

struct watch_tree {
	struct watches *watches;
	bool active; /* the places are kept */
	struct places places;
	STAILQ_HEAD(, walk) walks; /* the first is under way */
	size_t n_walks;
	LIST_HEAD(, guard) guards[GUARD_BUCKETS];
	LIST_HEAD(, anchor) doubted; /* another walk is to be made */
	struct pool_ticket *ticket;
	uint64_t last_number;
	struct anchor *next; /* to be told of the first */
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
const struct place *places_find(const struct places *places, uint64_t key);
const struct place *places_find_id(const struct places *places, uint32_t id);
/** watch_tree_walk_to() - to the mount point of @place, of which @places has the parent; @walk_of: why */
void watch_tree_walk_to(struct watch_tree *tree, const struct places *places,
			const struct place *place, struct walk walk_of);

/* watches-cross.c */
struct anchor *cross_find(const struct watched *watched, uint64_t mount);
void cross_drop(struct anchor *anchor);
void cross_again(struct watch_tree *tree); /* what was put off */
/**
 * watch_tree_reached() - what a walk found at @anchor of somebody who may know
 * @first: number of the directory that is its root
 * @name: within its watch
 */
void watch_tree_reached(struct watch_tree *tree, const struct walk *walk, struct anchor *anchor,
			size_t first, const char *name);
/** watch_tree_found_root() - of a mount */
void watch_tree_found_root(struct watch_tree *tree, const struct walk *walk,
			   const struct handle *root);
