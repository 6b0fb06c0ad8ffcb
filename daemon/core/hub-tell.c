/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/hub-internal.h"
#include "include/fsevents_stream.h"

#define MARKS (FSEVENTS_DIRECTORY | FSEVENTS_MERGED)

/* Written from its end to its beginning, in front of which a prefix fits. */
struct path {
	size_t start;
	bool too_long;
	char bytes[CHANGE_NAME_MAX];
};

struct teller {
	struct hub_match match; /* first: a visit knows only that */
	struct path at, to;
	bool owner_asked, has_owner;
	uid_t owner;
};

static void path_put(struct path *path, const char *bytes, size_t n)
{
	if (n > path->start) {
		path->too_long = true;
		return;
	}
	path->start -= n;
	memcpy(path->bytes + path->start, bytes, n);
}

static void path_begin(struct path *path, const struct hub_side *side)
{
	path->start = sizeof(path->bytes);
	path->too_long = false;
	if (side->dir)
		path_put(path, side->name, side->n_name);
}

/* Down from the root of @watch, with its prefix. Not of what is not below it. */
static bool path_finish(struct path *path, const struct hub_watch *watch)
{
	if (watch->prefix) {
		if (path->start < sizeof(path->bytes))
			path_put(path, "/", 1);
		path_put(path, watch->prefix, watch->n_prefix);
	}
	return !path->too_long;
}

static void path_of_node(struct path *path, const struct node *node, const struct node *root)
{
	path->start = sizeof(path->bytes);
	path->too_long = false;
	for (; node != root; node = node->parent) {
		if (path->start < sizeof(path->bytes))
			path_put(path, "/", 1);
		path_put(path, node->name, node->n_name);
	}
}

static void leave(struct hub_match *match, const struct node *node, bool at, bool to)
{
	struct teller *teller = (struct teller *)match;

	if (at) {
		path_put(&teller->at, "/", 1);
		path_put(&teller->at, node->name, node->n_name);
	}
	if (to) {
		path_put(&teller->to, "/", 1);
		path_put(&teller->to, node->name, node->n_name);
	}
}

static uint32_t pid_for(struct teller *teller, const struct hub_watch *watch)
{
	struct hub *hub = teller->match.hub;
	int32_t pid = teller->match.sighting->pid;

	if (pid <= 0)
		return 0;
	if (!watch->user)
		return (uint32_t)pid;
	if (!teller->owner_asked) {
		teller->owner_asked = true;
		teller->has_owner = hub->ops->owner(pid, &teller->owner, hub->userdata);
	}
	return teller->has_owner && teller->owner == watch->user->credential->uid ? (uint32_t)pid
										  : 0;
}

static void tell(struct teller *teller, struct hub_watch *watch, uint32_t mask,
		 const struct path *path, const struct path *former)
{
	const struct hub_sighting *sighting = teller->match.sighting;
	struct path whole, whole_former;
	struct change change = {
		.mask = mask | (sighting->mask & MARKS),
		.pid = pid_for(teller, watch),
		.realtime_us = sighting->realtime_us,
		.inode = sighting->inode,
		.cookie = mask & FSEVENTS_MOVE ? sighting->cookie : 0,
	};

	if (watch->prefix) {
		whole = *path;
		path = path_finish(&whole, watch) ? &whole : NULL;
		if (former) {
			whole_former = *former;
			former = path_finish(&whole_former, watch) ? &whole_former : NULL;
		}
	}
	if (!path || path->too_long || (mask & FSEVENTS_MOVE && (!former || former->too_long))) {
		hub_tell_lost(watch->hub, watch, NULL, 0);
		return;
	}
	change.name = path->bytes + path->start;
	change.n_name = sizeof(path->bytes) - path->start;
	if (former) {
		change.former = former->bytes + former->start;
		change.n_former = sizeof(former->bytes) - former->start;
	}
	watch->hub->n_steps += HUB_STEPS_TELL;
	watch->hub->statistics.delivered++;
	watch->hub->ops->changed(&change, watch->userdata);
}

void hub_tell_lost_near(struct hub_watch *watch, struct node *dir, uint64_t seq)
{
	struct node *node = dir;
	struct path path;

	assert(watch);
	assert(dir);

	while (node != watch->node &&
	       hub_verdict(watch->hub, watch, node, seq, false) != HUB_VERDICT_ALLOWED)
		node = node->parent;
	path_of_node(&path, node, watch->node);
	if (path_finish(&path, watch))
		hub_tell_lost(watch->hub, watch, path.bytes + path.start,
			      sizeof(path.bytes) - path.start);
	else
		hub_tell_lost(watch->hub, watch, NULL, 0);
}

