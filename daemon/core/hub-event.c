/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/hub-internal.h"
#include "include/fsevents_stream.h"

#define NAMES (FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_MOVE)
#define SELVES (FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF)
/* Bits with the values that the kernel has for them. */
#define SAME                                                                                       \
	(FSEVENTS_ACCESS | FSEVENTS_MODIFY | FSEVENTS_ATTRIB | FSEVENTS_CLOSE_WRITE |              \
	 FSEVENTS_OPEN | FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_DIRECTORY)

_Static_assert(SAME == (FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_OPEN |
			FAN_CREATE | FAN_DELETE | FAN_ONDIR),
	       "they are those of the kernel");

enum outcome {
	OUTCOME_READY,
	OUTCOME_MISSING,
	OUTCOME_LOST,
};

/* What an event says in the words of its receivers. */
static uint32_t mask_of(const struct file_event *event)
{
	uint32_t mask = event->mask & SAME;

	if (event->mask & FAN_RENAME)
		mask = (mask & ~(FSEVENTS_CREATE | FSEVENTS_DELETE)) | FSEVENTS_MOVE;
	/* Both, and certain: removed last. */
	if (mask & FSEVENTS_CREATE && mask & FSEVENTS_DELETE)
		mask = (mask & ~FSEVENTS_CREATE) | FSEVENTS_MERGED;
	return mask;
}

/* What it says to those that watch the directory or file itself. */
static uint32_t self_of(const struct hub *hub, const struct file_event *event)
{
	uint32_t mask = event->mask & SAME & ~(FSEVENTS_CREATE | FSEVENTS_DELETE);

	if (!hub->options.tree)
		return mask | (event->mask & SELVES);
	if (event->mask & FAN_DELETE)
		mask |= FSEVENTS_DELETE_SELF;
	if (event->mask & FAN_RENAME)
		mask |= FSEVENTS_MOVE_SELF;
	return mask;
}

/* "#" and its number: open without a name, as O_TMPFILE makes it. */
static bool is_nameless(const struct file_event *event)
{
	char name[32];
	int n;

	if (event->at.n_name < 2 || event->at.name[0] != '#' || event->target.n == 0 ||
	    event->mask & (FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ONDIR))
		return false;
	n = snprintf(name, sizeof(name), "#%llu", (unsigned long long)handle_inode(&event->target));
	return (size_t)n == event->at.n_name && memcmp(name, event->at.name, (size_t)n) == 0;
}

static bool is_wanted(const struct hub *hub, const struct file_event *event)
{
	uint32_t mask = mask_of(event);

	if (mask & FSEVENTS_MOVE)
		mask |= NAMES | FSEVENTS_MOVE_SELF;
	if (mask & FSEVENTS_CLOSE_WRITE)
		mask |= FSEVENTS_MODIFY;
	mask |= self_of(hub, event);
	return mask & hub->mask & ~FSEVENTS_DIRECTORY && !is_nameless(event);
}

/*
 * Nobody wants to know, but what is known of directories may change. Of one that was made and
 * removed nothing else says where it was.
 */
static bool is_for_tree(struct hub *hub, const struct file_event *event)
{
	if (!hub->options.tree || !(event->mask & FAN_ONDIR))
		return false;
	if (event->mask & FAN_CREATE && event->mask & FAN_DELETE)
		return true;
	return event->mask & FAN_RENAME && node_tree_find(&hub->tree, &event->target);
}

static enum outcome outcome_of(enum hub_place found)
{
	switch (found) {
	case HUB_PLACE_FOUND:
	case HUB_PLACE_GONE:
	case HUB_PLACE_OUTSIDE:
		return OUTCOME_READY;
	case HUB_PLACE_MISSING:
		return OUTCOME_MISSING;
	case HUB_PLACE_FAILED:
		return OUTCOME_LOST;
	}
	return OUTCOME_LOST;
}

/* @mask: what happened there, as the kernel says */
static enum outcome side_find(struct hub *hub, const struct file_name *name, uint32_t mask,
			      uint64_t seq, struct hub_side *ret, bool ask)
{
	struct handle_view missing;
	struct node *node = NULL;
	enum hub_place found;

	if (name->dir.n == 0)
		return OUTCOME_READY;

	if (name->n_name > 0)
		found = hub_place(hub, &name->dir, seq, &node, &missing);
	else
		found = hub_place_parent(hub, &name->dir, seq, &node, &missing);
	if (found == HUB_PLACE_MISSING && hub_concerns_nobody(hub, &name->dir))
		return OUTCOME_READY;
	if (found == HUB_PLACE_MISSING && ask)
		hub_ask_chain(hub, &missing);
	/* In a removed directory no names change: it was there, wherever that was. */
	if (found == HUB_PLACE_GONE && hub->options.tree &&
	    mask & (FAN_CREATE | FAN_DELETE | FAN_RENAME | HUB_HALVES))
		return OUTCOME_LOST;
	if (found != HUB_PLACE_FOUND)
		return outcome_of(found);

	*ret = (struct hub_side){ node, name->name, name->n_name };
	/* Of a directory itself is told by its name in its parent; the root has none. */
	if (name->n_name == 0)
		*ret = (struct hub_side){ node->parent, node->name, node->n_name };
	return OUTCOME_READY;
}

