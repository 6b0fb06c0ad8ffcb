/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/watches-branch.h"

static uint64_t hash_of(const char *name, size_t n_name)
{
	return hash_bytes(HASH_BYTES_INIT, name, n_name);
}

static bool is_name(const char *text, const char *name, size_t n_name)
{
	return strncmp(text, name, n_name) == 0 && text[n_name] == '\0';
}

struct twig *twig_find(const struct twig *parent, const char *name, size_t n_name)
{
	uint64_t hash = hash_of(name, n_name);
	struct twig *twig;

	LIST_FOREACH(twig, &parent->twigs, next)
		if (twig->hash == hash && is_name(twig->own, name, n_name))
			return twig;
	return NULL;
}

struct twig *twig_next(const struct twig *twig, const struct twig *top, bool into)
{
	if (into && !LIST_EMPTY(&twig->twigs))
		return LIST_FIRST(&twig->twigs);
	for (; twig != top; twig = twig->parent)
		if (LIST_NEXT(twig, next))
			return LIST_NEXT(twig, next);
	return NULL;
}

void twig_dequeue(struct twig *twig)
{
	if (twig->queued)
		TAILQ_REMOVE(&twig->branch->queue, twig, in_queue);
	twig->queued = false;
}

/* Also what is told of it goes on after this. */
static void twig_queue(struct twig *twig)
{
	struct branch *branch = twig->branch;

	if (!twig->queued)
		TAILQ_INSERT_TAIL(&branch->queue, twig, in_queue);
	twig->queued = true;
	watches_settle_later(branch->watched->watches);
}

void twig_free(struct twig *twig)
{
	struct branch *branch = twig->branch;

	if (branch->current == twig) {
		pool_cancel(branch->ticket);
		branch->ticket = NULL;
		branch->current = NULL;
	}
	twig_dequeue(twig);
	LIST_REMOVE(twig, next);
	branch->n_twigs--;
	/* One that was never marked made no room. */
	branch->n_freed += twig->anchor->hub_watch != NULL;
	twig->anchor->twig = NULL;
	anchor_free(twig->anchor);
	free(twig->name);
	free(twig);
}

int twig_attach(struct branch *branch, struct twig **ret, struct anchor *anchor, size_t n_name)
{
	struct twig *twig = calloc(1, sizeof(*twig));

	if (!twig)
		return -ENOMEM;
	twig->branch = branch;
	twig->anchor = anchor;
	twig->own = anchor->prefix ? anchor->prefix + strlen(anchor->prefix) - n_name : "";
	twig->hash = hash_of(twig->own, n_name);
	twig->look = TWIG_LOOK_ALL;
	anchor->twig = twig;
	*ret = twig;
	return 0;
}

