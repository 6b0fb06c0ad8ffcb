/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/history-room.h"
#include "daemon/core/history.h"

/* Sorted by id; an evicted entry leaves its id behind until the next tidying. */
struct history_slot {
	uint64_t id;
	struct history_entry *entry;
};

struct history_change {
	uint64_t id;
	size_t offset, n; /* into the details of the event */
};

struct history {
	struct history_slot *slots;
	size_t n_slots, n_room;
	size_t first; /* no slot before this one has an entry */
	size_t n_entries;
	uint64_t next_id;
	uint64_t n_changes;
	struct history_change changes[HISTORY_AMENDMENTS];
	struct history_gap gaps[HISTORY_GAPS];
	size_t n_gaps;
	struct history_room room;
};

/* The first slot with an id above @id. */
static size_t history_search(const struct history *history, uint64_t id)
{
	size_t low = history->first, high = history->n_slots;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (history->slots[middle].id > id)
			high = middle;
		else
			low = middle + 1;
	}

	return low;
}

static struct history_slot *history_find_slot(const struct history *history, uint64_t id)
{
	size_t i = id > 0 ? history_search(history, id - 1) : history->n_slots;

	if (i == history->n_slots || history->slots[i].id != id || !history->slots[i].entry)
		return NULL;

	return &history->slots[i];
}

/* At least half of all slots are without an entry whenever this is needed. */
static void history_tidy(struct history *history)
{
	size_t n = 0;

	for (size_t i = history->first; i < history->n_slots; i++)
		if (history->slots[i].entry)
			history->slots[n++] = history->slots[i];

	history->n_slots = n;
	history->first = 0;
}

static struct history_entry *history_entry_free(struct history_entry *entry)
{
	if (!entry)
		return NULL;

	event_deinit(&entry->event);
	free(entry);
	return NULL;
}
DEFINE_FREEP(history_entry, history_entry_free)

/* @entry is out of the room already. */
static void history_drop(struct history *history, struct history_entry *entry)
{
	history_find_slot(history, entry->event.id)->entry = NULL;
	while (history->first < history->n_slots && !history->slots[history->first].entry)
		history->first++;

	history->n_entries--;
	history_entry_free(entry);
}

static void history_settle(struct history *history, enum history_class class)
{
	struct history_entry *entry;

	while ((entry = history_room_overflow(&history->room, class)))
		history_drop(history, entry);
}

int history_new(struct history **ret, size_t size, uint64_t first_id)
{
	_cleanup_(history_freep) struct history *history = NULL;

	assert(ret);
	assert(first_id > 0);

	if (size < HISTORY_SIZE_MIN)
		size = HISTORY_SIZE_MIN;
	if (size > HISTORY_SIZE_MAX)
		size = HISTORY_SIZE_MAX;

	history = calloc(1, sizeof(*history));
	if (!history)
		return -ENOMEM;

	/* Twice as many as entries, so that tidying is rare enough to cost nothing. */
	history->n_room = 2 * size;
	history->slots = calloc(history->n_room, sizeof(*history->slots));
	if (!history->slots)
		return -ENOMEM;

	history->next_id = first_id;
	history_room_init(&history->room, size);

	*ret = TAKE_PTR(history);
	return 0;
}

struct history *history_free(struct history *history)
{
	struct history_entry *entry;

	if (!history)
		return NULL;

	while ((entry = history_room_pop(&history->room)))
		history_drop(history, entry);

	assert(history->n_entries == 0);
	history_room_deinit(&history->room);
	free(history->slots);
	free(history);
	return NULL;
}

/* Adds a copy with an id above all that are kept. */
static int history_add(struct history *history, const struct event *event,
		       struct history_entry **ret)
{
	_cleanup_(history_entry_freep) struct history_entry *entry = NULL;
	int r;

	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;

	r = event_copy(&entry->event, event, true);
	if (r < 0)
		return r;

	r = history_room_add(&history->room, entry);
	if (r < 0)
		return r;

	if (history->n_slots == history->n_room)
		history_tidy(history);
	history->slots[history->n_slots++] = (struct history_slot){ event->id, entry };
	history->n_entries++;

	/* The new one stays: no budget is as small as the largest event. */
	history_settle(history, history_room_class(entry));
	*ret = TAKE_PTR(entry);
	return 0;
}

struct event *history_push(struct history *history, struct event *event)
{
	struct history_entry *entry;

	assert(history);
	assert(event);

	event->id = history->next_id++;
	if (history_add(history, event, &entry) < 0)
		return NULL;

	return &entry->event;
}

