/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/hub-internal.h"

enum verdict_bit {
	VERDICT_KNOWN = 1, /* else the other bits are of before a change */
	VERDICT_READ = 2,
	VERDICT_SEARCH = 4,
	VERDICT_ABSENT = 8, /* it is gone, and nothing was known of it */
	VERDICT_FAILED = 16, /* it could not be asked, for the events before ->seq */
	VERDICT_OLD = 32, /* READ and SEARCH were answered, now or before */
	VERDICT_STALE = 64, /* it changed since, and was gone before it was asked for again */
	VERDICT_LAST = VERDICT_OLD | VERDICT_READ | VERDICT_SEARCH,
};

static struct node_verdict *verdict_find(struct node *node, uint32_t serial)
{
	if (node->verdict.serial == serial)
		return &node->verdict;
	for (size_t i = 0; i < node->n_more; i++)
		if (node->more[i].serial == serial)
			return &node->more[i];
	return NULL;
}

static bool user_lives(const struct hub *hub, uint32_t serial)
{
	struct hub_user *user;

	LIST_FOREACH(user, &hub->users, all)
		if (user->serial == serial)
			return true;
	return false;
}

/* A free one, or one of a user that is no more. */
static struct node_verdict *verdict_free(struct hub *hub, struct node *node)
{
	if (!user_lives(hub, node->verdict.serial))
		return &node->verdict;
	for (size_t i = 0; i < node->n_more; i++)
		if (!user_lives(hub, node->more[i].serial))
			return &node->more[i];
	return NULL;
}

static struct node_verdict *verdict_get(struct hub *hub, struct node *node, uint32_t serial)
{
	struct node_verdict *verdict = verdict_find(node, serial);

	if (verdict)
		return verdict;

	verdict = verdict_free(hub, node);
	if (!verdict) {
		size_t n = node->n_more ? 2 * (size_t)node->n_more : 4;

		size_t n_before = node->n_more;

		if (n > UINT16_MAX || node_grow(&hub->tree, node, (uint16_t)n) < 0)
			return NULL;
		verdict = &node->more[n_before];
	}
	*verdict = (struct node_verdict){ .serial = serial };
	return verdict;
}

static enum hub_verdict node_look(struct node *node, uint32_t serial, uint64_t seq, uint8_t need)
{
	const struct node_verdict *verdict = verdict_find(node, serial);

	if (!verdict || !(verdict->bits & VERDICT_KNOWN))
		return HUB_VERDICT_MISSING;
	if (verdict->bits & VERDICT_FAILED)
		return (int32_t)((uint32_t)seq - verdict->seq) <= 0 ? HUB_VERDICT_LOST
								    : HUB_VERDICT_MISSING;
	return (verdict->bits & need) == need ? HUB_VERDICT_ALLOWED : HUB_VERDICT_DENIED;
}

static bool node_is_absent(struct node *node, uint32_t serial)
{
	const struct node_verdict *verdict = verdict_find(node, serial);

	return verdict && verdict->bits & VERDICT_ABSENT;
}

static void chain_ask(struct hub *hub, const struct hub_watch *watch, struct node *dir,
		      uint64_t seq)
{
	for (struct node *node = dir;; node = node->parent) {
		if (!node_is_absent(node, watch->user->serial) &&
		    node_look(node, watch->user->serial, seq, 0) == HUB_VERDICT_MISSING)
			hub_ask_access(hub, node, watch->user);
		if (node == watch->node)
			return;
	}
}

