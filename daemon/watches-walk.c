/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/watches-tree.h"
#include "include/fsevents_stream.h"

struct walk *walk_free(struct walk *walk)
{
	if (!walk)
		return NULL;

	credential_unref(walk->credential);
	free(walk->path);
	free(walk->handles);
	free(walk);
	return NULL;
}

/* Without '/' at the ends and doubled. */
static void append_path(char *path, const char *more)
{
	char *at = path + strlen(path);

	while (*more) {
		size_t n = strcspn(more, "/");

		if (n > 0) {
			if (at > path)
				*at++ = '/';
			memcpy(at, more, n);
			at += n;
		}
		more += n + (more[n] == '/');
	}
	*at = '\0';
}

static size_t count_names(const char *path)
{
	size_t n = *path != '\0';

	for (; *path; path++)
		n += *path == '/';
	return n;
}

int walk_new(struct walk **ret, enum walk_kind kind, const char *root, const char *below)
{
	_cleanup_(walk_freep) struct walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return -ENOMEM;
	walk->kind = kind;
	walk->path = calloc(1, strlen(root) + strlen(below) + 2);
	if (!walk->path)
		return -ENOMEM;
	append_path(walk->path, root);
	append_path(walk->path, below);

	walk->n_names = count_names(walk->path);
	if (walk->n_names == 0 || walk->n_names > WALK_DEPTH_MAX)
		return -EINVAL;

	*ret = TAKE_PTR(walk);
	return 0;
}

/* The last name is that of the mount point itself, which leads to what is mounted there. */
static size_t walk_n_wanted(const struct walk *walk)
{
	return walk->kind == WALK_ROOT ? walk->n_names + 1 : walk->n_names;
}

/* Name @i and all after it. */
static const char *walk_rest(const struct walk *walk, size_t i)
{
	const char *at = walk->path;

	for (; i > 0; i--)
		at = strchr(at, '/') + 1;
	return at;
}

static struct side *walk_side(const struct watch_tree *tree, const struct walk *walk)
{
	struct volume *volume;

	LIST_FOREACH(volume, &tree->watches->volumes, all) {
		struct side *side = &volume->sides[SIDE_TREE];

		if (volume->sb->generation == walk->generation)
			return side->hub && side->root.n > 0 ? side : NULL;
	}
	return NULL;
}

/*
 * Who is to hear of it
 */

static bool wants(const struct walk *walk, const struct anchor *anchor)
{
	const struct watched *watched = anchor->watched;

	if (!anchor->hub_watch || anchor->doubted || watched->removed ||
	    anchor->walked >= walk->number || (walk->watched && walk->watched != watched->id))
		return false;
	if (watched->cross_mounts)
		return true;
	return watched->mask & (walk->kind == WALK_MOUNT ? FSEVENTS_MOUNT : FSEVENTS_UNMOUNT);
}

/* Return: which of the directories is its root; the number of all: none. */
static size_t find_root(const struct walk *walk, const struct anchor *anchor)
{
	const struct handle_view root = handle_view(&anchor->root);
	size_t i;

	for (i = 0; i < walk->n_handles; i++) {
		const struct handle_view view = handle_view(&walk->handles[i]);

		if (handle_equal(&view, &root))
			break;
	}
	return i;
}

/* To all of one who may list the directories from number @first on. */
static void reach(struct watch_tree *tree, const struct walk *walk, struct side *side,
		  const struct credential *credential, size_t first)
{
	struct anchor *anchor;

	for (anchor = LIST_FIRST(&side->anchors); anchor; anchor = tree->next) {
		size_t i;

		tree->next = LIST_NEXT(anchor, in_side);
		if (anchor->watched->credential != credential || !wants(walk, anchor))
			continue;
		anchor->walked = walk->number;
		i = find_root(walk, anchor);
		if (i < walk->n_handles && i >= first)
			watch_tree_reached(tree, walk, anchor, i, walk_rest(walk, i));
	}
}

uint64_t watch_tree_last_walk(const struct watch_tree *tree)
{
	return tree->last_number;
}

void watch_tree_forget(struct watch_tree *tree, const struct anchor *anchor)
{
	if (tree->next == anchor)
		tree->next = LIST_NEXT(anchor, in_side);
}

/* Return: somebody who was not asked for yet; NULL: nobody. */
static struct credential *next_credential(const struct walk *walk, const struct side *side)
{
	struct anchor *anchor;