static struct node *subject_of(struct hub *hub, const struct file_event *event)
{
	struct node *node = NULL;

	if (event->of == FILE_EVENT_OF_NAMES)
		return NULL;
	if (event->at.dir.n > 0 && event->at.n_name == 0)
		node = node_tree_find(&hub->tree, &event->at.dir);
	else if (event->target.n > 0 && (event->mask & FAN_ONDIR || !hub->options.tree))
		node = node_tree_find(&hub->tree, &event->target);
	return node && !LIST_EMPTY(&node->watches) ? node : NULL;
}

/* Fills @ret, whose directories are held until sighting_done(). */
static enum outcome sighting_init(struct hub *hub, const struct hub_pending *pending,
				  struct hub_sighting *ret, bool ask)
{
	const struct file_event *event = &pending->event;
	enum outcome at, to;

	assert(event->of == FILE_EVENT_OF_ALL || !hub->options.tree);

	*ret = (struct hub_sighting){
		.mask = mask_of(event) | (pending->early ? FSEVENTS_MERGED : 0),
		.pid = event->pid,
		.seq = pending->seq,
		.realtime_us = pending->realtime_us,
		.cookie = pending->cookie,
		.is_second = pending->is_second,
		.is_old = event->mask & FAN_RENAME && pending->doubt && pending->doubt->by_answer,
		.inode = handle_inode(event->target.n > 0 ? &event->target : &event->at.dir),
		.subject = subject_of(hub, event),
		.self = self_of(hub, event),
	};
	if (event->of == FILE_EVENT_OF_TARGET)
		return OUTCOME_READY;
	at = side_find(hub, &event->at, event->mask, pending->seq, &ret->at, ask);
	if (ret->at.dir)
		node_hold(&hub->tree, ret->at.dir);
	to = side_find(hub, &event->to, event->mask, pending->seq, &ret->to, ask);
	if (ret->to.dir)
		node_hold(&hub->tree, ret->to.dir);
	if (at == OUTCOME_LOST || to == OUTCOME_LOST)
		return OUTCOME_LOST;
	return at == OUTCOME_MISSING || to == OUTCOME_MISSING ? OUTCOME_MISSING : OUTCOME_READY;
}

static void sighting_done(struct hub *hub, struct hub_sighting *sighting)
{
	if (sighting->at.dir)
		node_release(&hub->tree, sighting->at.dir);
	if (sighting->to.dir)
		node_release(&hub->tree, sighting->to.dir);
}

/* No record names a directory that another one took the place of: that it is no more is answered. */
static bool is_removed(const struct hub *hub, const struct hub_doubt_name *name,
		       const struct node *dir)
{
	for (; dir; dir = dir->parent)
		if (dir->dead)
			return true;
	return name->error == -ESTALE && !hub_row_first(&hub->row, &name->dir);
}

/* One name of those in doubt. What it is now decides, or would if it were known. */
static enum outcome name_find(struct hub *hub, const struct hub_pending *pending,
			      struct hub_doubt_name *name, struct hub_sighting *ret, bool ask)
{
	const struct file_name at = { name->dir, name->name, name->n_name };
	/* Other names may be those of another inode, by somebody else. */
	bool is_own = name < pending->doubt->names + pending->doubt->n_own;
	uint64_t inode = is_own ? handle_inode(&pending->event.target) : 0;
	bool is_there = name->error == 0;
	enum outcome outcome;

	if (is_there && name->inode != inode)
		inode = 0;
	/* Another inode there may have come when the directory was out of sight. */
	*ret = (struct hub_sighting){
		.mask = FSEVENTS_MERGED | (is_there ? FSEVENTS_CREATE : FSEVENTS_DELETE),
		.pid = is_own ? pending->event.pid : 0,
		.seq = pending->seq,
		.realtime_us = pending->realtime_us,
		.inode = inode,
	};
	if (is_there ? name->is_directory : pending->event.mask & FAN_ONDIR)
		ret->mask |= FSEVENTS_DIRECTORY;
	if (is_own && name == &pending->doubt->names[0] && !(pending->event.mask & FAN_RENAME))
		ret->mask |= mask_of(&pending->event) & ~(NAMES | FSEVENTS_DIRECTORY);

