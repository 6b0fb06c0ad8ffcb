/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/hub-internal.h"
#include "daemon/core/hub-trace.h"

#define TRACES_KEPT 4096 /* a table that was larger is given back */

void hub_window_deinit(struct hub_window *window)
{
	assert(window);

	free(window->traces);
	free(window->slots);
	free(window->bytes);
	*window = (struct hub_window){};
}

void hub_window_clear(struct hub_window *window)
{
	assert(window);

	if (window->n_room > TRACES_KEPT) {
		bool hushed = window->hushed;

		hub_window_deinit(window);
		window->hushed = hushed;
		return;
	}
	if (window->n_traces > 0)
		memset(window->slots, 0, window->n_slots * sizeof(*window->slots));
	window->n_traces = 0;
	window->n_bytes = 0;
	window->n_records = 0;
	window->last[0] = 0;
	window->kept = false;
}

void hub_window_emptied(struct hub_window *window)
{
	assert(window);

	/* Both renames of an exchange come at once, but not in one step. */
	if (window->last[0] && !window->kept)
		window->kept = true;
	else
		hub_window_clear(window);
}

static bool name_is_doubtful(const struct hub_window *window, const struct hub_trace *name)
{
	return name->flags & TRACE_DOUBT ||
	       (name->mover && !(hub_trace_at(window, name->mover)->flags & TRACE_DEAD));
}

/* What one record means. */
struct note {
	uint32_t mover, touches[2]; /* 0: none */
	uint32_t doubted[2]; /* movers, that are from now on */
	size_t n_touches, n_doubted;
	bool doubt; /* the record itself */
	bool by_death; /* it is certain once its inode is gone */
	bool unseen; /* where it was, it may be again */
	bool by_exchange; /* it is certain if it is told together with the one before */
};

static void mover_doubt(struct hub_window *window, struct note *note, uint32_t mover)
{
	if (hub_trace_at(window, mover)->flags & TRACE_DOUBT)
		return;
	hub_trace_at(window, mover)->flags |= TRACE_DOUBT;
	note->doubted[note->n_doubted++] = mover;
}

/* Its links changed, or may have. */
static bool is_loose(const struct hub_window *window, const struct hub_trace *mover)
{
	return mover->flags & TRACE_LOOSE || (window->hushed && !(mover->flags & TRACE_DEAD));
}

static void note_left(struct hub_window *window, struct note *note, struct hub_trace *touch)
{
	struct hub_trace *name = hub_trace_at(window, touch->name);

	if (!note->by_exchange) {
		if (name->flags & TRACE_FREE || (name->next && name->next != note->mover))
			note->doubt = true;
		name->flags |= TRACE_FREE;
		name->next = 0;
	}
	if (name->name) {
		struct hub_trace *maker = hub_trace_at(window, name->name);

		hub_trace_at(window, maker->mover)->flags |= TRACE_RETURN;
		if (is_loose(window, hub_trace_at(window, maker->mover)))
			mover_doubt(window, note, maker->mover);
	}
	touch->flags |= TRACE_LEFT;
}

static void note_came(struct hub_window *window, struct note *note, uint32_t number, bool made)
{
	struct hub_trace *touch = hub_trace_at(window, number);
	struct hub_trace *name = hub_trace_at(window, touch->name);

	if (made && name->next)
		note->doubt = true;
	name->flags &= (uint8_t)~TRACE_FREE;
	name->next = note->mover;
	if (touch->flags & TRACE_LEFT)
		mover_doubt(window, note, note->mover);
	if (made)
		name->name = number;
}

/* Made and removed, in one record: the order is not known. */
static void note_both(struct hub_window *window, struct note *note, struct hub_trace *touch)
{
	struct hub_trace *name = hub_trace_at(window, touch->name);
	struct hub_trace *mover = hub_trace_at(window, touch->mover);

	mover->flags |= TRACE_RETURN;
	note->by_death = !name_is_doubtful(window, name) && !(mover->flags & TRACE_DOUBT);
	if (name_is_doubtful(window, name))
		name->flags |= TRACE_DOUBT;
	touch->flags |= TRACE_LEFT;
	name->flags &= (uint8_t)~TRACE_FREE;
	name->next = 0;
	name->name = note->touches[0];
	if (mover->flags & TRACE_DEAD)
		return;
	name->mover = touch->mover;
	note->doubt = true;
	if (is_loose(window, mover))
		mover_doubt(window, note, touch->mover);
}