	LIST_FOREACH(anchor, &side->anchors, in_side)
		if (wants(walk, anchor) && find_root(walk, anchor) < walk->n_handles)
			return anchor->watched->credential;
	return NULL;
}

/* What is mounted there has no root that is known. */
static void tell_rootless(struct watch_tree *tree, const struct walk *walk)
{
	struct watched *watched = watches_find(tree->watches, walk->watched);
	struct anchor *anchor = watched ? cross_find(watched, walk->mount) : NULL;

	if (!anchor || anchor->hub_watch)
		return;
	watched->unwalked = true;
	watched_tell_lost(watched, 0, anchor->prefix, strlen(anchor->prefix));
	cross_drop(anchor);
}

/* It did not come to whoever wants it still: what came or went is not known to them. */
static void tell_lost(struct watch_tree *tree, const struct walk *walk)
{
	struct side *side = walk_side(tree, walk);
	struct anchor *anchor;

	if (walk->kind == WALK_ROOT)
		tell_rootless(tree, walk);
	else if (side)
		LIST_FOREACH(anchor, &side->anchors, in_side)
			if (wants(walk, anchor)) {
				anchor->watched->unwalked = true;
				watched_tell_lost(anchor->watched, 0, NULL, 0);
			}
}

/*
 * The questions
 */

static void walk_end(struct watch_tree *tree)
{
	struct walk *walk = STAILQ_FIRST(&tree->walks);

	STAILQ_REMOVE_HEAD(&tree->walks, next);
	tree->n_walks--;
	walk_free(walk);
}

static void walk_fail(struct watch_tree *tree)
{
	tell_lost(tree, STAILQ_FIRST(&tree->walks));
	walk_end(tree);
}

/* Who was told already is not told again. */
static void walk_restart(struct watch_tree *tree)
{
	struct walk *walk = STAILQ_FIRST(&tree->walks);

	/* Who changes the way all the time keeps nobody else from theirs. */
	if (++walk->n_tries == WALK_TRIES_MAX) {
		walk_fail(tree);
		return;
	}
	walk->changed = false;
	walk->n_handles = 0;
}

/* What is mounted there now, if anything, is on another way. */
static bool is_nowhere(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ESTALE || error == -EXDEV;
}

static void take_entry(struct watch_tree *tree, struct walk *walk,
		       const struct lookup_answer *answer)
{
	struct handle *handle = &walk->handles[walk->n_handles];

	if (is_nowhere(answer->error)) {
		walk_end(tree);
		return;
	}
	if (answer->error < 0 || answer->target.n == 0 || answer->target.n > HANDLE_MAX) {
		walk_fail(tree);
		return;
	}
	*handle = (struct handle){ .type = answer->target.type, .n = answer->target.n };
	memcpy(handle->bytes, answer->target.bytes, answer->target.n);
	walk->n_handles++;
}

static void take_access(struct watch_tree *tree, struct walk *walk,
			const struct lookup_reply *reply)
{
	struct side *side = walk_side(tree, walk);
	size_t first = walk->n_handles;

	while (first > 0) {
		const struct lookup_answer *answer = &reply->answers[first - 1];

		if (answer->error < 0 || !answer->may_read || !answer->may_search)
			break;
		first--;
	}
	if (side)
		reach(tree, walk, side, walk->credential, first);
}

static void on_answer(enum pool_result result, const void *bytes, size_t n, void *userdata)
{
	struct watch_tree *tree = userdata;
	struct walk *walk = STAILQ_FIRST(&tree->walks);
	struct lookup_reply reply = {};
	bool entry = walk->n_handles < walk_n_wanted(walk);
	int r = -EIO;

	tree->ticket = NULL;
	if (result == POOL_DONE)
		r = lookup_reply_decode(bytes, n, entry ? 1 : walk->n_handles, &reply);
	if (r == 0)
		r = reply.error;

	tree->busy = true;
	/* -ESTALE: another mount was there at that moment. */
	if (r < 0 && r != -ESTALE)
		walk_fail(tree);
	else if (walk->changed || r < 0)
		walk_restart(tree);
	else if (entry)
		take_entry(tree, walk, &reply.answers[0]);
	else
		take_access(tree, walk, &reply);
	lookup_reply_deinit(&reply);
	tree->busy = false;
	watch_tree_go_on(tree);
}

static int ask(struct watch_tree *tree, const struct side *side, struct lookup_request *request)
{
	return volume_look_up(tree->watches, side->volume->sb, request, on_answer, tree,
			      &tree->ticket);
}