/* Whether what @watch would be told of that side is to be told. */
static bool side_is_told(struct teller *teller, struct hub_watch *watch, struct node *dir,
			 bool *ret_lost)
{
	uint64_t seq = teller->match.sighting->seq;

	switch (hub_verdict(watch->hub, watch, dir, seq, false)) {
	case HUB_VERDICT_ALLOWED:
		return true;
	case HUB_VERDICT_DENIED:
		return false;
	case HUB_VERDICT_MISSING:
	case HUB_VERDICT_LOST:
		*ret_lost = true;
		hub_tell_lost_near(watch, dir, seq);
		return false;
	}
	return false;
}

/* What is below a directory comes into sight, or goes out of it, though its name does not. */
static bool is_split(const struct hub_sighting *sighting, const struct hub_watch *watch)
{
	/* Both records of an exchange in the same way, whichever is of a directory. */
	if (!(sighting->mask & FSEVENTS_DIRECTORY) && !sighting->cookie)
		return false;
	return hub_verdict_is_split(watch, sighting->at.dir, sighting->to.dir, sighting->seq);
}

static void tell_move(struct teller *teller, struct hub_watch *watch, uint32_t mask, bool at,
		      bool to)
{
	if (at && to && mask & FSEVENTS_MOVE && !is_split(teller->match.sighting, watch)) {
		tell(teller, watch, FSEVENTS_MOVE, &teller->to, &teller->at);
		return;
	}
	if (at && mask & FSEVENTS_DELETE && !teller->match.sighting->is_second)
		tell(teller, watch, FSEVENTS_DELETE, &teller->at, NULL);
	if (to && mask & FSEVENTS_CREATE)
		tell(teller, watch, FSEVENTS_CREATE, &teller->to, NULL);
}

static bool visit(struct hub_match *match, struct hub_watch *watch, bool at, bool to)
{
	struct teller *teller = (struct teller *)match;
	const struct hub_sighting *sighting = match->sighting;
	uint32_t mask = hub_match_mask(watch, sighting);
	bool lost = false;

	if (!mask)
		return true;
	at = at && side_is_told(teller, watch, sighting->at.dir, &lost);
	to = to && side_is_told(teller, watch, sighting->to.dir, &lost);
	if (lost)
		match->hub->statistics.lost++;
	else if (!at && !to)
		match->hub->statistics.denied++;
	else if (sighting->mask & FSEVENTS_MOVE)
		tell_move(teller, watch, mask, at, to);
	else
		tell(teller, watch, mask, &teller->at, NULL);
	return true;
}

static void tell_self(struct teller *teller)
{
	const struct hub_sighting *sighting = teller->match.sighting;
	struct hub_side nothing = {};
	struct hub_watch *watch;

	/* Nothing follows that it is gone, though the kernel says that its links changed. */
	if (sighting->subject->dead && !(sighting->self & FSEVENTS_DELETE_SELF))
		return;
	path_begin(&teller->at, &nothing);
	LIST_FOREACH(watch, &sighting->subject->watches, same) {
		uint32_t mask = sighting->seq > watch->since ? sighting->self & watch->mask : 0;

		if (!mask)
			continue;
		switch (hub_verdict_self(watch->hub, watch, sighting->seq, false)) {
		case HUB_VERDICT_ALLOWED:
		case HUB_VERDICT_MISSING:
			tell(teller, watch, mask, &teller->at, NULL);
			break;
		case HUB_VERDICT_DENIED:
			watch->hub->statistics.denied++;
			break;
		case HUB_VERDICT_LOST:
			watch->hub->statistics.lost++;
			hub_tell_lost(watch->hub, watch, NULL, 0);
			break;
		}
	}
}

void hub_tell(struct hub *hub, const struct hub_sighting *sighting)
{
	struct teller teller;

	assert(hub);
	assert(sighting);

	/* The paths are large and need no zeros. */
	teller.match = (struct hub_match){
		.hub = hub, .sighting = sighting, .visit = visit, .leave = leave
	};
	teller.owner_asked = false;
	path_begin(&teller.at, &sighting->at);
	path_begin(&teller.to, &sighting->to);
	hub_match_walk(&teller.match);
	if (sighting->subject)
		tell_self(&teller);
}
