/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>

#include "daemon/core/cleanup.h"
#include "daemon/held.h"

int held_push(struct held *held, const struct event *event, uint64_t count)
{
	int r;

	if (held->n_items == HELD_MAX)
		return -ENOBUFS;
	if (!held->items) {
		held->items = calloc(HELD_MAX, sizeof(*held->items));
		if (!held->items)
			return -ENOMEM;
	}

	r = event_copy(&held->items[held->n_items].event, event, false);
	if (r < 0)
		return r;
	held->items[held->n_items++].count = count;
	return 0;
}

void held_release(struct held *held,
		  void (*signal)(const struct event *event, uint64_t count, void *userdata),
		  void *userdata)
{
	__typeof__(held->items) items = TAKE_PTR(held->items);
	size_t n_items = held->n_items;

	held->n_items = 0;
	for (size_t i = 0; i < n_items; i++) {
		if (signal)
			signal(&items[i].event, items[i].count, userdata);
		event_deinit(&items[i].event);
	}
	free(items);
}