	outcome =
		side_find(hub, &at, is_own ? pending->event.mask : 0, pending->seq, &ret->at, ask);
	/* Where another one may be by now. That it went was told with the directory. */
	if (!is_own && ret->at.dir && is_removed(hub, name, ret->at.dir))
		ret->at = (struct hub_side){};
	if (ret->at.dir)
		node_hold(&hub->tree, ret->at.dir);
	return outcome;
}

static bool doubt_is_settled(const struct hub_pending *pending)
{
	return pending->dead && pending->doubt->by_death;
}

/* Everything that has to be known of one name. */
static bool name_is_ready(struct hub *hub, const struct hub_pending *pending,
			  struct hub_doubt_name *name, bool ask)
{
	struct hub_sighting sighting;
	enum outcome outcome = name_find(hub, pending, name, &sighting, ask);
	bool ready = outcome != OUTCOME_MISSING;

	/* Either may be the answer. */
	sighting.mask |= FSEVENTS_CREATE | FSEVENTS_DELETE;
	if (outcome == OUTCOME_READY && sighting.at.dir && hub_match_is_wanted(hub, &sighting)) {
		ready = hub_match_is_ready(hub, &sighting, ask);
		if (name->error == HUB_NOT_ASKED && !doubt_is_settled(pending)) {
			ready = false;
			if (ask)
				hub_ask_entry(hub, name);
		}
	}
	sighting_done(hub, &sighting);
	return ready;
}

static bool doubt_is_ready(struct hub *hub, const struct hub_pending *pending, bool ask)
{
	bool ready = true;

	for (size_t i = 0; i < pending->doubt->n && (ready || ask); i++)
		if (!name_is_ready(hub, pending, &pending->doubt->names[i], ask))
			ready = false;
	return ready;
}

static bool is_ready(struct hub *hub, const struct hub_pending *pending,
		     const struct hub_sighting *sighting, bool ask)
{
	bool ready = true;

	if (!pending->doubt || sighting->is_old)
		ready = hub_match_is_ready(hub, sighting, ask);
	if (pending->doubt && (ready || ask) && !doubt_is_ready(hub, pending, ask))
		ready = false;
	return ready;
}

static void dir_add(struct handle_view *dirs, size_t *n, const struct handle_view *dir)
{
	for (size_t i = 0; i < *n; i++)
		if (handle_equal(&dirs[i], dir))
			return;
	if (dir->n > 0)
		dirs[(*n)++] = *dir;
}

static void lose(struct hub *hub, const struct hub_pending *pending)
{
	struct handle_view dirs[2 + HUB_WINDOW_NAMES_MAX];
	const struct hub_doubt *doubt = pending->doubt;
	size_t n = 0;

	dir_add(dirs, &n, &pending->event.at.dir);
	dir_add(dirs, &n, &pending->event.to.dir);
	for (size_t i = 0; doubt && i < doubt->n; i++)
		dir_add(dirs, &n, &doubt->names[i].dir);
	hub_lose_in(hub, pending->seq, dirs, n);
}

static void name_tell(struct hub *hub, struct hub_pending *pending, struct hub_doubt_name *name)
{
	struct hub_sighting sighting;

	if (doubt_is_settled(pending))
		name->error = -ENOENT;
	else if (name->error != HUB_NOT_ASKED)
		hub_ahead_add(hub, name);
	if (name_find(hub, pending, name, &sighting, false) != OUTCOME_READY)
		hub_lose_in(hub, pending->seq, &name->dir, 1);
	else if (!sighting.at.dir)
		;
	else if (name->error == 0 || name->error == -ENOENT || name->error == -ESTALE)
		hub_tell(hub, &sighting);
	else if (hub_match_is_wanted(hub, &sighting))
		hub_lose_in(hub, pending->seq, &name->dir, 1);
	sighting_done(hub, &sighting);
}

static void doubt_tell(struct hub *hub, struct hub_pending *pending)
{
	struct hub_doubt *doubt = pending->doubt;

	/* Of a directory, the other names may be below the place that it leaves with its own. */
	for (size_t i = doubt->n_own; i < doubt->n; i++)
		name_tell(hub, pending, &doubt->names[i]);
	for (size_t i = 0; i < doubt->n_own; i++)
		name_tell(hub, pending, &doubt->names[i]);
}

