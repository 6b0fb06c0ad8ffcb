/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>

#include "daemon/watches-tree.h"
#include "include/fsevents_stream.h"

static const struct mount *find_mount(const struct watch_tree *tree, uint64_t key,
				      struct superblock **ret_sb)
{
	struct superblock *sb = NULL;

	while ((sb = superblock_table_next(tree->watches->superblocks, sb)))
		for (size_t i = 0; i < sb->n_mounts; i++)
			if (mount_number(sb->mounts[i]) == key) {
				*ret_sb = sb;
				return sb->mounts[i];
			}
	return NULL;
}

void cross_drop(struct anchor *anchor)
{
	struct watches *watches = anchor->watched->watches;

	anchor_leave(anchor);
	watches_settle_later(watches);
}

/* It cannot be marked: what happens there is not told, until another walk has come there. */
static void cross_refuse(struct anchor *anchor, int error)
{
	/* Else it is of a kind that never can. */
	anchor->watched->unwalked |= error != -ENODEV && error != -EXDEV && error != -EOPNOTSUPP;
	watched_tell_lost(anchor->watched, 0, anchor->prefix, strlen(anchor->prefix));
	cross_drop(anchor);
}

static void cross_stand(struct watch_tree *tree, struct anchor *anchor)
{
	struct watched *watched = anchor->watched;
	int r;

	file_events_member_read(anchor->side->member);
	if (anchor->doubted)
		return;
	r = anchor_stand(anchor);
	if (r < 0) {
		cross_refuse(anchor, r);
		return;
	}
	/* What happened there until now is not known. */
	watched_tell_lost(watched, 0, anchor->prefix, strlen(anchor->prefix));
	for (size_t i = 0; i < tree->places.n_items; i++) {
		const struct place *place = &tree->places.items[i];
		const struct place *parent = places_find_id(&tree->places, place->parent);

		if (parent && parent->key == anchor->mount)
			watch_tree_walk_to(tree, &tree->places, place,
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
		anchor_remarked(anchor, error);
		return;
	}
	if (error < 0)
		cross_refuse(anchor, error);
	else if (!anchor->doubted)
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
		cross_refuse(anchor, r);
}

void cross_again(struct watch_tree *tree)
{
	struct watched *watched;
	struct anchor *anchor, *next;

	LIST_FOREACH(watched, &tree->watches->watched, all) {
		if (!watched->cross_mounts || watched->removed)
			continue;
		for (anchor = LIST_FIRST(&watched->anchors); anchor; anchor = next) {
			next = LIST_NEXT(anchor, in_watched);
			if (anchor->prefix && anchor->mask == 0 && !anchor->asked &&
			    !anchor->doubted)
				cross_mark(anchor);
		}
	}
}

struct anchor *cross_find(const struct watched *watched, uint64_t mount)
{
	struct anchor *anchor;

	LIST_FOREACH(anchor, &watched->anchors, in_watched)
		if (anchor->prefix && anchor->mount == mount)
			return anchor;
	return NULL;
}

/*
 * The way there
 */

static size_t guard_bucket(const struct handle_view *handle)
{
	return (size_t)handle_hash(handle) & (GUARD_BUCKETS - 1);
}

void cross_unguard(struct anchor *anchor)
{
	if (anchor->in_doubt)
		LIST_REMOVE(anchor, in_doubted);
	anchor->in_doubt = false;
	for (size_t i = 0; i < anchor->n_guards; i++)
		LIST_REMOVE(&anchor->guards[i], in_bucket);
	free(anchor->guards);
	anchor->guards = NULL;
	anchor->n_guards = 0;
}

/* Return: 0 or -ENOMEM with the old ones. */
static int cross_guard(struct watch_tree *tree, struct anchor *anchor, const struct walk *walk,
		       size_t first)
{
	size_t n = walk->n_handles - first;
	struct guard *guards = calloc(n, sizeof(*guards));

	if (!guards)
		return -ENOMEM;

	cross_unguard(anchor);
	for (size_t i = 0; i < n; i++) {
		const struct handle_view view = handle_view(&walk->handles[first + i]);

		guards[i] = (struct guard){
			.handle = walk->handles[first + i],
			.generation = walk->generation,
			.anchor = anchor,
		};
		LIST_INSERT_HEAD(&tree->guards[guard_bucket(&view)], &guards[i], in_bucket);
	}
	anchor->guards = guards;
	anchor->n_guards = n;
	return 0;
}

static void cross_doubt(struct watch_tree *tree, struct anchor *anchor)
{
	/* Or again, before the walk for the last doubt has come there. */
	if (anchor->in_doubt)
		return;

	anchor->doubted = anchor->in_doubt = true;
	LIST_INSERT_HEAD(&tree->doubted, anchor, in_doubted);
	watches_settle_later(tree->watches);
}

/* What is mounted below it, too: the way there leads through it. */
static void cross_doubt_all(struct watch_tree *tree, struct anchor *anchor)
{
	size_t n = strlen(anchor->prefix);
	struct anchor *other;

	cross_doubt(tree, anchor);
	LIST_FOREACH(other, &anchor->watched->anchors, in_watched)
		if (other->prefix && strncmp(other->prefix, anchor->prefix, n) == 0 &&
		    other->prefix[n] == '/')
			cross_doubt(tree, other);
}

static void heard_overflow(struct watch_tree *tree, uint64_t generation)
{
	struct walk *walk = STAILQ_FIRST(&tree->walks);

	if (walk && walk->generation == generation)
		walk->changed = true;
	for (size_t i = 0; i < GUARD_BUCKETS; i++) {
		struct guard *guard;

		LIST_FOREACH(guard, &tree->guards[i], in_bucket)
			if (guard->generation == generation)
				cross_doubt_all(tree, guard->anchor);
	}
}

void watch_tree_heard(struct watch_tree *tree, const struct side *side,
		      const struct file_event *event)
{
	uint64_t generation = side->volume->sb->generation;
	struct walk *walk = STAILQ_FIRST(&tree->walks);
	const struct handle_view *subject;
	struct guard *guard;

	if (event->overflow) {
		heard_overflow(tree, generation);
		return;
	}
	if (!(event->mask & FAN_ONDIR) || !(event->mask & (FAN_ATTRIB | FAN_RENAME)))
		return;
	subject = event->target.n > 0 ? &event->target : &event->at.dir;
	if (subject->n == 0)
		return;

	for (size_t i = 0; walk && walk->generation == generation && i < walk->n_handles; i++) {
		const struct handle_view view = handle_view(&walk->handles[i]);

		if (handle_equal(&view, subject))
			walk->changed = true;
	}
	LIST_FOREACH(guard, &tree->guards[guard_bucket(subject)], in_bucket) {
		const struct handle_view view = handle_view(&guard->handle);

		if (guard->generation != generation || !handle_equal(&view, subject))
			continue;
		/* Names are others for root, too. */
		if (event->mask & FAN_RENAME ||
		    !credential_is_root(guard->anchor->watched->credential))
			cross_doubt_all(tree, guard->anchor);
	}
}

/* It stays, silent, with what leads there: that may change back. */
void watch_tree_settle(struct watch_tree *tree)
{
	struct anchor *anchor;

	while ((anchor = LIST_FIRST(&tree->doubted))) {
		const struct place *place = places_find(&tree->places, anchor->mount);

		LIST_REMOVE(anchor, in_doubted);
		anchor->in_doubt = false;
		anchor->hub_watch = hub_watch_free(anchor->hub_watch);
		if (place)
			watch_tree_walk_to(tree, &tree->places, place,
					   (struct walk){ .kind = WALK_MOUNT,
							  .silent = true,
							  .watched = anchor->watched->id });
	}
	watch_tree_go_on(tree);
}

/* Return: 0, 1: it may have no more, or a negative errno. */
static int cross_new(struct watch_tree *tree, struct anchor **ret, struct watched *watched,
		     struct superblock *sb)
{
	struct quota_charge charge = {};
	struct volume *volume;
	int r;

	/* Others can mount as often as they like. */
	r = quota_charge(tree->watches->quota, &charge, watched->uid, QUOTA_WATCHES, 1);
	if (r != 0)
		return r < 0 ? r : 1;
	r = volume_get(tree->watches, sb, &volume);
	if (r == 0)
		r = anchor_new(ret, watched, &volume->sides[SIDE_TREE], &(struct handle){});
	if (r < 0) {
		quota_release(&charge);
		watches_settle_later(tree->watches);
		return r;
	}
	quota_move(&(*ret)->charge, &charge);
	return 0;
}

/* @walk has come to where it is mounted. */
static void cross_begin(struct watch_tree *tree, struct watched *watched, const struct walk *walk,
			size_t first, const char *prefix)
{
	struct anchor *anchor = cross_find(watched, walk->mount);
	_cleanup_free_ char *copy = NULL;
	const struct mount *mount;
	struct superblock *sb;

	if (anchor && !anchor->doubted)
		return;
	mount = find_mount(tree, walk->mount, &sb);
	if (!mount || !volume_keeps_files(sb) || volume_mount_is_idmapped(mount))
		return;

	copy = strdup(prefix);
	if (!copy || (!anchor && cross_new(tree, &anchor, watched, sb) != 0)) {
		watched_tell_lost(watched, 0, prefix, strlen(prefix));
		return;
	}
	free(anchor->prefix);
	anchor->prefix = TAKE_PTR(copy);
	anchor->mount = walk->mount;
	if (cross_guard(tree, anchor, walk, first) < 0) {
		watched_tell_lost(watched, 0, prefix, strlen(prefix));
		cross_drop(anchor);
		return;
	}
	/* The answer to the walk is newer than what was heard. */
	anchor->doubted = false;
	cross_mark(anchor);
}

void watch_tree_found_root(struct watch_tree *tree, const struct walk *walk,
			   const struct handle *root)
{
	struct watched *watched = watches_find(tree->watches, walk->watched);
	struct anchor *anchor = watched ? cross_find(watched, walk->mount) : NULL;

	if (!anchor || anchor->hub_watch || anchor->doubted)
		return;
	anchor->root = *root;
	cross_stand(tree, anchor);
}

void watch_tree_reached(struct watch_tree *tree, const struct walk *walk, struct anchor *anchor,
			size_t first, const char *name)
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
		cross_begin(tree, watched, walk, first, whole);
}