static int ask_entry(struct watch_tree *tree, const struct walk *walk, const struct side *side)
{
	const char *name = walk_rest(walk, walk->n_handles - 1);
	const struct lookup_question question = {
		.kind = LOOKUP_ENTRY,
		.handle = handle_view(&walk->handles[walk->n_handles - 1]),
		.name = name,
		.n_name = strcspn(name, "/"),
	};
	struct lookup_request request = { .questions = &question, .n_questions = 1 };

	return ask(tree, side, &request);
}

static int ask_access(struct watch_tree *tree, struct walk *walk, const struct side *side)
{
	struct lookup_question questions[WALK_DEPTH_MAX + 1] = {};
	const struct lookup_credential credential = {
		.uid = walk->credential->uid,
		.groups = walk->credential->groups,
		.n_groups = walk->credential->n_groups,
	};
	struct lookup_request request = {
		.credentials = &credential,
		.n_credentials = 1,
		.questions = questions,
		.n_questions = walk->n_handles,
	};

	for (size_t i = 0; i < walk->n_handles; i++) {
		questions[i].kind = LOOKUP_ACCESS;
		questions[i].handle = handle_view(&walk->handles[i]);
	}
	return ask(tree, side, &request);
}

/* Return: 0: asked, 1: go on, -ESRCH: that was all, or another negative errno. */
static int walk_ask(struct watch_tree *tree, struct walk *walk, struct side *side)
{
	struct credential *credential;

	if (!walk->handles)
		walk->handles = calloc(walk->n_names + 1, sizeof(*walk->handles));
	if (!walk->handles)
		return -ENOMEM;
	if (walk->n_handles == 0)
		walk->handles[walk->n_handles++] = side->root;
	if (walk->n_handles < walk_n_wanted(walk))
		return ask_entry(tree, walk, side);
	if (walk->kind == WALK_ROOT) {
		watch_tree_found_root(tree, walk, &walk->handles[walk->n_names]);
		return -ESRCH;
	}

	credential = next_credential(walk, side);
	if (!credential)
		return -ESRCH;
	if (credential_is_root(credential)) {
		reach(tree, walk, side, credential, 0);
		return 1;
	}
	credential_unref(walk->credential);
	walk->credential = credential_ref(credential);
	return ask_access(tree, walk, side);
}

void watch_tree_go_on(struct watch_tree *tree)
{
	if (tree->busy)
		return;

	tree->busy = true;
	while (!tree->ticket && !tree->put_off && !STAILQ_EMPTY(&tree->walks)) {
		struct walk *walk = STAILQ_FIRST(&tree->walks);
		struct side *side = walk_side(tree, walk);
		int r = side ? walk_ask(tree, walk, side) : -ESRCH;

		if (r == -ENOBUFS) {
			tree->put_off = true;
			watches_retry_later(tree->watches);
		} else if (r == -ESRCH) {
			walk_end(tree);
		} else if (r < 0) {
			walk_fail(tree);
		}
	}
	tree->busy = false;
}

void watch_tree_ask_again(struct watch_tree *tree)
{
	tree->put_off = false;
	watch_tree_go_on(tree);
	cross_again(tree);
}

void watch_tree_stop(struct watch_tree *tree)
{
	pool_cancel(tree->ticket);
	tree->ticket = NULL;
	while (!STAILQ_EMPTY(&tree->walks))
		walk_end(tree);
	tree->put_off = false;
}

/*
 * Two mounts of one superblock have the same place, and one may come where another one went: the last
 * counts. One under way may be of before.
 */
static void drop_known(struct watch_tree *tree, const struct walk *walk)
{
	struct walk *other;

	STAILQ_FOREACH(other, &tree->walks, next)
		if (!other->handles && other->kind == walk->kind &&
		    other->generation == walk->generation && other->watched == walk->watched &&
		    strcmp(other->path, walk->path) == 0)
			break;
	if (!other)
		return;
	STAILQ_REMOVE(&tree->walks, other, walk, next);
	tree->n_walks--;
	walk_free(other);
}

void watch_tree_push(struct watch_tree *tree, struct walk *walk)
{
	if (!walk_side(tree, walk)) {
		walk_free(walk);
		return;
	}
	drop_known(tree, walk);
	walk->number = ++tree->last_number;
	if (tree->n_walks == WALKS_MAX) {
		tell_lost(tree, walk);
		walk_free(walk);
		return;
	}
	STAILQ_INSERT_TAIL(&tree->walks, walk, next);
	tree->n_walks++;
}
