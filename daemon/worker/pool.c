/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/worker/pool-internal.h"
#include "daemon/worker/protocol.h"

/* Replies called per wake-up, so that the loop looks at its other sources too. */
#define POOL_ANSWERS 64

#define POOL_DEADLINE_ACCURACY_US 1000
#define POOL_IDLE_ACCURACY_US 2000000

uint64_t pool_now(const struct pool *pool)
{
	struct timespec now;

	/* Not that of the event loop, which is the moment it woke up. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void pool_answer(struct pool *pool, struct pool_ticket *ticket, enum pool_result result)
{
	if (!ticket->reply) {
		ticket_free(ticket);
		return;
	}

	ticket->state = TICKET_ANSWERED;
	ticket->result = result;
	TAILQ_INSERT_TAIL(&pool->answers, ticket, link);
	(void)sd_event_source_set_enabled(pool->answering, SD_EVENT_ON);
}

static void pool_call(struct pool_ticket *ticket)
{
	const void *reply = NULL;
	size_t n_reply = 0;

	if (ticket->result == POOL_DONE) {
		reply = ticket->bytes;
		n_reply = ticket->n_bytes;
	} else if (ticket->result == POOL_FAILED) {
		reply = &ticket->error;
		n_reply = sizeof(ticket->error);
	}

	ticket->reply(ticket->result, reply, n_reply, ticket->userdata);
}

static int on_answering(sd_event_source *source, void *userdata)
{
	struct pool *pool = userdata;
	struct pool_ticket *ticket;

	for (unsigned int i = 0; i < POOL_ANSWERS; i++) {
		ticket = TAILQ_FIRST(&pool->answers);
		if (!ticket)
			break;
		/* Out of the list first: the reply may cancel others. */
		TAILQ_REMOVE(&pool->answers, ticket, link);
		pool_call(ticket);
		ticket_free(ticket);
	}

	if (TAILQ_EMPTY(&pool->answers))
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static void timer_set(sd_event_source *timer, uint64_t due)
{
	if (due == UINT64_MAX) {
		(void)sd_event_source_set_enabled(timer, SD_EVENT_OFF);
		return;
	}

	(void)sd_event_source_set_time(timer, due);
	(void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

/* Frees what has neither a queue nor a worker. */
static void pool_sweep(struct pool *pool)
{
	struct lane *lane, *next;

	for (lane = LIST_FIRST(&pool->foreign); lane; lane = next) {
		next = LIST_NEXT(lane, link);
		if (lane->n_queue == 0 && !slots_find(pool, lane))
			lane_free(lane);
	}
}

void pool_schedule(struct pool *pool)
{
	uint64_t due = UINT64_MAX, idle = UINT64_MAX;
	struct slot *slot;

	pool_sweep(pool);

	TAILQ_FOREACH(slot, &pool->slots, link) {
		uint64_t slot_due_us = slot_due(slot);
		uint64_t slot_idle_us = slot_idle_due(slot);

		if (slot_due_us < due)
			due = slot_due_us;
		if (slot_idle_us < idle)
			idle = slot_idle_us;
	}

	timer_set(pool->deadline, due);
	timer_set(pool->idle, idle);
}

void pool_run(struct pool *pool)
{
	struct lane *lane;

	lane_run(&pool->local);
	lane_run(&pool->state);
	lane_run(&pool->tasks);
	LIST_FOREACH(lane, &pool->foreign, link)
		lane_run(lane);

	pool_schedule(pool);
}

static struct slot *pool_find_due(struct pool *pool, uint64_t now)
{
	struct slot *slot;

	TAILQ_FOREACH(slot, &pool->slots, link)
		if (slot->state == SLOT_BUSY && slot_due(slot) <= now)
			return slot;
	return NULL;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct pool *pool = userdata;
	uint64_t now = pool_now(pool);
	struct slot *slot;

	while ((slot = pool_find_due(pool, now))) {
		/* An answer that is there was in time, or as good as. */
		remote_poll(slot->remote);
		slot_expire(slot, now);
	}

	pool_run(pool);
	return 0;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct pool *pool = userdata;
	uint64_t now = pool_now(pool);
	struct slot *slot;

	TAILQ_FOREACH(slot, &pool->slots, link)
		if (slot_idle_due(slot) <= now)
			slot_end(slot);

	pool_schedule(pool);
	return 0;
}

static struct lane *pool_find_foreign(struct pool *pool, uint64_t key)
{
	struct lane *lane;

	LIST_FOREACH(lane, &pool->foreign, link)
		if (lane->key == key)
			return lane;
	return NULL;
}

static struct lane *pool_lane(struct pool *pool, const struct pool_submission *submission)
{
	struct lane *lane;

	switch (submission->lane) {
	case POOL_LANE_LOCAL:
		return &pool->local;
	case POOL_LANE_STATE:
		return &pool->state;
	case POOL_LANE_TASKS:
		return &pool->tasks;
	case POOL_LANE_FOREIGN:
		break;
	}

	lane = pool_find_foreign(pool, submission->lane_key);
	if (lane)
		return lane;

	return lane_new(pool, submission->lane_key, submission->owner_uid);
}

int pool_submit(struct pool *pool, const struct pool_submission *submission,
		struct pool_ticket **ret_ticket)
{
	_cleanup_(ticket_freep) struct pool_ticket *ticket = NULL;
	struct lane *lane;
	int r;

	assert(pool);
	assert(submission);
	assert(submission->reply);
	assert(submission->lane != POOL_LANE_FOREIGN || submission->lane_key != 0);

	if (submission->n_payload > JOB_PAYLOAD_MAX)
		return -ENOBUFS;

	r = ticket_new(&ticket, pool, submission);
	if (r < 0)
		return r;

	lane = pool_lane(pool, submission);
	if (!lane)
		return -ENOMEM;

	r = lane_push(lane, ticket);
	if (r < 0)
		return r;

	if (ret_ticket)
		*ret_ticket = ticket;
	TAKE_PTR(ticket);
	lane_run(lane);
	pool_schedule(pool);
	return 0;
}

void pool_cancel(struct pool_ticket *ticket)
{
	struct pool *pool;

	if (!ticket)
		return;

	switch (ticket->state) {
	case TICKET_QUEUED:
		pool = ticket->pool;
		lane_remove(ticket->lane, ticket);
		ticket_free(ticket);
		pool_schedule(pool);
		break;
	case TICKET_RUNNING:
		ticket->reply = NULL;
		break;
	case TICKET_ANSWERED:
		TAILQ_REMOVE(&ticket->pool->answers, ticket, link);
		ticket_free(ticket);
		break;
	}
}

void pool_drop_lane(struct pool *pool, uint64_t lane_key)
{
	struct lane *lane;
	struct slot *slot;

	assert(pool);

	lane = pool_find_foreign(pool, lane_key);
	if (!lane)
		return;

	lane_fail(lane, POOL_BROKEN);
	while ((slot = slots_find(pool, lane))) {
		if (slot->state == SLOT_SPAWNING) {
			slot_free(slot);
			continue;
		}
		if (slot->state == SLOT_BUSY)
			slot_fail(slot, POOL_BROKEN);
		else if (slot->state == SLOT_IDLE)
			slot_end(slot);
		slot->lane = NULL;
	}

	pool_schedule(pool);
}

bool pool_owns_pid(const struct pool *pool, pid_t pid)
{
	struct slot *slot;

	assert(pool);

	if (pid <= 0)
		return false;
	if (pid == getpid() || pid == spawner_zygote(pool->spawner))
		return true;

	TAILQ_FOREACH(slot, &pool->slots, link)
		if (slot->remote && remote_pid(slot->remote) == pid)
			return true;
	return false;
}

void pool_statistics(const struct pool *pool, struct pool_statistics *ret)
{
	uint64_t now;
	struct slot *slot;

	assert(pool);
	assert(ret);

	now = pool_now(pool);
	*ret = (struct pool_statistics){
		.spawned = pool->spawned,
		.killed = pool->killed,
		.stalled = pool->stalled,
	};

	TAILQ_FOREACH(slot, &pool->slots, link) {
		ret->workers += slot->state <= SLOT_BUSY;
		ret->blocked += slot_is_blocked(slot, now);
	}
}

static int pool_add_timer(struct pool *pool, sd_event_source **ret, uint64_t accuracy_us,
			  sd_event_time_handler_t handler, const char *description)
{
	int r;

	r = sd_event_add_time(pool->loop, ret, CLOCK_MONOTONIC, 0, accuracy_us, handler, pool);
	if (r < 0)
		return r;

	(void)sd_event_source_set_description(*ret, description);
	/* Behind the answers that came at the same moment. */
	r = sd_event_source_set_priority(*ret, REMOTE_PRIORITY + 1);
	if (r < 0)
		return r;
	r = sd_event_source_set_exit_on_failure(*ret, true);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int pool_add_sources(struct pool *pool)
{
	int r;

	r = sd_event_add_defer(pool->loop, &pool->answering, on_answering, pool);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(pool->answering, "worker-answers");
	r = sd_event_source_set_priority(pool->answering, REMOTE_PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_exit_on_failure(pool->answering, true);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(pool->answering, SD_EVENT_OFF);
	if (r < 0)
		return r;

	r = pool_add_timer(pool, &pool->deadline, POOL_DEADLINE_ACCURACY_US, on_deadline,
			   "worker-deadlines");
	if (r < 0)
		return r;
	return pool_add_timer(pool, &pool->idle, POOL_IDLE_ACCURACY_US, on_idle, "worker-idle");
}

int pool_new(struct pool **ret, sd_event *loop, int zygote_fd)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	int r;

	assert(ret);
	assert(loop);

	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;

	pool->loop = sd_event_ref(loop);
	TAILQ_INIT(&pool->slots);
	TAILQ_INIT(&pool->answers);
	LIST_INIT(&pool->foreign);
	lane_init(&pool->local, pool, POOL_LANE_LOCAL);
	lane_init(&pool->state, pool, POOL_LANE_STATE);
	lane_init(&pool->tasks, pool, POOL_LANE_TASKS);

	r = pool_add_sources(pool);
	if (r < 0)
		return r;

	/* Last, so that a failure above leaves the socket with the caller. */
	r = spawner_new(&pool->spawner, loop, zygote_fd);
	if (r < 0)
		return r;

	/* Without it the first local job asks for one. */
	(void)slot_new(&pool->local);

	*ret = TAKE_PTR(pool);
	return 0;
}

struct pool *pool_free(struct pool *pool)
{
	struct slot *slot;
	struct lane *lane;

	if (!pool)
		return NULL;

	while ((slot = TAILQ_FIRST(&pool->slots))) {
		if (slot->remote)
			remote_kill(slot->remote);
		ticket_free(TAKE_PTR(slot->ticket));
		slot_free(slot);
	}

	while ((lane = LIST_FIRST(&pool->foreign))) {
		tickets_free(&lane->queue);
		lane_free(lane);
	}
	tickets_free(&pool->local.queue);
	tickets_free(&pool->state.queue);
	tickets_free(&pool->tasks.queue);
	tickets_free(&pool->answers);

	spawner_free(pool->spawner);
	sd_event_source_disable_unref(pool->answering);
	sd_event_source_disable_unref(pool->deadline);
	sd_event_source_disable_unref(pool->idle);
	sd_event_unref(pool->loop);
	free(pool);
	return NULL;
}
