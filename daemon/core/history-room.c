/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/history.h"
#include "daemon/core/history-room.h"

#define HISTORY_SHARED HISTORY_INFO /* the first class without a fixed budget */

/* The events of one class, filesystem and code. Exists while it has any. */
struct history_bucket {
	struct history_bucket *next; /* in its chain */
	enum history_class class;
	struct fs_key fs;
	enum event_code code;
	struct history_entry *oldest;
	struct history_entry *youngest;
	size_t n_entries;
	size_t position; /* in the heap of its class */
};

static enum history_class history_classify(const struct event *event)
{
	if (event->test)
		return HISTORY_TESTS;
	if (event->user_mount)
		return HISTORY_USERS;
	if (event->code == EVENT_MOUNTED || event->code == EVENT_UNMOUNTED)
		return HISTORY_MOUNTS;

	switch (event->severity) {
	case SEVERITY_INFO:
		return HISTORY_INFO;
	case SEVERITY_NOTICE:
		return HISTORY_NOTICE;
	case SEVERITY_WARNING:
		return HISTORY_WARNING;
	case SEVERITY_CRITICAL:
	case _SEVERITY_N:
		break;
	}

	/* Containers that come and go full of alarms about space must not bury broken disks. */
	if (event->code <= EVENT_THRESHOLD_ABOVE)
		return HISTORY_CRITICAL;

	return HISTORY_DAMAGE;
}

static_assert(EVENT_THRESHOLD_ABOVE == 4, "codes about space come first, and none follows them");

static size_t history_cost(const struct event *event)
{
	return 1 + event->details.n_data / HISTORY_UNIT;
}

static bool bucket_goes_first(const struct history_bucket *a, const struct history_bucket *b)
{
	if (a->n_entries != b->n_entries)
		return a->n_entries > b->n_entries;

	return a->oldest->event.id < b->oldest->event.id;
}

static void heap_place(struct history_heap *heap, struct history_bucket *bucket, size_t position)
{
	heap->items[position] = bucket;
	bucket->position = position;
}

static void heap_rise(struct history_heap *heap, struct history_bucket *bucket)
{
	size_t i = bucket->position;

	while (i > 0 && bucket_goes_first(bucket, heap->items[(i - 1) / 2])) {
		heap_place(heap, heap->items[(i - 1) / 2], i);
		i = (i - 1) / 2;
	}

	heap_place(heap, bucket, i);
}

static void heap_sink(struct history_heap *heap, struct history_bucket *bucket)
{
	size_t i = bucket->position;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= heap->n_items)
			break;
		if (child + 1 < heap->n_items &&
		    bucket_goes_first(heap->items[child + 1], heap->items[child]))
			child++;
		if (!bucket_goes_first(heap->items[child], bucket))
			break;
		heap_place(heap, heap->items[child], i);
		i = child;
	}

	heap_place(heap, bucket, i);
}

static int heap_reserve(struct history_heap *heap)
{
	size_t n_room = heap->n_room > 0 ? 2 * heap->n_room : 16;
	struct history_bucket **items;

	if (heap->n_items < heap->n_room)
		return 0;

	items = reallocarray(heap->items, n_room, sizeof(*items));
	if (!items)
		return -ENOMEM;

	heap->items = items;
	heap->n_room = n_room;
	return 0;
}

static void heap_remove(struct history_heap *heap, struct history_bucket *bucket)
{
	struct history_bucket *last = heap->items[--heap->n_items];

	if (last == bucket)
		return;

	heap_place(heap, last, bucket->position);
	heap_rise(heap, last);
	heap_sink(heap, last);
}

static struct history_bucket **room_chain(struct history_room *room, enum history_class class,
					  const struct event *event)
{
	uint64_t hash = (uint64_t)event->fs.major << 32 | event->fs.minor;

	hash = hash * 31 + event->fs.n;
	hash = hash * 31 + (uint64_t)event->code * _HISTORY_CLASS_N + class;
	hash *= 0x9e3779b97f4a7c15ULL;
	return &room->chains[hash >> 32 & (HISTORY_CHAINS - 1)];
}

static struct history_bucket *room_find_bucket(struct history_room *room, enum history_class class,
					       const struct event *event)
{
	struct history_bucket *bucket = *room_chain(room, class, event);

	while (bucket && (bucket->class != class || bucket->code != event->code ||
			  !fs_key_equal(&bucket->fs, &event->fs)))
		bucket = bucket->next;

	return bucket;
}

