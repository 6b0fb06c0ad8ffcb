/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/worker/pool-internal.h"

void lane_init(struct lane *lane, struct pool *pool, enum pool_lane kind)
{
	lane->pool = pool;
	lane->kind = kind;
	TAILQ_INIT(&lane->queue);
}

struct lane *lane_new(struct pool *pool, uint64_t key, uid_t owner_uid)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return NULL;

	lane_init(lane, pool, POOL_LANE_FOREIGN);
	lane->key = key;
	lane->owner_uid = owner_uid;
	LIST_INSERT_HEAD(&pool->foreign, lane, link);
	return lane;
}

struct lane *lane_free(struct lane *lane)
{
	if (!lane)
		return NULL;

	assert(TAILQ_EMPTY(&lane->queue));
	LIST_REMOVE(lane, link);
	free(lane);
	return NULL;
}

static size_t lane_queue_max(const struct lane *lane)
{
	switch (lane->kind) {
	case POOL_LANE_LOCAL:
		return LANE_LOCAL_QUEUE;
	case POOL_LANE_FOREIGN:
		return LANE_FOREIGN_QUEUE;
	case POOL_LANE_STATE:
		return LANE_STATE_QUEUE;
	case POOL_LANE_TASKS:
		return LANE_TASKS_QUEUE;
	}

	return 0;
}

int lane_push(struct lane *lane, struct pool_ticket *ticket)
{
	if (lane->n_queue >= lane_queue_max(lane))
		return -ENOBUFS;
	/* One that is larger than all still passes through an empty queue. */
	if (lane->kind == POOL_LANE_STATE && lane->n_queue > 0 &&
	    ticket->n_payload > LANE_STATE_BYTES - lane->n_bytes)
		return -ENOBUFS;

	TAILQ_INSERT_TAIL(&lane->queue, ticket, link);
	ticket->lane = lane;
	ticket->state = TICKET_QUEUED;
	lane->n_queue++;
	lane->n_bytes += ticket->n_payload;
	return 0;
}

void lane_remove(struct lane *lane, struct pool_ticket *ticket)
{
	assert(ticket->lane == lane);

	TAILQ_REMOVE(&lane->queue, ticket, link);
	ticket->lane = NULL;
	lane->n_queue--;
	lane->n_bytes -= ticket->n_payload;
}

static void lane_answer(struct lane *lane, struct pool_ticket *ticket, enum pool_result result)
{
	lane_remove(lane, ticket);
	pool_answer(lane->pool, ticket, result);
}

void lane_fail(struct lane *lane, enum pool_result result)
{
	struct pool_ticket *ticket;

	while ((ticket = TAILQ_FIRST(&lane->queue)))
		lane_answer(lane, ticket, result);
}

/*
 * The first in the queue whose filesystem no worker is stuck in: a dead disk
 * must not take one worker after the other. Those of one that cannot die are
 * answered on the way.
 */
static struct pool_ticket *lane_next(struct lane *lane)
{
	struct pool_ticket *ticket, *next;

	for (ticket = TAILQ_FIRST(&lane->queue); ticket; ticket = next) {
		bool blocked;

		next = TAILQ_NEXT(ticket, link);
		if (!slots_hold_key(lane->pool, ticket->key, &blocked))
			return ticket;
		if (blocked)
			lane_answer(lane, ticket, POOL_BLOCKED);
	}

	return NULL;
}

/* Somebody serves it, or is about to. */
static bool lane_is_served(const struct lane *lane, uint64_t now)
{
	struct slot *slot;

	TAILQ_FOREACH(slot, &lane->pool->slots, link) {
		if (slot->lane != lane)
			continue;
		if (slot->state == SLOT_SPAWNING)
			return true;
		if (slot->state != SLOT_BUSY || slot->slow)
			continue;
		if (lane->kind != POOL_LANE_LOCAL || now < slot->since_us + POOL_SLOW_US)
			return true;
		slot->slow = true;
	}

	return false;
}

/* The one that was idle last, so that the others get old enough to be ended. */
static struct slot *lane_idle(const struct lane *lane)
{
	struct slot *slot, *best = NULL;

	TAILQ_FOREACH(slot, &lane->pool->slots, link)
		if (slot->lane == lane && slot->state == SLOT_IDLE &&
		    (!best || slot->since_us > best->since_us))
			best = slot;
	return best;
}

static void lane_grow(struct lane *lane, uint64_t now)
{
	size_t n_max = lane->kind == POOL_LANE_LOCAL ? LANE_LOCAL_MAX : 1;
	size_t n = 0, n_blocked = 0;
	struct slot *slot;

	TAILQ_FOREACH(slot, &lane->pool->slots, link)
		if (slot->lane == lane) {
			n++;
			n_blocked += slot_is_blocked(slot, now);
		}

	if (n >= n_max) {
		if (n_blocked == n)
			lane_fail(lane, POOL_BLOCKED);
		return;
	}

	if (lane->kind == POOL_LANE_FOREIGN && !slots_make_room(lane->pool, lane->owner_uid)) {
		lane_fail(lane, POOL_LIMIT);
		return;
	}

	if (slot_new(lane) < 0)
		lane_fail(lane, POOL_BROKEN);
}

void lane_run(struct lane *lane)
{
	uint64_t now = pool_now(lane->pool);
	struct pool_ticket *ticket;

	while (lane->n_queue > 0 && !lane_is_served(lane, now)) {
		struct slot *slot = lane_idle(lane);

		ticket = lane_next(lane);
		if (!ticket)
			break;
		if (!slot) {
			lane_grow(lane, now);
			break;
		}

		lane_remove(lane, ticket);
		slot_start(slot, ticket);
	}
}
