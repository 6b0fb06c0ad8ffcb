/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>

#include "daemon/watches-branch.h"
#include "include/fsevents_stream.h"

/* What was known of it and could not be told yet is not told any more. */
static bool has_pending(const struct branch *branch)
{
	struct hub_statistics statistics;

	hub_statistics(branch->top->anchor->side->hub, &statistics);
	return statistics.n_pending > 0;
}

/*
 * What happens to directories
 */

static void heard_from(struct twig *twig, const struct file_name *name, uint64_t mask)
{
	struct twig *child = twig_find(twig, name->name, name->n_name);

	if (mask & (FAN_DELETE | FAN_RENAME)) {
		/* The last one left out may be another one: whoever looks again knows. */
		if (!child && twig->n_left > 1)
			twig_set_left(twig, twig->n_left - 1);
		if (child) {
			twig_drop(child, mask & FAN_RENAME);
			twig_uncut(twig);
		}
	} else if (!child && mask & FAN_CREATE) {
		twig_look(twig, name->name, name->n_name, true);
	} else if (!child && mask & FAN_ATTRIB &&
		   !credential_is_root(twig->branch->watched->credential)) {
		twig_look(twig, name->name, name->n_name, false);
	}
}

static void heard_to(struct twig *twig, const struct file_name *name)
{
	struct twig *child = twig_find(twig, name->name, name->n_name);

	/* It was replaced or exchanged. */
	if (child)
		twig_drop(child, true);
	twig->look_moved = true;
	twig_look(twig, name->name, name->n_name, true);
}

/* All of them: one inode has one watch, whoever asked for it. */
static void heard_in(struct side *side, const struct file_name *name, uint64_t mask, bool is_to)
{
	struct anchor *anchor;

	LIST_FOREACH(anchor, &side->buckets[handle_hash(&name->dir) % SIDE_BUCKETS], in_bucket) {
		const struct handle_view root = handle_view(&anchor->root);
		struct twig *twig = anchor->twig;

		if (!twig || twig->dropped || !handle_equal(&root, &name->dir))
			continue;
		if (is_to)
			heard_to(twig, name);
		else if (name->n_name > 0)
			heard_from(twig, name, mask);
		else if (mask & FAN_ATTRIB && !credential_is_root(anchor->watched->credential))
			twig_ask(twig);
	}
}

/* From the beginning: which directories came and went is not known. */
static void branch_restart(struct branch *branch)
{
	struct twig *top = branch->top;

	if (!top->anchor->hub_watch)
		return;
	while (!LIST_EMPTY(&top->twigs))
		twig_drop(LIST_FIRST(&top->twigs), true);
	twig_set_left(top, 0);
	top->is_short = false;
	branch->walking = true;
	branch->since_us = watches_now();
	twig_look_all(top);
}

void branch_heard(struct side *side, const struct file_event *event)
{
	struct anchor *anchor;

	if (event->overflow) {
		LIST_FOREACH(anchor, &side->anchors, in_side)
			if (anchor->twig && anchor->twig == anchor->twig->branch->top)
				branch_restart(anchor->twig->branch);
		return;
	}
	if (!(event->mask & FAN_ONDIR))
		return;
	if (event->at.dir.n > 0)
		heard_in(side, &event->at, event->mask, false);
	if (event->to.dir.n > 0)
		heard_in(side, &event->to, event->mask, true);
}

/*
 * What its hub tells
 */

bool branch_tells(struct anchor *anchor, size_t n_name)
{
	struct twig *twig = anchor->twig;

	if (!twig)
		return !anchor->doubted;
	twig->missed |= anchor->doubted;
	/* What happens to a directory itself is told by the one that it is in. */
	return !anchor->doubted && (!anchor->prefix || strlen(anchor->prefix) != n_name);
}

bool branch_left(const struct anchor *anchor)
{
	return anchor->twig && anchor->twig->dropped;
}