static int note_touches(struct hub_window *window, struct note *note,
			const struct file_event *event)
{
	const struct file_name *names[] = { &event->at, &event->to };
	int r;

	for (size_t i = 0; i < 2; i++) {
		if (names[i]->dir.n == 0 || names[i]->n_name == 0)
			continue;
		r = hub_trace_touch(window, names[i], note->mover, &note->touches[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void note_rename(struct hub_window *window, struct note *note)
{
	uint32_t at = note->touches[0], to = note->touches[1];
	uint32_t at_name = at ? hub_trace_at(window, at)->name : 0;
	uint32_t to_name = to ? hub_trace_at(window, to)->name : 0;

	note->by_exchange = at && to && window->last[0] && window->last[0] != note->mover &&
			    window->last[1] == to_name && window->last[2] == at_name;
	if (at)
		note_left(window, note, hub_trace_at(window, at));
	if (at && note->unseen) {
		hub_trace_at(window, note->mover)->flags |= TRACE_RETURN;
		if (is_loose(window, hub_trace_at(window, note->mover)))
			mover_doubt(window, note, note->mover);
	}
	if (at && window->hushed)
		hub_trace_at(window, at)->flags |= TRACE_FROM;
	if (to && window->hushed)
		hub_trace_at(window, to)->flags |= TRACE_TO;
	if (to)
		note_came(window, note, to, false);
	window->last[0] = note->by_exchange ? 0 : note->mover;
	window->last[1] = at_name;
	window->last[2] = to_name;
}

/* Alone, and of a rename that was told before it. */
static bool half_is_known(struct hub_window *window, const struct note *note,
			  const struct file_event *event)
{
	uint8_t flag = event->mask == FAN_MOVED_FROM ? TRACE_FROM
		       : event->mask == FAN_MOVED_TO ? TRACE_TO
						     : 0;
	struct hub_trace *touch;

	if (!note->touches[0])
		return false;
	touch = hub_trace_at(window, note->touches[0]);
	if (!(touch->flags & flag))
		return false;
	touch->flags &= (uint8_t)~flag;
	return true;
}

static void note_names(struct hub_window *window, struct note *note, const struct file_event *event)
{
	uint32_t at = note->touches[0];
	bool is_directory = event->mask & FAN_ONDIR;

	if (event->mask & FAN_RENAME) {
		note_rename(window, note);
	} else if (at && event->mask & FAN_CREATE && event->mask & FAN_DELETE && !is_directory) {
		note_both(window, note, hub_trace_at(window, at));
	} else if (at) {
		/* A directory that was removed does not come back. */
		if (event->mask & FAN_CREATE)
			note_came(window, note, at, true);
		if (event->mask & FAN_DELETE)
			note_left(window, note, hub_trace_at(window, at));
	}

	if (hub_trace_at(window, note->mover)->flags & TRACE_DOUBT || note->n_doubted > 0) {
		note->doubt = true;
		note->by_death = false;
	}
	for (size_t i = 0; i < 2; i++) {
		const struct hub_trace *name;

		if (!note->touches[i])
			continue;
		name = hub_trace_at(window, hub_trace_at(window, note->touches[i])->name);
		if (name->flags & TRACE_DOUBT ||
		    (name->mover != note->mover && name_is_doubtful(window, name)))
			note->doubt = true;
	}
	/* What was doubted anyway is not settled by that. */
	if (note->doubt)
		note->by_exchange = false;
	else
		note->doubt = note->by_exchange;
}

static void note_links(struct hub_window *window, struct note *note, const struct file_event *event)
{
	struct hub_trace *mover = hub_trace_at(window, note->mover);

	if (event->mask & FAN_DELETE_SELF) {
		mover->flags = (uint8_t)((mover->flags & ~TRACE_LOOSE) | TRACE_DEAD);
		return;
	}
	if (mover->flags & TRACE_DEAD)
		return;
	mover->flags |= TRACE_LOOSE;
	if (mover->flags & TRACE_RETURN) {
		mover_doubt(window, note, note->mover);
		note->doubt = true;
	}
}

/* The names that @note makes doubtful, each once. Return: their number. */
static size_t note_collect(struct hub_window *window, const struct note *note, uint32_t *ret,
			   size_t *ret_n_own)
{
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (note->touches[i])
			ret[n++] = hub_trace_at(window, note->touches[i])->name;
	if (n == 2 && ret[0] == ret[1])
		n = 1;
	*ret_n_own = n;

	for (size_t i = 0; i < note->n_doubted; i++)
		for (uint32_t t = hub_trace_at(window, note->doubted[i])->next;
		     t && n < HUB_WINDOW_NAMES_MAX; t = hub_trace_at(window, t)->next) {
			uint32_t name = hub_trace_at(window, t)->name;
			bool there = false;

			for (size_t k = 0; k < n && !there; k++)
				there = ret[k] == name;
			if (!there)
				ret[n++] = name;
		}
	if (!note->by_death && !note->by_exchange)
		for (size_t i = 0; i < n; i++)
			hub_trace_at(window, ret[i])->flags |= TRACE_DOUBT;
	return n;
}

static int doubt_new(struct hub_window *window, const struct note *note, struct hub_doubt **ret)
{
	uint32_t names[HUB_WINDOW_NAMES_MAX];
	size_t n_own, n = note_collect(window, note, names, &n_own), n_bytes = 0;
	struct hub_doubt *doubt;
	char *p;

	for (size_t i = 0; i < n; i++)
		n_bytes += hub_trace_at(window, names[i])->n_handle +
			   (size_t)hub_trace_at(window, names[i])->n_name;
	doubt = calloc(1, sizeof(*doubt) + n * sizeof(doubt->names[0]) + n_bytes);
	if (!doubt)
		return -ENOMEM;

	doubt->n = n;
	doubt->n_own = n_own;
	doubt->by_death = note->by_death;
	doubt->by_exchange = note->by_exchange;
	p = (char *)(doubt->names + n);
	for (size_t i = 0; i < n; i++) {
		const struct hub_trace *name = hub_trace_at(window, names[i]);
		size_t n_name = name->n_handle + (size_t)name->n_name;

		memcpy(p, window->bytes + name->bytes, n_name);
		doubt->names[i] = (struct hub_doubt_name){
			.dir = { name->type, name->n_handle, (const uint8_t *)p },
			.name = p + name->n_handle,
			.n_name = name->n_name,
			.error = HUB_NOT_ASKED,
		};
		p += n_name;
	}
	*ret = doubt;
	return 0;
}

int hub_window_note(struct hub_window *window, const struct file_event *event, bool unseen,
		    struct hub_doubt **ret)
{
	bool named = event->mask & (FAN_CREATE | FAN_DELETE | FAN_RENAME | HUB_HALVES);
	struct note note = { .unseen = unseen };
	int r;

	assert(window);
	assert(event);
	assert(ret);

	*ret = NULL;
	if (event->target.n == 0 || (event->mask & FAN_ONDIR && !named))
		return 0;
	/* A change of the links of a file has no name. */
	if (!named && (event->at.dir.n > 0 || !(event->mask & (FAN_ATTRIB | FAN_DELETE_SELF))))
		return 0;

	if (window->n_records++ >= HUB_WINDOW_MAX)
		hub_window_clear(window);
	if (!(event->mask & (FAN_RENAME | HUB_HALVES)))
		window->last[0] = 0;
	r = hub_trace_mover(window, &event->target, &note.mover);
	if (r < 0)
		return r;
	if (named) {
		r = note_touches(window, &note, event);
		if (r < 0)
			return r;
		if (event->mask & HUB_HALVES && half_is_known(window, &note, event))
			return HUB_WINDOW_KNOWN;
		if (event->mask & HUB_HALVES)
			mover_doubt(window, &note, note.mover);
		note_names(window, &note, event);
	} else {
		note_links(window, &note, event);
	}
	return note.doubt ? doubt_new(window, &note, ret) : 0;
}
