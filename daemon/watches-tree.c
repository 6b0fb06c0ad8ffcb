/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/watches-tree.h"
#include "include/fsevents_stream.h"

/* Of kernels without unique ids: those are above 2^31. */
static uint64_t place_key(const struct mount *mount)
{
	return mount->unique_id ? mount->unique_id : mount->id;
}

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

static const struct place *places_find(const struct places *places, uint64_t key)
{
	const struct place wanted = { .key = key };

	if (places->n_items == 0)
		return NULL;
	return bsearch(&wanted, places->items, places->n_items, sizeof(wanted), compare_places);
}

static const struct place *places_find_id(const struct places *places, uint32_t id)
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
		.key = place_key(mount),
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

/* To the mount point of @place, of which @places has the parent. */
static void walk_to(struct watch_tree *tree, const struct places *places, const struct place *place,
		    struct walk walk_of)
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
 * Across mounts
 */

static bool is_recursive(const struct watched *watched)
{
	return watched->recursive && watched->state == WATCHED_STANDING && !watched->removed;
}

static const struct mount *find_mount(const struct watch_tree *tree, uint64_t key,
				      struct superblock **ret_sb)
{
	struct superblock *sb = NULL;

	while ((sb = superblock_table_next(tree->watches->superblocks, sb)))
		for (size_t i = 0; i < sb->n_mounts; i++)
			if (place_key(sb->mounts[i]) == key) {
				*ret_sb = sb;
				return sb->mounts[i];
			}
	return NULL;
}

static void cross_drop(struct anchor *anchor)
{
	struct watches *watches = anchor->watched->watches;

	anchor_free(anchor);
	watches_settle_later(watches);
}

static void cross_stand(struct watch_tree *tree, struct anchor *anchor)
{
	struct watched *watched = anchor->watched;

	file_events_member_read(anchor->side->member);
	if (anchor_stand(anchor) < 0) {
		watched_tell_lost(watched, 0, anchor->prefix, strlen(anchor->prefix));
		cross_drop(anchor);
		return;
	}
	/* What happened there until now is not known. */
	watched_tell_lost(watched, 0, anchor->prefix, strlen(anchor->prefix));
	for (size_t i = 0; i < tree->places.n_items; i++) {
		const struct place *place = &tree->places.items[i];
		const struct place *parent = places_find_id(&tree->places, place->parent);

		if (parent && parent->key == anchor->mount)
			walk_to(tree, &tree->places, place,
				(struct walk){ .kind = WALK_MOUNT,
					       .silent = true,
					       .watched = watched->id });
	}
	watch_tree_go_on(tree);
}

static void cross_find_root(struct watch_tree *tree, struct anchor *anchor)
{
	_cleanup_(walk_freep) struct walk *walk = NULL;
	struct superblock *sb;
	const struct mount *mount = find_mount(tree, anchor->mount, &sb);

	if (mount && strcmp(mount->root, "/") == 0) {
		anchor->root = anchor->side->root;
		cross_stand(tree, anchor);
		return;
	}
	if (!mount || walk_new(&walk, WALK_ROOT, mount->root, "") < 0) {
		cross_drop(anchor);
		return;
	}
	walk->generation = sb->generation;
	walk->mount = anchor->mount;
	walk->watched = anchor->watched->id;
	watch_tree_push(tree, TAKE_PTR(walk));
	watch_tree_go_on(tree);
}

void watch_tree_marked(struct anchor *anchor, int error)
{
	struct watch_tree *tree = anchor->watched->watches->tree;

	if (anchor->hub_watch) {
		/* Its mask became another one: and may be yet another one by now. */
		if (error == 0)
			(void)anchor_mark(anchor);
		return;
	}
	if (error < 0)
		cross_drop(anchor);
	else
		cross_find_root(tree, anchor);
}

