/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/hub-internal.h"

#define SCANNED_MAX 4096 /* events of the row that are looked at for what is missing */

static void asked_free(struct hub_asked *asked)
{
	credential_unref(asked->question.credential);
	free(asked);
}

void hub_round_clear(struct hub_round *round)
{
	assert(round);

	for (size_t i = 0; i < round->n; i++)
		asked_free(round->asked[i]);
	memset(round->slots, 0, sizeof(round->slots));
	round->n = 0;
	round->n_users = 0;
	round->under_way = round->is_void = false;
}

static bool asked_equal(const struct hub_asked *asked, const struct hub_question *question,
			uint32_t serial, const struct hub_doubt_name *doubt)
{
	return asked->question.kind == question->kind && asked->serial == serial &&
	       asked->doubt == doubt && handle_equal(&asked->question.handle, &question->handle);
}

static bool user_fits(struct hub_round *round, uint32_t serial)
{
	for (size_t i = 0; i < round->n_users; i++)
		if (round->users[i] == serial)
			return true;
	if (round->n_users == HUB_QUESTION_USERS_MAX)
		return false;
	round->users[round->n_users++] = serial;
	return true;
}

static struct hub_asked *asked_new(const struct hub_question *question)
{
	size_t n_handle = question->handle.n, n_name = question->n_name;
	struct hub_asked *asked = calloc(1, sizeof(*asked) + n_handle + n_name + 1);
	uint8_t *p;

	if (!asked)
		return NULL;
	p = (uint8_t *)(asked + 1);
	asked->question = *question;
	memcpy(p, question->handle.bytes, n_handle);
	asked->question.handle.bytes = p;
	if (n_name > 0)
		memcpy(p + n_handle, question->name, n_name);
	asked->question.name = (char *)p + n_handle;
	if (question->credential)
		credential_ref(question->credential);
	return asked;
}

/* Once each. Without room or memory it is asked the next time. */
static void ask(struct hub *hub, const struct hub_question *question, uint32_t serial,
		struct hub_doubt_name *doubt)
{
	struct hub_round *round = hub->round;
	uint64_t hash = handle_hash(&question->handle) + (uint64_t)question->kind + serial +
			(uintptr_t)doubt;
	size_t i = (size_t)(hash_number(hash) >> 40) & (HUB_ASKED_SLOTS - 1);
	struct hub_asked *asked;

	if (round->n >= round->n_max)
		return;
	for (; round->slots[i]; i = (i + 1) & (HUB_ASKED_SLOTS - 1))
		if (asked_equal(round->asked[round->slots[i] - 1], question, serial, doubt))
			return;
	if (serial && !user_fits(round, serial))
		return;

	asked = asked_new(question);
	if (!asked)
		return;
	asked->serial = serial;
	asked->doubt = doubt;
	round->asked[round->n] = asked;
	round->questions[round->n] = asked->question;
	round->slots[i] = (uint16_t)++round->n;
}

void hub_ask_chain(struct hub *hub, const struct handle_view *handle)
{
	const struct hub_question question = { .kind = HUB_ASK_CHAIN, .handle = *handle };

	assert(hub);

	ask(hub, &question, 0, NULL);
}

void hub_ask_access(struct hub *hub, const struct node *node, const struct hub_user *user)
{
	const struct hub_question question = {
		.kind = HUB_ASK_ACCESS,
		.handle = node_handle(node),
		.credential = user->credential,
	};

	assert(hub);

	ask(hub, &question, user->serial, NULL);
}

void hub_ask_entry(struct hub *hub, struct hub_doubt_name *name)
{
	const struct hub_question question = {
		.kind = HUB_ASK_ENTRY,
		.handle = name->dir,
		.name = name->name,
		.n_name = name->n_name,
	};

	assert(hub);

	ask(hub, &question, 0, name);
}

static void round_begin(struct hub *hub)
{
	struct hub_round *round = hub->round;

	hub_round_clear(round);
	/* A small tree could not hold all that is answered. */
	round->n_max = hub->tree.n_max / 16;
	if (round->n_max > HUB_QUESTIONS_MAX)
		round->n_max = HUB_QUESTIONS_MAX;
}

