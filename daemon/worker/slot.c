/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/worker/pool-internal.h"

static void slot_enter(struct slot *slot, enum slot_state state)
{
	slot->state = state;
	slot->since_us = pool_now(slot->pool);
	slot->deadline_us = UINT64_MAX;
	slot->slow = slot->extended = false;
}

static void slot_finish(struct slot *slot, enum pool_result result)
{
	struct pool_ticket *ticket = TAKE_PTR(slot->ticket);

	if (ticket)
		pool_answer(slot->pool, ticket, result);
}

void slot_fail(struct slot *slot, enum pool_result result)
{
	assert(slot->state == SLOT_BUSY);

	remote_kill(slot->remote);
	slot_enter(slot, SLOT_KILLED);
	slot->pool->killed++;
	slot_finish(slot, result);
}

void slot_end(struct slot *slot)
{
	assert(slot->state == SLOT_IDLE);

	remote_kill(slot->remote);
	slot_enter(slot, SLOT_ENDED);
	slot->lane = NULL;
}

static void on_answered(int error, void *reply, size_t n_reply, void *userdata)
{
	struct slot *slot = userdata;
	struct pool_ticket *ticket = slot->ticket;

	assert(slot->state == SLOT_BUSY);

	ticket->error = error;
	ticket->bytes = reply;
	ticket->n_bytes = n_reply;
	slot_enter(slot, SLOT_IDLE);
	slot_finish(slot, error < 0 ? POOL_FAILED : POOL_DONE);
	pool_run(slot->pool);
}

static void on_broken(void *userdata)
{
	struct slot *slot = userdata;

	if (slot->state == SLOT_BUSY)
		slot_fail(slot, POOL_BROKEN);
	else
		slot_end(slot);
	pool_run(slot->pool);
}

static void on_died(void *userdata)
{
	struct slot *slot = userdata;
	struct pool *pool = slot->pool;

	slot_finish(slot, POOL_BROKEN);
	slot_free(slot);
	pool_run(pool);
}

static const struct remote_ops slot_remote_ops = {
	.answered = on_answered,
	.broken = on_broken,
	.died = on_died,
};

static void on_spawned(int error, const struct spawned *spawned, void *userdata)
{
	struct slot *slot = userdata;
	struct pool *pool = slot->pool;
	struct lane *lane = slot->lane;

	slot->spawn = NULL;
	if (error == 0) {
		error = remote_new(&slot->remote, pool->loop, spawned, &slot_remote_ops, slot);
		if (error < 0) {
			/* It ends when its socket does. */
			close(spawned->fd);
			close(spawned->pidfd);
		}
	}

	if (error < 0) {
		slot_free(slot);
		lane_fail(lane, POOL_BROKEN);
	} else {
		pool->spawned++;
		slot_enter(slot, SLOT_IDLE);
	}
	pool_run(pool);
}

int slot_new(struct lane *lane)
{
	struct slot *slot;
	int r;

	slot = calloc(1, sizeof(*slot));
	if (!slot)
		return -ENOMEM;

	slot->pool = lane->pool;
	slot->lane = lane;
	slot->kind = lane->kind;
	slot->owner_uid = lane->owner_uid;
	slot->key = lane->key;
	slot_enter(slot, SLOT_SPAWNING);

	r = spawner_request(lane->pool->spawner, on_spawned, slot, &slot->spawn);
	if (r < 0) {
		free(slot);
		return r;
	}

	TAILQ_INSERT_TAIL(&lane->pool->slots, slot, link);
	return 0;
}

struct slot *slot_free(struct slot *slot)
{
	if (!slot)
		return NULL;

	assert(!slot->ticket);

	TAILQ_REMOVE(&slot->pool->slots, slot, link);
	spawn_cancel(slot->spawn);
	remote_free(slot->remote);
	free(slot);
	return NULL;
}

void slot_start(struct slot *slot, struct pool_ticket *ticket)
{
	_cleanup_close_ int fd = TAKE_FD(ticket->fd);
	struct remote_job job = {
		.kind = ticket->job,
		.payload = ticket->payload,
		.n_payload = ticket->n_payload,
		.fd = fd,
	};

	assert(slot->state == SLOT_IDLE);

	slot_enter(slot, SLOT_BUSY);
	slot->ticket = ticket;
	slot->key = ticket->key;
	if (ticket->deadline_us > 0)
		slot->deadline_us = slot->since_us + ticket->deadline_us;
	ticket->state = TICKET_RUNNING;

	if (remote_send(slot->remote, &job) < 0)
		slot_fail(slot, POOL_BROKEN);
}

