/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/history.h"
#include "daemon/core/record.h"
#include "daemon/worker/state-replay.h"
#include "daemon/worker/state.h"

struct item {
	struct record record; /* borrows from the file's bytes */
	size_t order; /* in the file */
};

struct items {
	struct item *data;
	size_t n, n_allocated;
	uint64_t last_id;
};

static void items_deinit(struct items *items)
{
	free(items->data);
}

static int items_add(struct items *items, const struct record *record)
{
	if (items->n == items->n_allocated) {
		size_t n = items->n_allocated ? items->n_allocated * 2 : 256;
		struct item *data;

		data = reallocarray(items->data, n, sizeof(*data));
		if (!data)
			return -ENOMEM;

		items->data = data;
		items->n_allocated = n;
	}

	items->data[items->n] = (struct item){
		.record = *record,
		.order = items->n,
	};
	items->n++;

	if (record->id > items->last_id)
		items->last_id = record->id;
	return 0;
}

static int items_read(struct items *items, struct record_reader *reader)
{
	struct record record;

	while (record_reader_next(reader, &record)) {
		int r;

		if (record.id == 0 || record.id >= STATE_ID_MAX)
			continue;

		r = items_add(items, &record);
		if (r < 0)
			return r;
	}

	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->record.id != y->record.id)
		return x->record.id < y->record.id ? -1 : 1;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* Known already: the amendment was written again after a write that was given up as lost. */
static bool is_known(const struct event *event, const struct details *more)
{
	char key[DETAIL_KEY_MAX + 1];
	struct detail detail, known;
	size_t offset = 0;

	if (details_next(more->data, more->n_data, &offset, &detail) != 1 ||
	    detail.n_key > DETAIL_KEY_MAX)
		return true;

	memcpy(key, detail.key, detail.n_key);
	key[detail.n_key] = '\0';
	return details_find(&event->details, key, &known);
}

/* All items of one id: the last event counts, with all amendments. */
static int restore_one(struct history *history, const struct item *items, size_t n)
{
	_cleanup_(event_deinit) struct event event = {};
	const struct item *last = NULL;
	int r;

	for (size_t i = 0; i < n; i++)
		if (items[i].record.kind == RECORD_EVENT)
			last = &items[i];
	if (!last)
		return 0;

	r = event_copy(&event, &last->record.event, true);
	if (r < 0)
		return r;

	for (size_t i = 0; i < n; i++) {
		const struct details *more = &items[i].record.more;

		if (items[i].record.kind != RECORD_AMEND || is_known(&event, more))
			continue;

		r = details_append(&event.details, more->data, more->n_data, true);
		if (r == -ENOMEM)
			return r;
	}

	return history_restore(history, &event);
}

static int restore_all(struct history *history, const struct items *items)
{
	for (size_t i = 0, end; i < items->n; i = end) {
		int r;

		for (end = i + 1; end < items->n; end++)
			if (items->data[end].record.id != items->data[i].record.id)
				break;

		r = restore_one(history, items->data + i, end - i);
		if (r < 0)
			return r;
	}

	return 0;
}

static int frame_all(const struct history *history, uint8_t **ret, size_t *ret_n)
{
	_cleanup_free_ uint8_t *frames = NULL;
	size_t n = 0, n_allocated = 0;
	const struct event *event;
	uint64_t id = 0;

	while ((event = history_after(history, id))) {
		id = event->id;

		if (n_allocated - n < RECORD_FRAME_MAX) {
			uint8_t *data;

			n_allocated = n_allocated * 2 + 2 * RECORD_FRAME_MAX;
			data = realloc(frames, n_allocated);
			if (!data)
				return -ENOMEM;
			frames = data;
		}

		n += record_frame_event(frames + n, n_allocated - n, event);
	}

	*ret = TAKE_PTR(frames);
	*ret_n = n;
	return 0;
}

void state_replay_deinit(struct state_replay *replay)
{
	free(replay->frames);
	*replay = (struct state_replay){};
}

int state_replay(struct state_replay *ret, const uint8_t *data, size_t n_data, const uint8_t *more,
		 size_t n_more, size_t history_size)
{
	struct record_reader reader = { .data = data, .n_data = n_data };
	struct record_reader reader_more = { .data = more, .n_data = n_more };
	_cleanup_(history_freep) struct history *history = NULL;
	_cleanup_(items_deinit) struct items items = {};
	struct state_replay replay = {};
	int r;

	assert(ret);
	assert(data || n_data == 0);
	assert(more || n_more == 0);

	r = items_read(&items, &reader);
	if (r == 0)
		r = items_read(&items, &reader_more);
	if (r < 0)
		return r;

	if (items.n > 0)
		qsort(items.data, items.n, sizeof(*items.data), compare);

	r = history_new(&history, history_size, items.last_id + 1);
	if (r < 0)
		return r;

	r = restore_all(history, &items);
	if (r < 0)
		return r;

	r = frame_all(history, &replay.frames, &replay.n_frames);
	if (r < 0)
		return r;

	replay.last_id = items.last_id;
	replay.n_damaged = reader.n_damaged;
	replay.torn = reader.n_damaged == n_data - reader.n_whole;
	*ret = replay;
	return 0;
}
