/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/watches-branch.h"

/*
 * What could not be looked into, or has no room
 */

/* A directory in @twig is not watched. */
static void leave_out(struct twig *twig)
{
	twig_set_left(twig, twig->n_left + 1);
	twig_cut(twig);
}

static void leave_out_whole(struct twig *twig)
{
	struct twig *parent = twig->parent;

	twig_drop(twig, true);
	leave_out(parent);
}

/* What is in there is not known. */
static void twig_fail(struct twig *twig)
{
	bool asking = twig->asking || twig->asked;
	bool untold = asking && !LIST_EMPTY(&twig->twigs) && twig->is_short;

	twig_dequeue(twig);
	free(twig->name);
	twig->name = NULL;
	twig->look = TWIG_KNOWN;
	twig->asking = twig->asked = twig->is_new = false;
	while (asking && !LIST_EMPTY(&twig->twigs))
		twig_drop(LIST_FIRST(&twig->twigs), true);
	if (twig->n_left == 0)
		twig_set_left(twig, 1);
	/* What was watched is not any more: that is another loss. */
	if (untold)
		twig_tell_lost(twig);
	twig_cut(twig);
}

/* Nobody answers: nor would it for all that wait. */
static void fail_all(struct branch *branch)
{
	struct twig *twig;

	while ((twig = TAILQ_FIRST(&branch->queue))) {
		twig_dequeue(twig);
		if (twig->anchor->hub_watch)
			twig_fail(twig);
		else
			leave_out_whole(twig);
	}
}

/*
 * Into a directory
 */

/* Those whose rights are asked for themselves have others below them. */
static void undoubt(struct twig *twig)
{
	struct twig *below = twig_next(twig, twig, true);
	bool missed = false;

	if (twig->anchor->doubted)
		return;
	while (below) {
		below->anchor->doubted = false;
		missed |= below->missed;
		below->missed = false;
		below = twig_next(below, twig, !below->asked && !below->asking);
	}
	if (missed)
		twig_tell_lost(twig);
}

/* What was not told of it is what its owner may not know. */
static void drop_silently(struct twig *twig)
{
	struct twig *below;

	for (below = twig; below; below = twig_next(below, twig, true))
		below->missed = below->owes = false;
	twig_drop(twig, true);
}

static void take_denied(struct twig *twig)
{
	if (twig->parent) {
		drop_silently(twig);
		return;
	}
	while (!LIST_EMPTY(&twig->twigs))
		drop_silently(LIST_FIRST(&twig->twigs));
	twig_set_left(twig, 0);
	twig->is_short = twig->asking = false;
}

/* Return: how many have no room. */
static uint64_t take_entries(struct twig *twig, const struct watch_list_reply *reply)
{
	uint64_t n_left = 0;

	for (size_t i = 0; i < reply->n_entries; i++) {
		const struct watch_list_entry *entry = &reply->entries[i];
		struct twig *child = twig_find(twig, entry->name, strlen(entry->name));

		if (child && child->anchor->inode == entry->inode)
			continue;
		if (child)
			twig_drop(child, true);
		if (twig_new(&child, twig, entry->name, entry->inode) < 0)
			n_left++;
		else
			child->is_moved = twig->branch->looking_moved;
	}
	return n_left;
}

static void take(struct twig *twig, const struct watch_list_reply *reply)
{
	bool all = twig->branch->looking == TWIG_LOOK_ALL;
	uint64_t n_left = take_entries(twig, reply) + reply->n_left;

	if (all)
		twig_set_left(twig, n_left ?: reply->is_cut);
	else
		twig_set_left(twig, twig->n_left + n_left);
	if (twig->n_left > 0)
		twig_cut(twig);
	else
		twig_uncut(twig);
	if (all && twig->is_new) {
		twig->is_new = false;
		if (!reply->is_empty || twig->is_moved)
			twig_tell_lost(twig);
	}
	if (twig->asking) {
		twig->asking = false;
		if (!twig->asked)
			undoubt(twig);
	}
}

static void on_listed(enum pool_result result, const void *bytes, size_t n, void *userdata)
{
	_cleanup_(watch_list_reply_deinit) struct watch_list_reply reply = {};
	struct branch *branch = userdata;
	struct twig *twig = branch->current;
	int r = result == POOL_DONE ? watch_list_reply_decode(bytes, n, &reply) : -EIO;

	branch->ticket = NULL;
	/* The answer is of now: all that came before goes first. */
	file_events_member_read(branch->top->anchor->side->member);
	branch->current = NULL;
	if (r == 0)
		r = reply.error;
	if (result != POOL_DONE)
		fail_all(branch);
	if (!twig->dropped) {
		if (r == 0)
			take(twig, &reply);
		else if (r == -ENOENT || r == -EACCES)
			take_denied(twig);
		else
			twig_fail(twig);
	}
	branch_go_on(branch);
}