enum hub_verdict hub_verdict(struct hub *hub, const struct hub_watch *watch, struct node *dir,
			     uint64_t seq, bool ask)
{
	bool missing = false, lost = false, living = false;

	assert(hub);
	assert(watch);
	assert(dir);

	if (!watch->user)
		return HUB_VERDICT_ALLOWED;

	for (struct node *node = dir;; node = node->parent) {
		uint8_t need = VERDICT_READ | (node == dir ? 0 : VERDICT_SEARCH);

		hub->n_steps += 1 + node->n_more / 4;
		/* Who is gone and was never asked for is as those above it. */
		if (!node_is_absent(node, watch->user->serial))
			switch (node_look(node, watch->user->serial, seq, need)) {
			case HUB_VERDICT_DENIED:
				return HUB_VERDICT_DENIED;
			case HUB_VERDICT_MISSING:
				missing = true;
				break;
			case HUB_VERDICT_LOST:
				lost = true;
				break;
			case HUB_VERDICT_ALLOWED:
				living = true;
				break;
			}
		if (node == watch->node)
			break;
	}
	if (missing && ask)
		chain_ask(hub, watch, dir, seq);
	if (missing)
		return HUB_VERDICT_MISSING;
	return lost || !living ? HUB_VERDICT_LOST : HUB_VERDICT_ALLOWED;
}

static bool may_go_below(const struct hub_watch *watch, struct node *dir, uint64_t seq)
{
	return !watch->user || node_is_absent(dir, watch->user->serial) ||
	       node_look(dir, watch->user->serial, seq, VERDICT_SEARCH) == HUB_VERDICT_ALLOWED;
}

static bool is_stale(const struct hub_watch *watch, struct node *dir)
{
	const struct node_verdict *verdict =
		watch->user ? verdict_find(dir, watch->user->serial) : NULL;

	return verdict && verdict->bits & VERDICT_STALE;
}

bool hub_verdict_is_split(const struct hub_watch *watch, struct node *at, struct node *to,
			  uint64_t seq)
{
	assert(watch);
	assert(at);
	assert(to);

	return is_stale(watch, at) || is_stale(watch, to) ||
	       may_go_below(watch, at, seq) != may_go_below(watch, to, seq);
}

enum hub_verdict hub_verdict_self(struct hub *hub, const struct hub_watch *watch, uint64_t seq,
				  bool ask)
{
	enum hub_verdict verdict;

	assert(hub);
	assert(watch);

	if (!watch->user || node_is_absent(watch->node, watch->user->serial))
		return HUB_VERDICT_ALLOWED;
	verdict = node_look(watch->node, watch->user->serial, seq, VERDICT_READ);
	if (verdict == HUB_VERDICT_MISSING && ask)
		hub_ask_access(hub, watch->node, watch->user);
	return verdict;
}

void hub_verdict_answer(struct hub *hub, struct node *node, uint32_t serial,
			const struct hub_answer *answer)
{
	struct node_verdict *verdict;
	uint8_t former;

	assert(hub);
	assert(node);
	assert(answer);

	verdict = verdict_get(hub, node, serial);
	if (!verdict)
		return;
	former = verdict->bits;
	/* A change that comes between the question and the answer may not be in it. */
	verdict->seq = (uint32_t)hub->round->seq;
	if (answer->error == 0)
		verdict->bits = VERDICT_KNOWN | VERDICT_OLD |
				(answer->may_read ? VERDICT_READ : 0) |
				(answer->may_search ? VERDICT_SEARCH : 0);
	else if (answer->error != -ESTALE && answer->error != -ENOENT)
		verdict->bits = (former & VERDICT_LAST) | VERDICT_KNOWN | VERDICT_FAILED;
	else if (former & VERDICT_OLD)
		verdict->bits = (former & VERDICT_LAST) | VERDICT_KNOWN | VERDICT_STALE;
	else
		verdict->bits = VERDICT_KNOWN | VERDICT_ABSENT;
}

static void verdict_forget(struct node_verdict *verdict, uint64_t seq)
{
	/* What was asked after the change knows it. */
	if ((int32_t)((uint32_t)seq - verdict->seq) > 0)
		verdict->bits &= (uint8_t)~VERDICT_KNOWN;
}

void hub_verdict_forget(struct node *node, uint64_t seq)
{
	assert(node);

	verdict_forget(&node->verdict, seq);
	for (size_t i = 0; i < node->n_more; i++)
		verdict_forget(&node->more[i], seq);
}