static void cross_mark(struct anchor *anchor)
{
	int r;

	r = anchor_mark(anchor);
	if (r > 0)
		watch_tree_marked(anchor, 0);
	else if (r == -ENOBUFS)
		watches_retry_later(anchor->watched->watches);
	else if (r < 0)
		cross_drop(anchor);
}

void watch_tree_cross_again(struct watch_tree *tree)
{
	struct watched *watched;
	struct anchor *anchor, *next;

	LIST_FOREACH(watched, &tree->watches->watched, all) {
		if (!watched->cross_mounts || watched->removed)
			continue;
		for (anchor = LIST_FIRST(&watched->anchors); anchor; anchor = next) {
			next = LIST_NEXT(anchor, in_watched);
			if (anchor->prefix && anchor->mask == 0 && !anchor->asked)
				cross_mark(anchor);
		}
	}
}

static struct anchor *find_cross(const struct watched *watched, uint64_t mount)
{
	struct anchor *anchor;

	LIST_FOREACH(anchor, &watched->anchors, in_watched)
		if (anchor->prefix && anchor->mount == mount)
			return anchor;
	return NULL;
}

static void cross_begin(struct watch_tree *tree, struct watched *watched, uint64_t key,
			const char *prefix)
{
	const struct mount *mount;
	struct superblock *sb;
	struct volume *volume;
	struct anchor *anchor;
	char *copy;

	mount = find_mount(tree, key, &sb);
	if (!mount || find_cross(watched, key) || superblock_class(sb) == SUPERBLOCK_PSEUDO ||
	    volume_mount_is_idmapped(mount))
		return;

	copy = strdup(prefix);
	if (!copy || volume_get(tree->watches, sb, &volume) < 0 ||
	    anchor_new(&anchor, watched, &volume->sides[SIDE_TREE], &(struct handle){}) < 0) {
		watches_settle_later(tree->watches);
		watched_tell_lost(watched, 0, prefix, strlen(prefix));
		free(copy);
		return;
	}
	anchor->prefix = copy;
	anchor->mount = key;
	cross_mark(anchor);
}

void watch_tree_found_root(struct watch_tree *tree, const struct walk *walk,
			   const struct handle *root)
{
	struct watched *watched = watches_find(tree->watches, walk->watched);
	struct anchor *anchor = watched ? find_cross(watched, walk->mount) : NULL;

	if (!anchor || anchor->hub_watch)
		return;
	anchor->root = *root;
	cross_stand(tree, anchor);
}

void watch_tree_reached(struct watch_tree *tree, const struct walk *walk, struct anchor *anchor,
			const char *name)
{
	uint32_t bit = walk->kind == WALK_MOUNT ? FSEVENTS_MOUNT : FSEVENTS_UNMOUNT;
	struct watched *watched = anchor->watched;
	_cleanup_free_ char *whole = NULL;

	if (asprintf(&whole, "%s%s%s", anchor->prefix ? anchor->prefix : "",
		     anchor->prefix ? "/" : "", name) < 0) {
		whole = NULL;
		watched_tell_lost(watched, 0, NULL, 0);
		return;
	}
	if (strlen(whole) >= CHANGE_NAME_MAX)
		return;
	if (!walk->silent)
		watched_tell_mount(watched, bit, whole, 0);
	if (walk->kind == WALK_MOUNT && watched->cross_mounts)
		cross_begin(tree, watched, walk->mount, whole);
}

/*
 * The comparison
 */

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
		struct anchor *anchor = find_cross(watched, place->key);

		if (anchor)
			cross_drop(anchor);
	}
	walk_to(tree, &tree->places, place, (struct walk){ .kind = WALK_UNMOUNT });
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
			walk_to(tree, &now, place, (struct walk){ .kind = WALK_MOUNT });
	}
	places_deinit(&tree->places);
	tree->places = now;
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

	for (size_t i = 0; i < tree->places.n_items; i++)
		walk_to(tree, &tree->places, &tree->places.items[i],
			(struct walk){
				.kind = WALK_MOUNT, .silent = true, .watched = watched->id });
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
