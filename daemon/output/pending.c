/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/output/pending.h"

static void pending_remove(struct pending *pending, size_t i)
{
	pending->n_bytes -= pending->items[i].details.n_data;
	event_deinit(&pending->items[i]);
	memmove(pending->items + i, pending->items + i + 1,
		(pending->n_items - i - 1) * sizeof(*pending->items));
	pending->n_items--;
}

void pending_deinit(struct pending *pending)
{
	assert(pending);

	for (size_t i = 0; i < pending->n_items; i++)
		event_deinit(&pending->items[i]);
	free(pending->items);
	*pending = (struct pending){};
}

static bool pending_has_room(const struct pending *pending, const struct event *event)
{
	return pending->n_items < PENDING_EVENTS &&
	       event->details.n_data <= PENDING_BYTES - pending->n_bytes;
}

/* Drop the oldest of the least severe ones, if it is less severe than @event. */
static bool pending_make_room(struct pending *pending, const struct event *event)
{
	size_t least = 0;

	for (size_t i = 1; i < pending->n_items; i++)
		if (pending->items[i].severity < pending->items[least].severity)
			least = i;

	if (pending->n_items == 0 || pending->items[least].severity >= event->severity)
		return false;

	pending_remove(pending, least);
	return true;
}

size_t pending_push(struct pending *pending, struct event *event)
{
	size_t n_dropped = 0;

	assert(pending);
	assert(event);

	while (!pending_has_room(pending, event)) {
		n_dropped++;
		if (!pending_make_room(pending, event)) {
			event_deinit(event);
			return n_dropped;
		}
	}

	if (pending->n_items == pending->n_allocated) {
		size_t n = pending->n_allocated ? pending->n_allocated * 2 : 64;
		struct event *items;

		items = reallocarray(pending->items, n, sizeof(*items));
		if (!items) {
			event_deinit(event);
			return n_dropped + 1;
		}

		pending->items = items;
		pending->n_allocated = n;
	}

	pending->n_bytes += event->details.n_data;
	pending->items[pending->n_items++] = *event;
	*event = (struct event){};
	return n_dropped;
}
