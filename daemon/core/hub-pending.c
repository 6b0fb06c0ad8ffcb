/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/hub-internal.h"

#define CHUNK 65536
#define BUCKETS 4096

/* Events one behind the other, given back as a whole. */
struct hub_chunk {
	TAILQ_ENTRY(hub_chunk) link;
	size_t n_used, n_events;
	_Alignas(max_align_t) char bytes[];
};

void hub_row_init(struct hub_row *row)
{
	assert(row);

	*row = (struct hub_row){};
	STAILQ_INIT(&row->events);
	TAILQ_INIT(&row->chunks);
}

void hub_row_clear(struct hub_row *row)
{
	struct hub_chunk *chunk;

	assert(row);

	while (!STAILQ_EMPTY(&row->events))
		hub_row_pop(row);
	while ((chunk = TAILQ_FIRST(&row->chunks))) {
		TAILQ_REMOVE(&row->chunks, chunk, link);
		free(chunk);
	}
	free(row->buckets);
	row->buckets = NULL;
}

static struct hub_pendings *bucket_of(const struct hub_row *row, uint64_t hash)
{
	return &row->buckets[hash_number(hash) >> 40 & (BUCKETS - 1)];
}

static size_t size_of(const struct file_event *event)
{
	size_t n = sizeof(struct hub_pending);

	n += event->at.dir.n + event->at.n_name + 1;
	n += event->to.dir.n + event->to.n_name + 1;
	n += event->target.n;
	return (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

static void *memory_take(struct hub_row *row, size_t n)
{
	struct hub_chunk *chunk = TAILQ_LAST(&row->chunks, hub_chunks);
	void *memory;

	if (!chunk || chunk->n_used + n > CHUNK - sizeof(*chunk)) {
		assert(n <= CHUNK - sizeof(*chunk));
		chunk = malloc(CHUNK);
		if (!chunk)
			return NULL;
		chunk->n_used = chunk->n_events = 0;
		TAILQ_INSERT_TAIL(&row->chunks, chunk, link);
	}
	memory = chunk->bytes + chunk->n_used;
	chunk->n_used += n;
	chunk->n_events++;
	return memory;
}

/* What is oldest goes first: it is in the first chunk. */
static void memory_return(struct hub_row *row)
{
	struct hub_chunk *chunk = TAILQ_FIRST(&row->chunks);

	if (--chunk->n_events > 0)
		return;
	if (TAILQ_NEXT(chunk, link)) {
		TAILQ_REMOVE(&row->chunks, chunk, link);
		free(chunk);
	} else {
		chunk->n_used = 0;
	}
}

static void handle_copy(struct handle_view *handle, uint8_t **p)
{
	if (handle->n > 0)
		memcpy(*p, handle->bytes, handle->n);
	handle->bytes = *p;
	*p += handle->n;
}

static void name_copy(struct file_name *name, uint8_t **p)
{
	handle_copy(&name->dir, p);
	if (name->n_name > 0)
		memcpy(*p, name->name, name->n_name);
	name->name = (char *)*p;
	*p += name->n_name;
	*(*p)++ = '\0';
}

/* Directories, by which places are known, and what a death would settle. */
static bool is_to_be_found(const struct hub_pending *pending)
{
	const struct file_event *event = &pending->event;

	if (event->target.n == 0 || event->at.dir.n == 0 || event->at.n_name == 0)
		return false;
	if (event->mask & FAN_ONDIR)
		return event->mask & (FAN_CREATE | FAN_DELETE | FAN_RENAME);
	return pending->doubt && pending->doubt->by_death;
}

static int buckets_make(struct hub_row *row)
{
	if (row->buckets)
		return 0;
	row->buckets = calloc(BUCKETS, sizeof(*row->buckets));
	if (!row->buckets)
		return -ENOMEM;
	for (size_t i = 0; i < BUCKETS; i++)
		STAILQ_INIT(&row->buckets[i]);
	return 0;
}

static bool is_move(const struct file_event *event)
{
	return event->mask & FAN_RENAME && event->mask & FAN_ONDIR;
}

static bool name_equal(const struct file_name *a, const struct file_name *b)
{
	return a->n_name == b->n_name && memcmp(a->name, b->name, a->n_name) == 0 &&
	       handle_equal(&a->dir, &b->dir);
}

/* Of different directories or files, each to where the other one was. */
static bool is_inverse(const struct file_event *a, const struct file_event *b)
{
	return a->mask & FAN_RENAME && b->mask & FAN_RENAME && name_equal(&a->at, &b->to) &&
	       name_equal(&a->to, &b->at) && !handle_equal(&a->target, &b->target);
}

/*
 * Two that changed places are told as two renames, one right behind the other, or both as what is
 * there. Where the first was told already, it stays in doubt what is there.
 *
 * Return: 0 or -ENOMEM.
 */
static int exchange_mark(struct hub *hub, struct hub_pending *second)
{
	struct hub_pending *first = hub->row.last;

	if (!second->doubt || !first || first->loses || first->is_exchange ||
	    !is_inverse(&first->event, &second->event))
		return 0;
	first->is_exchange = second->is_exchange = true;
	if (first->doubt)
		return 0;
	if (!second->doubt->by_exchange) {
		first->doubt = hub_ahead_doubt(&first->event);
		return first->doubt ? 0 : -ENOMEM;
	}
	free(second->doubt);
	second->doubt = NULL;
	first->cookie = second->cookie = ++hub->last_cookie;
	second->is_second = true;
	return 0;
}

static uint64_t hash_move(const struct file_name *at, const struct file_name *to)
{
	uint64_t hash = hash_bytes(handle_hash(&at->dir), at->name, at->n_name);

	return hash_bytes(hash ^ handle_hash(&to->dir), to->name, to->n_name) | 1;
}

/*
 * Without targets, as inotify tells them, what changed places looks like what went and came back:
 * it stays in doubt what is there.
 */
static void back_mark(struct hub_row *row, struct hub_pending *second, struct hub_pending *first)
{
	const struct file_event *event = &second->event;

	if (!(event->mask & FAN_RENAME))
		return;
	if (event->target.n > 0) {
		row->last_back = 0;
		return;
	}
	/* Also of what came from outside. That something is where it leads to is certain. */
	if (event->at.dir.n > 0 && row->last_back == hash_move(&event->at, &event->to)) {
		second->back = true;
		/* The last rename, unless something else was between, or it was told already. */
		if (first && first->event.mask & FAN_RENAME && !first->loses)
			first->back = true;
	}
	row->last_back = hash_move(&event->to, &event->at);
}

int hub_row_push(struct hub *hub, struct hub_pending *pending)
{
	struct hub_row *row = &hub->row;
	size_t n = size_of(&pending->event);
	bool indexed = is_to_be_found(pending);
	struct hub_pending *copy;
	uint8_t *p;
	int r;

	assert(hub);
	assert(pending);

	if (row->n >= hub->options.n_pending_max || row->n_bytes + n > HUB_PENDING_BYTES_MAX)
		return -ENOBUFS;
	if (indexed && buckets_make(row) < 0)
		return -ENOMEM;
	r = exchange_mark(hub, pending);
	if (r < 0)
		return r;
	copy = memory_take(row, n);
	if (!copy)
		return -ENOMEM;

	*copy = *pending;
	p = (uint8_t *)(copy + 1);
	name_copy(&copy->event.at, &p);
	name_copy(&copy->event.to, &p);
	handle_copy(&copy->event.target, &p);
	back_mark(row, copy, row->last);
	STAILQ_INSERT_TAIL(&row->events, copy, link);
	row->last = copy;
	row->n++;
	row->n_moves += is_move(&copy->event);
	row->n_bytes += n;
	pending->doubt = NULL;
	copy->indexed = indexed;
	if (indexed) {
		copy->hash = handle_hash(&copy->event.target);
		STAILQ_INSERT_TAIL(bucket_of(row, copy->hash), copy, same);
	}
	return 0;
}

void hub_row_pop(struct hub_row *row)
{
	struct hub_pending *pending = STAILQ_FIRST(&row->events);

	assert(pending);

	/* It is the oldest one there, too. */
	if (pending->indexed)
		STAILQ_REMOVE_HEAD(bucket_of(row, pending->hash), same);
	STAILQ_REMOVE_HEAD(&row->events, link);
	if (row->last == pending)
		row->last = NULL;
	row->n--;
	row->n_moves -= is_move(&pending->event);
	row->n_bytes -= size_of(&pending->event);
	free(pending->doubt);
	memory_return(row);
}

struct hub_pending *hub_row_first(const struct hub_row *row, const struct handle_view *target)
{
	struct hub_pending *pending;
	uint64_t hash;

	assert(row);
	assert(target);

	if (!row->buckets || row->n == 0)
		return NULL;
	hash = handle_hash(target);
	STAILQ_FOREACH(pending, bucket_of(row, hash), same)
		if (pending->hash == hash && pending->event.mask & FAN_ONDIR && !pending->loses &&
		    handle_equal(&pending->event.target, target))
			return pending;
	return NULL;
}

void hub_row_died(struct hub_row *row, const struct handle_view *target)
{
	struct hub_pending *pending;
	uint64_t hash;

	assert(row);
	assert(target);

	if (!row->buckets || row->n == 0)
		return;
	hash = handle_hash(target);
	STAILQ_FOREACH(pending, bucket_of(row, hash), same)
		if (pending->hash == hash && !(pending->event.mask & FAN_ONDIR) &&
		    handle_equal(&pending->event.target, target))
			pending->dead = true;
}

void hub_row_drain(struct hub *hub, bool all)
{
	struct hub_pending *first;

	assert(hub);

	hub->blocked = hub->behind = false;
	while ((first = STAILQ_FIRST(&hub->row.events))) {
		if (first->event.mask & FAN_RENAME && !first->loses) {
			if (!all && !STAILQ_NEXT(first, link))
				break;
		}
		if (hub_is_spent(hub)) {
			hub->behind = true;
			return;
		}
		if (!hub_event_run(hub, first)) {
			hub->blocked = true;
			return;
		}
		hub_row_pop(&hub->row);
	}
	if (!first)
		hub_ahead_clear(&hub->ahead);
}
