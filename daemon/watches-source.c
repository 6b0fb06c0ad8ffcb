/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/watches-internal.h"

/*
 * Which source tells a side. The module is preferred where it is; one that runs keeps its
 * source, and where that goes, all are told a loss and go on with fanotify.
 */

int side_start(struct side *side, const struct file_events_ops *ops)
{
	static const enum file_events_kind modules[] = {
		[SIDE_TREE] = FILE_EVENTS_MODULE,
		[SIDE_SPOT] = FILE_EVENTS_MODULE_INODES,
	};
	struct file_events *events = side->volume->watches->events;
	int r = -ENOENT;

	side->ops = ops;
	side->by_module = side->changed = false;
	if (side->kind == SIDE_PATH)
		return file_events_member_new(&side->member, events, FILE_EVENTS_INOTIFY, ops,
					      side);
	if (file_events_has_module(events, side->volume->sb->type))
		r = file_events_member_new(&side->member, events, modules[side->kind], ops, side);
	side->by_module = r == 0;
	return r == 0 ? 0
		      : file_events_member_new(&side->member, events, FILE_EVENTS_FANOTIFY, ops,
					       side);
}

/* Nothing can tell it any more. */
static void side_fail(struct side *side, int error)
{
	struct anchor *anchor;

	while ((anchor = LIST_FIRST(&side->anchors))) {
		struct watched *watched = anchor->watched;

		if (anchor != watched->anchor) {
			anchor_leave(anchor);
			continue;
		}
		watched_give_up_errno(watched, error);
		/* It is refused, and freed later. */
		if (watched->anchor)
			watched_abandon(watched);
	}
	side_close(side);
}

/* As it was: who was being marked is again, who stands, too. */
static void anchor_mark_anew(struct anchor *anchor)
{
	bool asked = anchor->asked;

	if (asked)
		TAILQ_REMOVE(&anchor->side->marking, anchor, marking);
	anchor->mask = anchor->asked = 0;
	if ((!asked && !anchor->hub_watch) || anchor_mark(anchor) >= 0)
		return;
	anchor->watched->since_us = 0;
	/* One inside the tree is looked for by the retry itself. */
	if (anchor == anchor->watched->anchor)
		watched_wait(anchor->watched);
	else
		watches_retry_later(anchor->watched->watches);
}

void side_change_source(struct side *side)
{
	struct file_events *events = side->volume->watches->events;
	struct anchor *anchor;
	int r;

	assert(side->by_module);

	side->member = file_events_member_free(side->member);
	side->by_module = false;
	r = file_events_member_new(&side->member, events, FILE_EVENTS_FANOTIFY, side->ops, side);
	if (r < 0) {
		side_fail(side, r);
		return;
	}
	file_events_member_set_pause(side->member, side->pause_us);
	side->mask = side->asked = 0;
	side->n_asked = side->n_marked = 0;
	side->changed = true;
	side_forget_unmarks(side);
	hub_overflow(side->hub);
	LIST_FOREACH(anchor, &side->anchors, in_side)
		anchor_mark_anew(anchor);
}

bool anchor_is_bare(const struct anchor *anchor)
{
	uint64_t mask = anchor->side->kind == SIDE_TREE ? anchor->side->mask : anchor->mask;

	return anchor->hub_watch && mask == 0;
}

bool side_is_failed(const struct side *side, int error)
{
	if (error >= 0 || !side->by_module)
		return false;
	if (side->kind == SIDE_TREE)
		return true;
	/* Of one inode, which fanotify would not mark either, or of the worker that was to reach it. */
	return error != -ESTALE && error != -ENOMEM && error != -ENOSPC && error != -ETIMEDOUT &&
	       error != -EBUSY && error != -EDQUOT && error != -ENOBUFS;
}

void watches_set_module(struct watches *watches, bool present)
{
	assert(watches);

	watches->has_module = present;
	file_events_set_module(watches->events, present);
}

const char *watches_source(const struct watches *watches)
{
	struct watches *self = (struct watches *)watches;

	assert(watches);

	if (watches->error == 0 && !watches->off)
		return watches->has_module ? "module" : "fanotify";
	(void)snprintf(self->source_text, sizeof(self->source_text), "none: %s",
		       watches->off ? watches->off : strerror(-watches->error));
	return watches->source_text;
}