void branch_count(const struct branch *branch, uint64_t *ret_watched, uint64_t *ret_left)
{
	*ret_watched = branch->n_twigs;
	*ret_left = branch->n_left;
}

void branches_count(const struct watches *watches, uint64_t *ret_watched, uint64_t *ret_left)
{
	const struct branch *branch;

	*ret_watched = *ret_left = 0;
	LIST_FOREACH(branch, &watches->branches, all) {
		*ret_watched += branch->n_twigs;
		*ret_left += branch->n_left;
	}
}

/*
 * Its life
 */

int branch_new(struct watched *watched)
{
	struct watches *watches = watched->watches;
	struct branch *branch;
	int r;

	assert(watched->anchor && !watched->branch);

	branch = calloc(1, sizeof(*branch));
	if (!branch)
		return -ENOMEM;
	branch->watched = watched;
	TAILQ_INIT(&branch->queue);
	r = twig_attach(branch, &branch->top, watched->anchor, 0);
	if (r < 0) {
		free(branch);
		return r;
	}
	branch->n_twigs = 1;
	LIST_INSERT_HEAD(&watches->branches, branch, all);
	watched->branch = branch;
	return 0;
}

void branch_begin(struct branch *branch)
{
	branch->walking = true;
	branch->since_us = watches_now();
	twig_look_all(branch->top);
	branch_go_on(branch);
}

static void free_all(struct twigs *twigs)
{
	while (!LIST_EMPTY(twigs))
		twig_free(LIST_FIRST(twigs));
}

struct branch *branch_free(struct branch *branch)
{
	struct twig *top;

	if (!branch)
		return NULL;

	top = branch->top;
	pool_cancel(branch->ticket);
	branch->current = NULL;
	branch->ticket = NULL;
	while (!LIST_EMPTY(&top->twigs))
		twig_drop(LIST_FIRST(&top->twigs), true);
	free_all(&branch->dropped);
	twig_dequeue(top);
	/* Its anchor is the watch's own. */
	top->anchor->twig = NULL;
	free(top->name);
	free(top);
	LIST_REMOVE(branch, all);
	branch->watched->branch = NULL;
	free(branch);
	return NULL;
}

/* What was left out may have room, or be what can be looked into now. */
static void look_again(struct branch *branch)
{
	struct twig *twig;

	branch->n_freed = 0;
	for (twig = branch->top; twig; twig = twig_next(twig, branch->top, true))
		if (twig->is_short)
			twig_look_all(twig);
}

/* What happened in them before they went is told yet. */
static void free_dropped(struct branch *branch)
{
	struct twig *twig;

	if (LIST_EMPTY(&branch->dropped))
		return;
	if (has_pending(branch)) {
		watches_retry_later(branch->watched->watches);
		return;
	}
	while ((twig = LIST_FIRST(&branch->dropped))) {
		/* At the end of a walk all is told as lost. */
		if ((twig->missed || twig->owes) && !branch->walking)
			twig_tell_lost(twig_nearest(branch, twig->anchor->prefix));
		twig_free(twig);
	}
}

void branches_settle(struct watches *watches)
{
	struct branch *branch;

	LIST_FOREACH(branch, &watches->branches, all) {
		branch_pay(branch);
		free_dropped(branch);
		/* When enough of the others are gone that it is worth it. */
		if (branch->n_left > 0 && branch->n_freed * 8 >= branch->n_twigs)
			look_again(branch);
		branch_go_on(branch);
	}
}

void branches_again(struct watches *watches)
{
	struct branch *branch;

	LIST_FOREACH(branch, &watches->branches, all) {
		if (branch->put_off || branch->owes || !LIST_EMPTY(&branch->dropped))
			watches_settle_later(watches);
		branch->put_off = false;
	}
}

void branches_tick(struct watches *watches)
{
	struct branch *branch;

	LIST_FOREACH(branch, &watches->branches, all)
		if (branch->n_left > 0)
			look_again(branch);
}
