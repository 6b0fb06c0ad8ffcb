/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/hub-internal.h"
#include "include/fsevents_stream.h"

static size_t depth_of(const struct node *node)
{
	size_t depth = 0;

	for (; node; node = node->parent)
		depth++;
	return depth;
}

static bool node_visit(struct hub_match *match, struct node *node, bool at, bool to)
{
	struct hub_watch *watch;

	match->hub->n_steps++;
	LIST_FOREACH(watch, &node->watches, same) {
		match->hub->n_steps += HUB_STEPS_VISIT;
		if (!match->visit(match, watch, at, to))
			return false;
	}
	return true;
}

static struct node *node_leave(struct hub_match *match, struct node *node, bool at, bool to)
{
	if (match->leave)
		match->leave(match, node, at, to);
	return match->hub->options.tree ? node->parent : NULL;
}

void hub_match_walk(struct hub_match *match)
{
	struct node *at, *to;
	size_t n_at, n_to;

	assert(match);

	at = match->sighting->at.dir;
	to = match->sighting->to.dir;
	n_at = to ? depth_of(at) : 0;
	n_to = at ? depth_of(to) : 0;
	while (at || to) {
		if (at == to) {
			if (!node_visit(match, at, true, true))
				return;
			at = to = node_leave(match, at, true, true);
		} else if (at && (!to || n_at >= n_to)) {
			if (!node_visit(match, at, true, false))
				return;
			at = node_leave(match, at, true, false);
			n_at--;
		} else {
			if (!node_visit(match, to, false, true))
				return;
			to = node_leave(match, to, false, true);
			n_to--;
		}
	}
}

uint32_t hub_match_mask(const struct hub_watch *watch, const struct hub_sighting *sighting)
{
	uint32_t mask = sighting->mask;

	assert(watch);
	assert(sighting);

	if (sighting->seq <= watch->since)
		return 0;
	if (mask & FSEVENTS_MOVE && sighting->is_old)
		return watch->mask & (FSEVENTS_CREATE | FSEVENTS_DELETE)
			       ? 0
			       : watch->mask & FSEVENTS_MOVE;
	if (mask & FSEVENTS_MOVE)
		return watch->mask & (FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_MOVE);
	/* Who may not slow all down is told of writing when the file is closed. */
	if (mask & FSEVENTS_CLOSE_WRITE && watch->user && watch->hub->options.tree)
		mask |= FSEVENTS_MODIFY;
	return mask & watch->mask;
}

static bool visit_wanted(struct hub_match *match, struct hub_watch *watch, bool at, bool to)
{
	match->found = hub_match_mask(watch, match->sighting) != 0;
	return !match->found;
}

bool hub_match_is_wanted(struct hub *hub, const struct hub_sighting *sighting)
{
	struct hub_match match = { .hub = hub, .sighting = sighting, .visit = visit_wanted };

	assert(hub);
	assert(sighting);

	hub_match_walk(&match);
	return match.found;
}

static bool visit_missing(struct hub_match *match, struct hub_watch *watch, bool at, bool to)
{
	const struct hub_sighting *sighting = match->sighting;

	if (!watch->user || !hub_match_mask(watch, sighting))
		return true;
	if (at && hub_verdict(match->hub, watch, sighting->at.dir, sighting->seq, match->ask) ==
			  HUB_VERDICT_MISSING)
		match->found = true;
	if (to && hub_verdict(match->hub, watch, sighting->to.dir, sighting->seq, match->ask) ==
			  HUB_VERDICT_MISSING)
		match->found = true;
	return !match->found || match->ask;
}

static bool self_is_ready(struct hub *hub, const struct hub_sighting *sighting, bool ask)
{
	/* That it is gone or elsewhere does not wait: who was told of it before is told. */
	uint32_t mask = sighting->self & ~(FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF);
	struct hub_watch *watch;
	bool ready = true;

	LIST_FOREACH(watch, &sighting->subject->watches, same)
		if (mask & watch->mask &&
		    hub_verdict_self(hub, watch, sighting->seq, ask) == HUB_VERDICT_MISSING)
			ready = false;
	return ready;
}

bool hub_match_is_ready(struct hub *hub, const struct hub_sighting *sighting, bool ask)
{
	struct hub_match match = {
		.hub = hub, .sighting = sighting, .visit = visit_missing, .ask = ask
	};

	assert(hub);
	assert(sighting);

	if (LIST_EMPTY(&hub->users))
		return true;
	hub_match_walk(&match);
	return (!sighting->subject || self_is_ready(hub, sighting, ask)) && !match.found;
}