/* Return: 0 or a negative errno. */
static int look_into(struct twig *twig)
{
	struct branch *branch = twig->branch;
	const struct anchor *top = branch->top->anchor;
	const struct superblock *sb = top->side->volume->sb;
	struct pool_submission submission = volume_submission(sb, JOB_WATCH_LIST);
	struct watch_list_request request = {
		.root_inode = top->inode,
		.credential = watched_lookup_credential(branch->watched),
		.below = twig->anchor->prefix ?: "",
		.inode = twig->anchor->inode,
		.name = twig->look == TWIG_LOOK_NAME ? twig->name : NULL,
	};
	_cleanup_free_ void *payload = NULL;
	const struct mount *mount;
	uint64_t wait_us;
	int r;

	mount = volume_mount_to(sb, top->path, &request.root, &wait_us);
	if (!mount)
		return wait_us > 0 ? -ENOBUFS : -ENOENT;
	request.where = mount->where;
	request.mount_id = mount_number(mount);
	request.mount_id_is_unique = mount->unique_id != 0;
	r = watch_list_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	/* What takes long keeps nobody else from local disks; one that hangs has a worker of its own. */
	if (submission.lane == POOL_LANE_LOCAL) {
		submission.lane = POOL_LANE_FOREIGN;
		submission.lane_key = WATCHES_FIND_LANE | branch->watched->uid;
		submission.owner_uid = branch->watched->uid;
	}
	submission.payload = payload;
	submission.reply = on_listed;
	submission.userdata = branch;
	r = pool_submit(branch->watched->watches->pool, &submission, &branch->ticket);
	if (r < 0)
		return r;

	branch->looking = twig->look;
	branch->looking_moved = twig->look_moved;
	twig->look_moved = false;
	twig->look = TWIG_KNOWN;
	free(twig->name);
	twig->name = NULL;
	twig->asking = twig->asked;
	twig->asked = false;
	return 0;
}

/*
 * The marks
 */

/* It was not there, or is another one by now. */
static void look_once_more(struct twig *twig)
{
	struct twig *parent = twig->parent;
	char name[NAME_MAX + 1];

	if (parent->n_misses++ >= BRANCH_MISSES_MAX) {
		leave_out_whole(twig);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s", twig->own);
	parent->look_moved |= twig->is_moved;
	twig_drop(twig, true);
	twig_look(parent, name, strlen(name), false);
}

void branch_marked(struct anchor *anchor, int error)
{
	struct twig *twig = anchor->twig;
	struct branch *branch = twig->branch;

	if (anchor->hub_watch) {
		/* What is there no more is dropped when that is heard of. */
		if (error == -EXDEV)
			file_events_member_read(anchor->side->member);
		if (!twig->dropped)
			anchor_remarked(anchor, error);
		return;
	}
	if (branch->current == twig)
		branch->current = NULL;
	/* What happened before is not for it; and it may be gone. */
	file_events_member_read(anchor->side->member);
	if (!twig->dropped && error == 0)
		error = anchor_stand(anchor);
	if (twig->dropped) {
		watches_settle_later(branch->watched->watches);
	} else if (error == 0) {
		twig->parent->n_misses = 0;
		twig_uncut(twig->parent);
		twig_look_all(twig);
	} else if (error == -EXDEV) {
		look_once_more(twig);
	} else {
		leave_out_whole(twig);
	}
	branch_go_on(branch);
}

/* Return: 0: it is under way, 1: it is done, or a negative errno. */
static int twig_step(struct twig *twig)
{
	int r;

	if (twig->anchor->hub_watch)
		return look_into(twig);
	r = anchor_mark(twig->anchor);
	assert(r <= 0);
	return r;
}

/* What is left of the tree is told as what comes into it. */
static void branch_tell(struct branch *branch)
{
	struct twig *twig;

	branch->walking = false;
	TAILQ_FOREACH(twig, &branch->queue, in_queue)
		twig->is_new = !twig->anchor->hub_watch;
	if (branch->current && !branch->current->anchor->hub_watch)
		branch->current->is_new = true;
	if (branch->told) {
		twig_tell_lost(branch->top);
	} else {
		branch->told = true;
		watched_walked(branch->watched);
	}
}

void branch_go_on(struct branch *branch)
{
	struct watches *watches = branch->watched->watches;
	struct twig *twig;
	int r;

	if (!branch->top->anchor->hub_watch || branch->watched->removed)
		return;
	while (!branch->current && !branch->put_off && (twig = TAILQ_FIRST(&branch->queue))) {
		r = twig_step(twig);
		if (r == -ENOBUFS) {
			branch->put_off = true;
			watches_retry_later(watches);
			break;
		}
		twig_dequeue(twig);
		if (r == 0)
			branch->current = twig;
		else if (twig->anchor->hub_watch)
			twig_fail(twig);
		else
			leave_out_whole(twig);
	}
	if (branch->walking && ((!branch->current && TAILQ_EMPTY(&branch->queue)) ||
				watches_now() - branch->since_us > BRANCH_PATIENCE_US))
		branch_tell(branch);
}