int history_restore(struct history *history, const struct event *event)
{
	struct history_entry *entry;

	assert(history);
	assert(event);

	if (event->id == 0 || event->id >= history->next_id)
		return -EINVAL;
	if (history->n_slots > 0 && event->id <= history->slots[history->n_slots - 1].id)
		return -EINVAL;

	return history_add(history, event, &entry);
}

static bool details_overlap(const struct details *a, const struct details *b)
{
	struct detail one, other;
	size_t offset = 0;

	while (details_next(b->data, b->n_data, &offset, &one) > 0) {
		size_t inner = 0;

		while (details_next(a->data, a->n_data, &inner, &other) > 0)
			if (one.n_key == other.n_key && memcmp(one.key, other.key, one.n_key) == 0)
				return true;
	}

	return false;
}

int history_amend(struct history *history, uint64_t id, const struct details *more)
{
	struct history_entry *entry;
	struct history_slot *slot;
	struct details *details;
	size_t n_before;
	int r;

	assert(history);
	assert(more);

	slot = history_find_slot(history, id);
	if (!slot)
		return -ENOENT;

	entry = slot->entry;
	details = &entry->event.details;
	if (details_overlap(details, more))
		return -EEXIST;

	n_before = details->n_data;
	r = details_append(details, more->data, more->n_data, true);
	if (r < 0)
		return r;

	history->changes[history->n_changes++ % HISTORY_AMENDMENTS] = (struct history_change){
		.id = id,
		.offset = n_before,
		.n = details->n_data - n_before,
	};

	history_room_grown(&history->room, entry);
	history_settle(history, history_room_class(entry));
	return 0;
}

uint64_t history_oldest(const struct history *history)
{
	assert(history);

	return history->n_entries > 0 ? history->slots[history->first].id : 0;
}

uint64_t history_newest(const struct history *history)
{
	assert(history);

	return history->next_id - 1;
}

uint64_t history_next_id(const struct history *history)
{
	assert(history);

	return history->next_id;
}

size_t history_length(const struct history *history)
{
	assert(history);

	return history->n_entries;
}

const struct event *history_after(const struct history *history, uint64_t id)
{
	assert(history);

	for (size_t i = history_search(history, id); i < history->n_slots; i++)
		if (history->slots[i].entry)
			return &history->slots[i].entry->event;

	return NULL;
}

bool history_gap_is_valid(const struct history_gap *gap, uint64_t after)
{
	assert(gap);

	return gap->first_id > after && gap->last_id >= gap->first_id;
}

void history_add_gap(struct history *history, const struct history_gap *gap)
{
	struct history_gap *gaps = history->gaps;

	assert(history);
	assert(gap);

	if (!history_gap_is_valid(gap,
				  history->n_gaps > 0 ? gaps[history->n_gaps - 1].last_id : 0) ||
	    gap->last_id >= history->next_id)
		return;

	/* What is between the two oldest is kept as events, or was evicted long ago. */
	if (history->n_gaps == HISTORY_GAPS) {
		gaps[1].first_id = gaps[0].first_id;
		memmove(gaps, gaps + 1, --history->n_gaps * sizeof(*gaps));
	}

	gaps[history->n_gaps++] = *gap;
}

bool history_gap_after(const struct history *history, uint64_t id, struct history_gap *ret)
{
	assert(history);
	assert(ret);

	for (size_t i = 0; i < history->n_gaps; i++)
		if (history->gaps[i].last_id > id) {
			*ret = history->gaps[i];
			return true;
		}

	return false;
}

const struct history_gap *history_gaps(const struct history *history, size_t *ret_n)
{
	assert(history);
	assert(ret_n);

	*ret_n = history->n_gaps;
	return history->gaps;
}

uint64_t history_amendment_seq(const struct history *history)
{
	assert(history);

	return history->n_changes;
}

bool history_amendment_after(const struct history *history, uint64_t seq,
			     struct history_amendment *ret)
{
	bool gap = false;

	assert(history);
	assert(ret);

	if (history->n_changes > HISTORY_AMENDMENTS &&
	    seq < history->n_changes - HISTORY_AMENDMENTS) {
		seq = history->n_changes - HISTORY_AMENDMENTS;
		gap = true;
	}

	for (; seq < history->n_changes; seq++) {
		const struct history_change *change = &history->changes[seq % HISTORY_AMENDMENTS];
		const struct history_slot *slot = history_find_slot(history, change->id);

		if (!slot)
			continue;
		*ret = (struct history_amendment){
			.seq = seq + 1,
			.id = change->id,
			.data = slot->entry->event.details.data + change->offset,
			.n_data = change->n,
			.gap = gap,
		};
		return true;
	}

	return false;
}
