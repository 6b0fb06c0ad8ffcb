/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/watches-internal.h"

struct slice {
	struct lookup_question questions[LOOKUP_QUESTIONS_MAX];
	struct lookup_credential credentials[LOOKUP_CREDENTIALS_MAX];
	const struct credential *holders[LOOKUP_CREDENTIALS_MAX];
	size_t n_questions, n_credentials;
};

/* Return: false where the slice is full. */
static bool slice_add_credential(struct slice *slice, const struct credential *credential,
				 uint32_t *ret)
{
	size_t i;

	for (i = 0; i < slice->n_credentials; i++)
		if (slice->holders[i] == credential)
			break;
	if (i == LOOKUP_CREDENTIALS_MAX)
		return false;

	if (i == slice->n_credentials) {
		slice->holders[i] = credential;
		slice->credentials[i] = (struct lookup_credential){
			.uid = credential->uid,
			.groups = credential->groups,
			.n_groups = credential->n_groups,
		};
		slice->n_credentials++;
	}
	*ret = (uint32_t)i;
	return true;
}

struct anchor *side_find(const struct side *side, const struct handle_view *root)
{
	struct anchor *anchor;

	LIST_FOREACH(anchor, &side->buckets[handle_hash(root) % SIDE_BUCKETS], in_bucket) {
		const struct handle_view view = handle_view(&anchor->root);

		if (handle_equal(&view, root))
			return anchor;
	}
	return NULL;
}

/* By the path of whoever watches it, if that one is still there; all of a slice are about one. */
static bool slice_set_path(struct slice *slice, const struct side *side,
			   struct lookup_question *question)
{
	const struct anchor *anchor = side_find(side, &question->handle);

	question->path = anchor ? anchor->path : "";
	question->inode = anchor ? anchor->inode : 0;
	return slice->n_questions == 0 || slice->questions[0].path == question->path;
}

static bool slice_add(struct slice *slice, const struct side *side,
		      const struct hub_question *asked)
{
	struct lookup_question *question = &slice->questions[slice->n_questions];

	if (slice->n_questions == LOOKUP_QUESTIONS_MAX)
		return false;

	*question = (struct lookup_question){ .handle = asked->handle };
	if (side->kind == SIDE_PATH && !slice_set_path(slice, side, question))
		return false;
	switch (asked->kind) {
	case HUB_ASK_CHAIN:
		question->kind = LOOKUP_CHAIN;
		break;
	case HUB_ASK_ACCESS:
		question->kind = LOOKUP_ACCESS;
		if (!slice_add_credential(slice, asked->credential, &question->credential))
			return false;
		break;
	case HUB_ASK_ENTRY:
		question->kind = LOOKUP_ENTRY;
		question->name = asked->name;
		question->n_name = asked->n_name;
		break;
	}
	slice->n_questions++;
	return true;
}

static void answer_one(struct side *side, size_t i, const struct lookup_answer *told)
{
	struct hub_link links[LOOKUP_DEPTH_MAX];
	struct hub_answer answer = {
		.error = told->error,
		.may_read = told->may_read,
		.may_search = told->may_search,
		.is_directory = told->is_directory,
		.inode = told->inode,
		.links = links,
	};

	for (; answer.n_links < told->n_links && answer.n_links < LOOKUP_DEPTH_MAX;
	     answer.n_links++) {
		const struct lookup_link *link = &told->links[answer.n_links];

		links[answer.n_links] = (struct hub_link){
			.handle = link->handle,
			.name = link->name,
			.n_name = link->n_name,
		};
	}
	hub_answer(side->hub, i, &answer);
}

/* Return: 0, or why there are no answers. */
static int answer_slice(struct side *side, enum pool_result result, const void *bytes, size_t n)
{
	struct lookup_reply reply = {};
	int r;

	if (result != POOL_DONE)
		return -EIO;
	r = lookup_reply_decode(bytes, n, side->n_slice, &reply);
	if (r < 0)
		return r;

	r = reply.error;
	/* What the answers say is of now: all that came before goes first. */
	if (r == 0)
		file_events_member_read(side->member);
	for (size_t i = 0; r == 0 && i < side->n_slice; i++)
		answer_one(side, side->n_answered + i, &reply.answers[i]);
	lookup_reply_deinit(&reply);
	return r;
}

static void ask_slice(struct side *side);

static void asked_all(struct side *side)
{
	side->questions = NULL;
	side->n_questions = side->n_answered = side->n_slice = 0;
	hub_answered(side->hub);
	side_ask(side);
}

static void on_looked_up(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct side *side = userdata;
	int r;

	side->ticket = NULL;
	r = answer_slice(side, result, reply, n_reply);
	side->n_answered += side->n_slice;
	side->n_slice = 0;
	/* What could not be asked is told as a loss by the hub. */
	if (r < 0 || side->n_answered == side->n_questions)
		asked_all(side);
	else
		ask_slice(side);
}

static void put_off(struct side *side)
{
	side->put_off = true;
	watches_retry_later(side->volume->watches);
}

static void ask_slice(struct side *side)
{
	const struct superblock *sb = side->volume->sb;
	struct slice slice = {};
	struct lookup_request request = {
		.credentials = slice.credentials,
		.questions = slice.questions,
	};
	int r;

	while (side->n_answered + slice.n_questions < side->n_questions &&
	       slice_add(&slice, side, &side->questions[side->n_answered + slice.n_questions]))
		;

	request.n_credentials = slice.n_credentials;
	request.n_questions = slice.n_questions;
	r = volume_look_up(side->volume->watches, sb, &request, on_looked_up, side, &side->ticket);
	if (r == 0)
		side->n_slice = slice.n_questions;
	else
		put_off(side);
	/* Nothing leads there: as if it had been asked in vain, but from the loop. */
	if (r < 0 && r != -ENOBUFS && r != -ENOMEM)
		side->n_answered = side->n_questions;
}

void side_ask(struct side *side)
{
	size_t n;

	if (side->n_questions > 0)
		return;

	/* Whatever it asks: it tells the last event in there. */
	n = hub_questions(side->hub, &side->questions);
	if (n == 0 && hub_is_behind(side->hub))
		watches_tell_more(side->volume->watches);
	if (n == 0 || side->volume->leaving)
		return;
	side->n_questions = n;
	ask_slice(side);
}

void side_ask_again(struct side *side)
{
	if (!side->put_off)
		return;

	side->put_off = false;
	if (side->n_answered == side->n_questions)
		asked_all(side);
	else
		ask_slice(side);
}

int watches_on_more(sd_event_source *source, void *userdata)
{
	struct watches *watches = userdata;
	struct volume *volume;

	LIST_FOREACH(volume, &watches->volumes, all)
		for (unsigned int i = 0; i < _SIDE_KIND_N; i++) {
			struct side *side = &volume->sides[i];

			if (side->hub && hub_is_behind(side->hub))
				side_ask(side);
		}
	return 0;
}