/* A watched directory that another one took the place of. */
static void tell_replaced(struct hub *hub, const struct hub_pending *pending,
			  const struct hub_sighting *sighting)
{
	const struct hub_side *to = &sighting->to;
	struct hub_sighting gone = {
		.mask = FSEVENTS_DIRECTORY,
		.pid = pending->event.pid,
		.seq = pending->seq,
		.realtime_us = pending->realtime_us,
		.self = FSEVENTS_DELETE_SELF,
	};
	struct hub_watch *watch;

	hub->n_steps += hub->n_watches;
	LIST_FOREACH(watch, &hub->watches, all) {
		struct node *node = watch->node;
		struct handle_view handle = node_handle(node);

		if (node->parent != to->dir || node->dead || node->n_name != to->n_name ||
		    memcmp(node->name, to->name, to->n_name) != 0 ||
		    handle_equal(&handle, &pending->event.target))
			continue;
		node->dead = true;
		gone.subject = node;
		gone.inode = handle_inode(&handle);
		hub_tell(hub, &gone);
	}
}

static void event_tell(struct hub *hub, struct hub_pending *pending, struct hub_sighting *sighting)
{
	if (!pending->doubt) {
		hub_tell(hub, sighting);
	} else {
		if (sighting->is_old) {
			struct hub_sighting move = *sighting;

			move.subject = NULL;
			hub_tell(hub, &move);
		}
		doubt_tell(hub, pending);
		sighting->mask = sighting->mask & FSEVENTS_DIRECTORY;
		if (sighting->subject) {
			struct hub_sighting self = *sighting;

			self.at.dir = self.to.dir = NULL;
			hub_tell(hub, &self);
		}
	}
	if (pending->event.mask & FAN_RENAME && pending->event.mask & FAN_ONDIR &&
	    !pending->is_exchange && sighting->to.dir && sighting->to.dir->n_watched > 0)
		tell_replaced(hub, pending, sighting);
}

/* Told; what it does to the tree. Return: false: the loss of what it brought in waits. */
static bool event_finish(struct hub *hub, struct hub_pending *pending)
{
	hub_place_apply(hub, pending);
	if (!pending->loses)
		return true;
	pending->n_rounds = 0;
	return hub_ignore_lose(hub, pending);
}

bool hub_event_run(struct hub *hub, struct hub_pending *pending)
{
	const struct file_event *event = &pending->event;
	struct hub_sighting sighting;
	enum outcome outcome = OUTCOME_READY;
	bool ready = true;

	assert(hub);
	assert(pending);

	if (pending->loses)
		return hub_ignore_lose(hub, pending);
	if (!is_wanted(hub, event) && !is_for_tree(hub, event) && !pending->doubt)
		return event_finish(hub, pending);
	if (hub_ahead_check(hub, pending) < 0)
		return hub_event_give_up(hub, pending);

	outcome = sighting_init(hub, pending, &sighting, false);
	if (outcome == OUTCOME_READY)
		ready = is_ready(hub, pending, &sighting, false);
	/* It was asked for and is gone: another one took its place, which no event says. */
	if (hub->options.tree && sighting.subject && sighting.subject->state == NODE_GONE &&
	    !sighting.subject->dead) {
		sighting.subject->dead = true;
		sighting.self |= FSEVENTS_DELETE_SELF;
	}
	if (outcome == OUTCOME_READY && ready)
		event_tell(hub, pending, &sighting);
	sighting_done(hub, &sighting);
	if (outcome == OUTCOME_MISSING || !ready)
		return false;
	if (outcome == OUTCOME_LOST && (is_wanted(hub, event) || pending->doubt))
		lose(hub, pending);
	return event_finish(hub, pending);
}

void hub_event_ask(struct hub *hub, struct hub_pending *pending)
{
	struct hub_sighting sighting;

	assert(hub);
	assert(pending);

	if (pending->loses) {
		hub_ignore_lose_ask(hub, pending);
		return;
	}
	if (!is_wanted(hub, &pending->event) && !is_for_tree(hub, &pending->event) &&
	    !pending->doubt)
		return;
	/* Without memory it is told as a loss when it is its turn. */
	if (hub_ahead_check(hub, pending) < 0)
		return;
	if (sighting_init(hub, pending, &sighting, true) == OUTCOME_READY)
		is_ready(hub, pending, &sighting, true);
	sighting_done(hub, &sighting);
}

bool hub_event_give_up(struct hub *hub, struct hub_pending *pending)
{
	assert(hub);
	assert(pending);

	if (pending->loses) {
		hub_ignore_lose_now(hub, pending);
		return true;
	}
	lose(hub, pending);
	return event_finish(hub, pending);
}