bool slot_is_blocked(const struct slot *slot, uint64_t now)
{
	return slot->state == SLOT_KILLED && now >= slot->since_us + SLOT_GRACE_US;
}

uint64_t slot_due(const struct slot *slot)
{
	uint64_t due = UINT64_MAX;

	if (slot->state == SLOT_BUSY) {
		due = slot->deadline_us;
		if (slot->kind == POOL_LANE_LOCAL && slot->lane->n_queue > 0 && !slot->slow &&
		    due > slot->since_us + POOL_SLOW_US)
			due = slot->since_us + POOL_SLOW_US;
	} else if (slot->state == SLOT_KILLED && !slot_is_blocked(slot, pool_now(slot->pool))) {
		/* Then those that wait for it are answered. */
		due = slot->since_us + SLOT_GRACE_US;
	}

	return due;
}

/* The last local worker stays: when memory is short, no fork may be needed. */
static bool slot_is_reserve(const struct slot *slot)
{
	const struct slot *other;

	if (slot->kind != POOL_LANE_LOCAL)
		return false;

	TAILQ_FOREACH(other, &slot->pool->slots, link)
		if (other != slot && other->lane == slot->lane &&
		    (other->state == SLOT_IDLE || (other->state == SLOT_BUSY && !other->slow)))
			return false;
	return true;
}

uint64_t slot_idle_due(const struct slot *slot)
{
	if (slot->state != SLOT_IDLE || slot_is_reserve(slot))
		return UINT64_MAX;
	return slot->since_us + (slot->kind == POOL_LANE_STATE ? SLOT_IDLE_STATE_US : SLOT_IDLE_US);
}

static void slot_expire_deadline(struct slot *slot, uint64_t now)
{
	/*
	 * When the whole machine stood still, or this process, the worker had
	 * no chance to answer.
	 */
	if (!slot->extended && now > slot->deadline_us + SLOT_LATE_US) {
		slot->extended = true;
		slot->deadline_us = now + SLOT_EXTENSION_US;
		return;
	}

	slot->pool->stalled++;
	slot_fail(slot, POOL_STALLED);
}

void slot_expire(struct slot *slot, uint64_t now)
{
	/* Perhaps it was answered a moment ago. */
	if (slot->state != SLOT_BUSY || slot_due(slot) > now)
		return;

	if (now >= slot->deadline_us)
		slot_expire_deadline(slot, now);
	else
		slot->slow = true;
}

struct slot *slots_find(const struct pool *pool, const struct lane *lane)
{
	struct slot *slot;

	TAILQ_FOREACH(slot, &pool->slots, link)
		if (slot->lane == lane)
			return slot;
	return NULL;
}

bool slots_hold_key(const struct pool *pool, uint64_t key, bool *ret_blocked)
{
	bool held = false, blocked = false;
	uint64_t now = 0;
	struct slot *slot;

	if (key == 0)
		return false;

	TAILQ_FOREACH(slot, &pool->slots, link) {
		if (slot->key != key || (slot->state != SLOT_KILLED && slot->state != SLOT_BUSY))
			continue;
		if (now == 0)
			now = pool_now(pool);
		held = true;
		blocked |= slot_is_blocked(slot, now);
	}

	if (held)
		*ret_blocked = blocked;
	return held;
}

static struct slot *slots_oldest_idle(struct pool *pool, const uid_t *owner_uid)
{
	struct slot *slot, *oldest = NULL;

	TAILQ_FOREACH(slot, &pool->slots, link)
		if (slot->kind == POOL_LANE_FOREIGN && slot->state == SLOT_IDLE &&
		    (!owner_uid || slot->owner_uid == *owner_uid) &&
		    (!oldest || slot->since_us < oldest->since_us))
			oldest = slot;
	return oldest;
}

bool slots_make_room(struct pool *pool, uid_t owner_uid)
{
	size_t n = 0, n_of_owner = 0;
	bool owner_full;
	struct slot *slot;

	TAILQ_FOREACH(slot, &pool->slots, link)
		if (slot->kind == POOL_LANE_FOREIGN && slot->state != SLOT_ENDED) {
			n++;
			n_of_owner += slot->owner_uid == owner_uid;
		}

	owner_full = owner_uid != 0 && n_of_owner >= POOL_FOREIGN_PER_UID;
	if (!owner_full && n < POOL_FOREIGN_MAX)
		return true;

	slot = slots_oldest_idle(pool, owner_full ? &owner_uid : NULL);
	if (!slot)
		return false;

	slot_end(slot);
	return true;
}