static int room_add_to_bucket(struct history_room *room, struct history_entry *entry)
{
	enum history_class class = history_classify(&entry->event);
	struct history_heap *heap = &room->heaps[class];
	struct history_bucket *bucket, **chain;
	int r;

	bucket = room_find_bucket(room, class, &entry->event);
	if (bucket) {
		bucket->youngest->next = entry;
		bucket->youngest = entry;
		bucket->n_entries++;
		entry->bucket = bucket;
		heap_rise(heap, bucket);
		return 0;
	}

	r = heap_reserve(heap);
	if (r < 0)
		return r;

	bucket = calloc(1, sizeof(*bucket));
	if (!bucket)
		return -ENOMEM;

	chain = room_chain(room, class, &entry->event);
	*bucket = (struct history_bucket){
		.next = *chain,
		.class = class,
		.fs = entry->event.fs,
		.code = entry->event.code,
		.oldest = entry,
		.youngest = entry,
		.n_entries = 1,
		.position = heap->n_items++,
	};
	*chain = bucket;
	entry->bucket = bucket;
	heap_rise(heap, bucket);
	return 0;
}

static void room_free_bucket(struct history_room *room, struct history_bucket *bucket)
{
	struct history_bucket **p;

	heap_remove(&room->heaps[bucket->class], bucket);

	p = room_chain(room, bucket->class,
		       &(struct event){ .fs = bucket->fs, .code = bucket->code });
	while (*p != bucket)
		p = &(*p)->next;
	*p = bucket->next;
	free(bucket);
}

void history_room_init(struct history_room *room, size_t size)
{
	assert(room);
	assert(size >= HISTORY_SIZE_MIN);

	*room = (struct history_room){ .shared = size - HISTORY_TEST_BUDGET - 2 * (size / 8) };
	room->heaps[HISTORY_TESTS].budget = HISTORY_TEST_BUDGET;
	room->heaps[HISTORY_USERS].budget = size / 8;
	room->heaps[HISTORY_MOUNTS].budget = size / 8;
}

static_assert(HISTORY_SIZE_MIN / 8 > 1 + DETAILS_MAX / HISTORY_UNIT,
	      "the smallest budget takes more than one event of any size");

void history_room_deinit(struct history_room *room)
{
	assert(room);

	for (unsigned int class = 0; class < _HISTORY_CLASS_N; class ++) {
		assert(room->heaps[class].n_items == 0);
		assert(room->heaps[class].cost == 0);
		free(room->heaps[class].items);
	}
}

enum history_class history_room_class(const struct history_entry *entry)
{
	assert(entry && entry->bucket);

	return entry->bucket->class;
}

int history_room_add(struct history_room *room, struct history_entry *entry)
{
	int r;

	assert(room);
	assert(entry && !entry->bucket && !entry->next);

	r = room_add_to_bucket(room, entry);
	if (r < 0)
		return r;

	entry->cost = history_cost(&entry->event);
	room->heaps[entry->bucket->class].cost += entry->cost;
	return 0;
}

void history_room_grown(struct history_room *room, struct history_entry *entry)
{
	size_t cost = history_cost(&entry->event);

	room->heaps[entry->bucket->class].cost += cost - entry->cost;
	entry->cost = cost;
}

/* The oldest of the bucket on top. */
static struct history_entry *room_take(struct history_room *room, enum history_class class)
{
	struct history_heap *heap = &room->heaps[class];
	struct history_bucket *bucket = heap->items[0];
	struct history_entry *entry = bucket->oldest;

	heap->cost -= entry->cost;

	if (!entry->next) {
		room_free_bucket(room, bucket);
	} else {
		bucket->oldest = entry->next;
		bucket->n_entries--;
		heap_sink(heap, bucket);
	}

	entry->bucket = NULL;
	entry->next = NULL;
	return entry;
}

struct history_entry *history_room_overflow(struct history_room *room, enum history_class class)
{
	const struct history_heap *heaps = room->heaps;
	enum history_class largest = HISTORY_SHARED;
	size_t cost = 0;

	if (class < HISTORY_SHARED)
		return heaps[class].cost > heaps[class].budget ? room_take(room, class) : NULL;

	for (class = HISTORY_SHARED; class < _HISTORY_CLASS_N; class ++) {
		cost += heaps[class].cost;
		if (heaps[class].cost > heaps[largest].cost)
			largest = class;
	}

	return cost > room->shared ? room_take(room, largest) : NULL;
}

struct history_entry *history_room_pop(struct history_room *room)
{
	for (unsigned int class = 0; class < _HISTORY_CLASS_N; class ++)
		if (room->heaps[class].n_items > 0)
			return room_take(room, (enum history_class) class);

	return NULL;
}
