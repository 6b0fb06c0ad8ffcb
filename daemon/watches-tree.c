/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/watches-tree.h"
#include "include/fsevents_stream.h"

static void places_deinit(struct places *places)
{
	for (size_t i = 0; i < places->n_items; i++) {
		free(places->items[i].where);
		free(places->items[i].root);
	}
	free(places->items);
	*places = (struct places){};
}

static int compare_places(const void *a, const void *b)
{
	const struct place *one = a, *other = b;

	return one->key < other->key ? -1 : one->key > other->key;
}

const struct place *places_find(const struct places *places, uint64_t key)
{
	const struct place wanted = { .key = key };

	if (places->n_items == 0)
		return NULL;
	return bsearch(&wanted, places->items, places->n_items, sizeof(wanted), compare_places);
}

const struct place *places_find_id(const struct places *places, uint32_t id)
{
	for (size_t i = 0; i < places->n_items; i++)
		if (places->items[i].id == id)
			return &places->items[i];
	return NULL;
}

static int places_add(struct places *places, const struct superblock *sb, const struct mount *mount)
{
	struct place *place = &places->items[places->n_items++];

	*place = (struct place){
		.key = mount_number(mount),
		.id = mount->id,
		.parent = mount->parent,
		.generation = sb->generation,
		.where = strdup(mount->where),
		.root = strdup(mount->root),
	};
	return place->where && place->root ? 0 : -ENOMEM;
}

static int places_load(struct places *places, struct superblock_table *superblocks)
{
	struct superblock *sb = NULL;
	size_t n = 0;
	int r = 0;

	while ((sb = superblock_table_next(superblocks, sb)))
		n += sb->n_mounts;
	places->items = calloc(n + 1, sizeof(*places->items));
	if (!places->items)
		return -ENOMEM;

	while (r == 0 && (sb = superblock_table_next(superblocks, sb)))
		for (size_t i = 0; r == 0 && i < sb->n_mounts; i++)
			r = places_add(places, sb, sb->mounts[i]);
	qsort(places->items, places->n_items, sizeof(*places->items), compare_places);
	if (r < 0)
		places_deinit(places);
	return r;
}

void watch_tree_walk_to(struct watch_tree *tree, const struct places *places,
			const struct place *place, struct walk walk_of)
{
	const struct place *parent = places_find_id(places, place->parent);
	_cleanup_(walk_freep) struct walk *walk = NULL;
	size_t n;

	if (!parent || parent == place || strstr(place->where, "//deleted"))
		return;
	n = strlen(parent->where);
	if (strncmp(place->where, parent->where, n) != 0)
		return;
	if (walk_new(&walk, walk_of.kind, parent->root, place->where + n) < 0)
		return;

	walk->silent = walk_of.silent;
	walk->watched = walk_of.watched;
	walk->generation = parent->generation;
	walk->mount = place->key;
	watch_tree_push(tree, TAKE_PTR(walk));
}

/*
 * The comparison
 */

static bool is_recursive(const struct watched *watched)
{
	return watched->recursive && watched->state == WATCHED_STANDING && !watched->removed;
}

static bool is_needed(const struct watch_tree *tree)
{
	const struct watched *watched;

	LIST_FOREACH(watched, &tree->watches->watched, all)
		if (is_recursive(watched))
			return true;
	return false;
}

static bool is_same(const struct place *one, const struct place *other)
{
	return one && other && strcmp(one->where, other->where) == 0 &&
	       one->parent == other->parent;
}

static void went(struct watch_tree *tree, const struct place *place)
{
	struct watched *watched;

	LIST_FOREACH(watched, &tree->watches->watched, all) {
		struct anchor *anchor = cross_find(watched, place->key);

		if (anchor)
			cross_drop(anchor);
	}
	watch_tree_walk_to(tree, &tree->places, place, (struct walk){ .kind = WALK_UNMOUNT });
}

void watch_tree_review(struct watch_tree *tree)
{
	struct places now = {};

	if (!tree->active)
		return;
	if (!is_needed(tree)) {
		tree->active = false;
		watch_tree_stop(tree);
		places_deinit(&tree->places);
		return;
	}
	/* Without memory with the next change. */
	if (places_load(&now, tree->watches->superblocks) < 0)
		return;

	for (size_t i = 0; i < tree->places.n_items; i++) {
		const struct place *place = &tree->places.items[i];

		if (!is_same(place, places_find(&now, place->key)))
			went(tree, place);
	}
	for (size_t i = 0; i < now.n_items; i++) {
		const struct place *place = &now.items[i];

		if (!is_same(place, places_find(&tree->places, place->key)))
			watch_tree_walk_to(tree, &now, place, (struct walk){ .kind = WALK_MOUNT });
	}
	places_deinit(&tree->places);
	tree->places = now;
	watch_tree_go_on(tree);
}

/* To all that it does not follow already; most are somewhere else. */
static void walk_to_all(struct watch_tree *tree, struct watched *watched)
{
	for (size_t i = 0; i < tree->places.n_items; i++) {
		const struct place *place = &tree->places.items[i];
		const struct anchor *anchor = cross_find(watched, place->key);

		if (!anchor || anchor->doubted)
			watch_tree_walk_to(tree, &tree->places, place,
					   (struct walk){ .kind = WALK_MOUNT,
							  .silent = true,
							  .watched = watched->id });
	}
}

void watch_tree_tick(struct watch_tree *tree)
{
	struct watched *watched;

	if (!tree->active)
		return;
	LIST_FOREACH(watched, &tree->watches->watched, all) {
		if (!watched->unwalked)
			continue;
		watched->unwalked = false;
		if (watched->cross_mounts && is_recursive(watched))
			walk_to_all(tree, watched);
	}
	watch_tree_go_on(tree);
}

void watch_tree_joined(struct watched *watched)
{
	struct watch_tree *tree = watched->watches->tree;

	if (!tree->active) {
		if (places_load(&tree->places, watched->watches->superblocks) < 0)
			return;
		tree->active = true;
	}
	if (!watched->cross_mounts)
		return;

	walk_to_all(tree, watched);
	watch_tree_go_on(tree);
}

int watch_tree_new(struct watch_tree **ret, struct watches *watches)
{
	struct watch_tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return -ENOMEM;
	tree->watches = watches;
	STAILQ_INIT(&tree->walks);
	*ret = tree;
	return 0;
}

struct watch_tree *watch_tree_free(struct watch_tree *tree)
{
	if (!tree)
		return NULL;

	watch_tree_stop(tree);
	places_deinit(&tree->places);
	free(tree);
	return NULL;
}