/* Below what is watched itself, and from the root of its superblock. */
static int anchor_name(struct anchor *anchor, const struct anchor *above, const char *name)
{
	const char *prefix = above->prefix ?: "";

	if (asprintf(&anchor->prefix, "%s%s%s", prefix, *prefix ? "/" : "", name) < 0) {
		anchor->prefix = NULL;
		return -ENOMEM;
	}
	if (asprintf(&anchor->path, "%s%s%s", above->path, *above->path ? "/" : "", name) < 0) {
		anchor->path = NULL;
		return -ENOMEM;
	}
	return strlen(anchor->path) < WATCH_PATH_MAX && strlen(anchor->prefix) < CHANGE_NAME_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

/* What waits to be found out of one above holds for it, too. */
static bool is_in_doubt(const struct twig *parent)
{
	return parent->anchor->doubted || parent->asked || parent->asking;
}

int twig_new(struct twig **ret, struct twig *parent, const char *name, uint64_t inode)
{
	struct branch *branch = parent->branch;
	struct watched *watched = branch->watched;
	struct quota_charge charge = {};
	struct anchor *anchor;
	struct twig *twig;
	int r;

	if (branch->n_twigs >= BRANCH_DIRECTORIES_MAX)
		return -ENOSPC;
	r = quota_charge(watched->watches->quota, &charge, watched->uid, QUOTA_DIRECTORIES, 1);
	if (r != 0)
		return r < 0 ? r : -ENOSPC;
	r = anchor_new(&anchor, watched, parent->anchor->side, &(struct handle){});
	if (r < 0) {
		quota_release(&charge);
		return r;
	}
	quota_move(&anchor->charge, &charge);
	anchor->inode = inode;
	r = anchor_name(anchor, parent->anchor, name);
	if (r == 0)
		r = twig_attach(branch, &twig, anchor, strlen(name));
	if (r < 0) {
		anchor_free(anchor);
		return r;
	}

	twig->parent = parent;
	twig->is_new = !branch->walking;
	anchor->doubted = is_in_doubt(parent);
	LIST_INSERT_HEAD(&parent->twigs, twig, next);
	branch->n_twigs++;
	twig_queue(twig);
	*ret = twig;
	return 0;
}

void twig_set_left(struct twig *twig, uint64_t n_left)
{
	twig->branch->n_left += n_left - twig->n_left;
	twig->n_left = n_left;
}

static void tell_lost(struct twig *twig)
{
	const char *prefix;

	twig->owes = false;
	while (twig->parent && twig->anchor->doubted)
		twig = twig->parent;
	prefix = twig->anchor->prefix ?: "";
	watched_tell_lost(twig->branch->watched, 0, prefix, strlen(prefix));
}

void twig_tell_lost(struct twig *twig)
{
	struct branch *branch = twig->branch;
	struct hub_statistics statistics;

	hub_statistics(branch->top->anchor->side->hub, &statistics);
	if (statistics.n_pending == 0) {
		tell_lost(twig);
		return;
	}
	twig->owes = branch->owes = true;
	twig->owed_since = statistics.events;
	watches_retry_later(branch->watched->watches);
}

void branch_pay(struct branch *branch)
{
	struct hub_statistics statistics;
	struct twig *twig;

	if (!branch->owes)
		return;
	branch->owes = false;
	hub_statistics(branch->top->anchor->side->hub, &statistics);
	for (twig = branch->top; twig; twig = twig_next(twig, branch->top, true)) {
		if (twig->owes && statistics.events - statistics.n_pending >= twig->owed_since)
			tell_lost(twig);
		branch->owes |= twig->owes;
	}
	if (branch->owes)
		watches_retry_later(branch->watched->watches);
}

void twig_cut(struct twig *twig)
{
	if (!twig->is_short)
		twig_tell_lost(twig);
	twig->is_short = true;
}

void twig_uncut(struct twig *twig)
{
	const struct twig *child;

	if (!twig->is_short || twig->n_left > 0 || twig->look != TWIG_KNOWN ||
	    twig->branch->current == twig)
		return;
	LIST_FOREACH(child, &twig->twigs, next)
		if (!child->anchor->hub_watch)
			return;
	twig->is_short = false;
}

static void twig_drop_one(struct twig *twig, bool moved)
{
	struct branch *branch = twig->branch;

	twig_dequeue(twig);
	twig_set_left(twig, 0);
	LIST_REMOVE(twig, next);
	twig->parent = NULL;
	twig->dropped = true;
	/* A mark went with what was removed. */
	if (!moved)
		twig->anchor->mask = 0;
	twig->anchor->doubted |= moved;
	LIST_INSERT_HEAD(&branch->dropped, twig, next);
}

void twig_drop(struct twig *twig, bool moved)
{
	struct branch *branch = twig->branch;
	struct twig *last;

	assert(twig->parent);

	/* From the leaves on, so that none is left without its parent. */
	do {
		last = twig;
		while (!LIST_EMPTY(&last->twigs))
			last = LIST_FIRST(&last->twigs);
		twig_drop_one(last, moved);
	} while (last != twig);
	watches_settle_later(branch->watched->watches);
}

struct twig *twig_nearest(struct branch *branch, const char *prefix)
{
	struct twig *twig = branch->top, *next;

	for (;;) {
		size_t n = strcspn(prefix, "/");

		next = twig_find(twig, prefix, n);
		if (!next || prefix[n] == '\0')
			return next ?: twig;
		twig = next;
		prefix += n + 1;
	}
}

/*
 * What is to be found out
 */

void twig_look_all(struct twig *twig)
{
	free(twig->name);
	twig->name = NULL;
	twig->look = TWIG_LOOK_ALL;
	twig_queue(twig);
}

void twig_look(struct twig *twig, const char *name, size_t n_name, bool is_made)
{
	struct branch *branch = twig->branch;

	/* It was told that there are more. */
	if (twig->is_short && branch->n_twigs >= BRANCH_DIRECTORIES_MAX) {
		twig_set_left(twig, (twig->n_left + is_made) ?: 1);
		return;
	}
	if (twig->look == TWIG_LOOK_ALL ||
	    (twig->look == TWIG_LOOK_NAME && is_name(twig->name, name, n_name)))
		return;
	if (twig->look == TWIG_KNOWN)
		twig->name = strndup(name, n_name);
	if (twig->look == TWIG_LOOK_NAME || !twig->name) {
		twig_look_all(twig);
		return;
	}
	twig->look = TWIG_LOOK_NAME;
	twig_queue(twig);
}

void twig_ask(struct twig *twig)
{
	struct twig *below;

	/* Of the top nobody else would tell that it is open again. */
	if (twig->asked || (twig->parent && LIST_EMPTY(&twig->twigs) && !twig->is_short &&
			    twig->look == TWIG_KNOWN && twig->branch->current != twig))
		return;

	twig->asked = true;
	for (below = twig_next(twig, twig, true); below; below = twig_next(below, twig, true))
		below->anchor->doubted = true;
	twig_look_all(twig);
}