/* Return: whether anything is to be asked. */
static bool round_fill(struct hub *hub)
{
	struct hub_round *round = hub->round;
	struct hub_pending *pending;
	size_t n_scanned = 0;

	round_begin(hub);
	STAILQ_FOREACH(pending, &hub->row.events, link) {
		if (round->n == round->n_max || n_scanned++ == SCANNED_MAX)
			break;
		if (round->n > 0 && hub_is_spent(hub))
			break;
		hub_event_ask(hub, pending);
	}
	return round->n > 0;
}

/*
 * Where watches are in whose trees nothing happened yet: what is lost elsewhere is not to be
 * theirs as well. Return: as above.
 */
static bool round_fill_roots(struct hub *hub)
{
	struct hub_watch *watch;

	round_begin(hub);
	hub->roots_unknown = false;
	LIST_FOREACH(watch, &hub->watches, all) {
		const struct handle_view root = node_handle(watch->node);

		hub->n_steps++;
		if (watch->node->state != NODE_UNPLACED)
			continue;
		if (hub->round->n == hub->round->n_max) {
			hub->roots_unknown = true;
			break;
		}
		hub_ask_chain(hub, &root);
	}
	return hub->round->n > 0;
}

size_t hub_questions(struct hub *hub, const struct hub_question **ret)
{
	struct hub_pending *first;

	assert(hub);
	assert(ret);

	if (hub->round && hub->round->under_way)
		return 0;
	hub->n_steps = 0;
	hub_row_drain(hub, true);
	hub_ignore_settle(hub);
	if (!hub->blocked && (hub->behind || !hub->roots_unknown))
		return 0;
	if (!hub->round)
		hub->round = calloc(1, sizeof(*hub->round));
	if (!hub->round) {
		hub_lose(hub);
		return 0;
	}

	/* What is asked again and again, or of what nothing can be asked, holds nobody up. */
	while (hub->blocked) {
		first = STAILQ_FIRST(&hub->row.events);
		if (first->n_rounds++ < HUB_ROUNDS_MAX && round_fill(hub))
			break;
		if (hub_event_give_up(hub, first))
			hub_row_pop(&hub->row);
		hub_row_drain(hub, true);
	}
	if (!hub->blocked && (hub->behind || !hub->roots_unknown || !round_fill_roots(hub)))
		return 0;
	hub->round->under_way = true;
	hub->round->seq = hub->statistics.events;
	hub->statistics.questions += hub->round->n;
	*ret = hub->round->questions;
	return hub->round->n;
}

static void entry_answer(const struct hub *hub, struct hub_doubt_name *name,
			 const struct hub_answer *answer)
{
	name->until = hub->statistics.events;
	name->error = answer->error > 0 ? -EBADMSG : answer->error;
	name->is_directory = answer->is_directory;
	name->inode = answer->inode;
}

void hub_answer(struct hub *hub, size_t i, const struct hub_answer *answer)
{
	struct hub_asked *asked;
	struct node *node;

	assert(hub);
	assert(answer);
	assert(hub->round && hub->round->under_way && i < hub->round->n);

	asked = hub->round->asked[i];
	if (hub->round->is_void || asked->answered)
		return;
	asked->answered = true;
	switch (asked->question.kind) {
	case HUB_ASK_CHAIN:
		hub_place_chain(hub, &asked->question.handle, answer);
		break;
	case HUB_ASK_ACCESS:
		node = node_tree_find(&hub->tree, &asked->question.handle);
		if (node)
			hub_verdict_answer(hub, node, asked->serial, answer);
		break;
	case HUB_ASK_ENTRY:
		entry_answer(hub, asked->doubt, answer);
		break;
	}
}

void hub_answered(struct hub *hub)
{
	const struct hub_answer none = { .error = -ECANCELED };
	bool is_void;

	assert(hub);
	assert(hub->round && hub->round->under_way);

	is_void = hub->round->is_void;
	for (size_t i = 0; i < hub->round->n; i++)
		hub_answer(hub, i, &none);
	hub_round_clear(hub->round);
	if (!is_void)
		hub_row_drain(hub, false);
}
