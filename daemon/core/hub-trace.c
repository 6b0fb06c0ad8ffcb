/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/hub-trace.h"

#define TRACES_MIN 256

enum trace_kind {
	TRACE_NAME, /* in a directory */
	TRACE_MOVER, /* an inode */
	TRACE_TOUCH, /* this inode had that name */
};

static uint32_t *slot_of(const struct hub_window *window, uint64_t hash)
{
	size_t i = (size_t)hash_number(hash) >> 20 & (window->n_slots - 1);

	while (window->slots[i] && hub_trace_at(window, window->slots[i])->hash != hash)
		i = (i + 1) & (window->n_slots - 1);
	return &window->slots[i];
}

static int room_make(struct hub_window *window)
{
	size_t n_room = window->n_room ? 2 * window->n_room : TRACES_MIN;
	struct hub_trace *traces;
	uint32_t *slots;

	if (window->n_traces < window->n_room)
		return 0;

	slots = calloc(2 * n_room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	traces = reallocarray(window->traces, n_room, sizeof(*traces));
	if (!traces) {
		free(slots);
		return -ENOMEM;
	}
	free(window->slots);
	window->slots = slots;
	window->traces = traces;
	window->n_room = n_room;
	window->n_slots = 2 * n_room;
	for (uint32_t i = 1; i <= window->n_traces; i++)
		*slot_of(window, traces[i - 1].hash) = i;
	return 0;
}

/* Two that have the same hash of 64 bits count as one: that can only raise a doubt. */
static int trace_get(struct hub_window *window, uint64_t hash, uint32_t *ret)
{
	uint32_t *slot;
	int r;

	r = room_make(window);
	if (r < 0)
		return r;
	slot = slot_of(window, hash);
	if (!*slot) {
		window->traces[window->n_traces++] = (struct hub_trace){ .hash = hash };
		*slot = (uint32_t)window->n_traces;
	}
	*ret = *slot;
	return 0;
}

int hub_trace_mover(struct hub_window *window, const struct handle_view *target, uint32_t *ret)
{
	assert(window);
	assert(target);
	assert(ret);

	return trace_get(window, hash_number(handle_hash(target)) + TRACE_MOVER, ret);
}

static int bytes_put(struct hub_window *window, struct hub_trace *trace,
		     const struct file_name *name)
{
	size_t n = name->dir.n + name->n_name, n_room = window->n_bytes_room ?: 4096;
	char *bytes;

	while (n_room < window->n_bytes + n)
		n_room *= 2;
	if (n_room > UINT32_MAX || name->n_name > UINT16_MAX || name->dir.n > UINT8_MAX)
		return -ENOMEM;
	if (n_room != window->n_bytes_room) {
		bytes = realloc(window->bytes, n_room);
		if (!bytes)
			return -ENOMEM;
		window->bytes = bytes;
		window->n_bytes_room = n_room;
	}
	memcpy(window->bytes + window->n_bytes, name->dir.bytes, name->dir.n);
	memcpy(window->bytes + window->n_bytes + name->dir.n, name->name, name->n_name);
	trace->bytes = (uint32_t)window->n_bytes;
	trace->type = name->dir.type;
	trace->n_handle = (uint8_t)name->dir.n;
	trace->n_name = (uint16_t)name->n_name;
	window->n_bytes += n;
	return 0;
}

int hub_trace_touch(struct hub_window *window, const struct file_name *at, uint32_t mover,
		    uint32_t *ret)
{
	uint64_t hash = hash_bytes(handle_hash(&at->dir), at->name, at->n_name);
	struct hub_trace *touch;
	uint32_t name, number;
	int r;

	hash = hash_number(hash) + TRACE_NAME;
	r = trace_get(window, hash, &name);
	if (r < 0)
		return r;
	if (hub_trace_at(window, name)->n_handle == 0) {
		r = bytes_put(window, hub_trace_at(window, name), at);
		if (r < 0)
			return r;
	}
	hash = hash_number(hash ^ hub_trace_at(window, mover)->hash * 3) + TRACE_TOUCH;
	r = trace_get(window, hash, &number);
	if (r < 0)
		return r;
	touch = hub_trace_at(window, number);
	if (!touch->name) {
		touch->name = name;
		touch->mover = mover;
		touch->next = hub_trace_at(window, mover)->next;
		hub_trace_at(window, mover)->next = number;
	}
	*ret = number;
	return 0;
}
