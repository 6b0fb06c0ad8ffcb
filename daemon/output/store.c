/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/output/store-internal.h"

#define STORE_ACCURACY_US (50 * 1000)

static void on_reply(enum pool_result result, const void *reply, size_t n_reply, void *userdata);

void store_set_timer(struct store *store, uint64_t after_us)
{
	if (store->stopping)
		return;

	(void)sd_event_source_set_time_relative(store->timer, after_us);
	(void)sd_event_source_set_enabled(store->timer, SD_EVENT_ONESHOT);
}

static void store_set_stalled(struct store *store, bool stalled)
{
	if (store->stalled == stalled)
		return;

	store->stalled = stalled;
	store->ops->stalled(stalled, store->userdata);
}

/* A disk that hangs is looked after often, so that its return is seen; asking costs nothing then. */
static uint64_t store_retry_max(enum pool_result result)
{
	if (result == POOL_STALLED || result == POOL_BLOCKED)
		return STORE_RETRY_STALLED_US;
	return STORE_RETRY_MAX_US;
}

void store_failed(struct store *store, enum pool_result result, const char *why)
{
	if (store->retry_us == 0)
		journal_log_limited(LOG_WARNING, CATALOG_STATE_UNAVAILABLE, "state",
				    "The history cannot be stored in %s: %s", store->directory,
				    why);

	store->retry_us = store->retry_us ? store->retry_us * 2 : STORE_RETRY_MIN_US;
	if (store->retry_us > store_retry_max(result))
		store->retry_us = store_retry_max(result);

	store->waiting = true;
	store_set_timer(store, store->retry_us);
}

static void store_succeeded(struct store *store)
{
	if (store->retry_us == 0)
		return;

	store->retry_us = 0;
	journal_log_limited(LOG_NOTICE, CATALOG_STATE_AVAILABLE, "state",
			    "The history is stored in %s again", store->directory);
}

static void store_commit(struct store *store)
{
	uint64_t dropped = store->appending.dropped - store->batch.dropped;

	if (dropped > 0)
		journal_log_limited(LOG_WARNING, CATALOG_STATE_LOST, "state",
				    "%" PRIu64
				    " events were given up before they could be stored in %s",
				    dropped, store->directory);

	store->batch = store->appending;
}

static const char *store_why(enum pool_result result, const void *reply, size_t n)
{
	int error;

	switch (result) {
	case POOL_STALLED:
		return "the disk does not answer";
	case POOL_BLOCKED:
		return "an earlier attempt hangs in the disk";
	case POOL_LIMIT:
		return "too many workers are running";
	case POOL_BROKEN:
		return "the worker ended early";
	case POOL_FAILED:
		if (n != sizeof(error))
			break;
		memcpy(&error, reply, sizeof(error));
		return strerror(error < 0 ? -error : error);
	case POOL_DONE:
		break;
	}

	return "unknown";
}

void store_submit(struct store *store, enum store_job job, const struct state_request *request)
{
	static const enum job_kind kinds[] = {
		[STORE_LOAD] = JOB_STATE_LOAD,	     [STORE_UNMARK] = JOB_STATE_RESERVE,
		[STORE_RESERVE] = JOB_STATE_RESERVE, [STORE_APPEND] = JOB_STATE_APPEND,
		[STORE_MARK] = JOB_STATE_RESERVE,
	};
	_cleanup_free_ void *payload = NULL;
	struct pool_submission submission = {
		.lane = POOL_LANE_STATE,
		.job = kinds[job],
		.fd = -1,
		.deadline_us = STORE_DEADLINE_US,
		.reply = on_reply,
		.userdata = store,
	};
	int r;

	r = state_request_encode(request, &payload, &submission.n_payload);
	submission.payload = payload;
	if (r == 0)
		r = pool_submit(store->pool, &submission, &store->ticket);
	if (r < 0) {
		store_failed(store, POOL_FAILED, strerror(-r));
		return;
	}

	store->job = job;
	store_set_timer(store, STORE_SLOW_US);
}

static bool store_needs_ids(const struct store *store)
{
	return store->reserved < history_next_id(store->history) + STORE_RESERVE_AHEAD / 2;
}

/* The state file of ids: reserved ahead while running, exact at the end. */
static void store_write_ids(struct store *store, enum store_job job)
{
	uint64_t next_id = history_next_id(store->history);
	struct state_request request = {
		.directory = store->directory,
		.epoch = store->epoch,
		.epoch_first_id = store->epoch_first_id,
		.reserved = job == STORE_MARK ? next_id : next_id + STORE_RESERVE_AHEAD,
		.next_id = job == STORE_MARK ? next_id : 0,
	};

	request.gaps = history_gaps(store->history, &request.n_gaps);
	store->reserving = request.reserved;
	store_submit(store, job, &request);
}

static void store_append(struct store *store)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct state_request request = {
		.directory = store->directory,
		.history_size = store->history_size,
	};

	store->appending = store->batch;
	if (batch_fill(&store->appending, store->history, &data, &request.n_frames) < 0) {
		store_failed(store, POOL_FAILED, strerror(ENOMEM));
		return;
	}

	/* All that was new is gone already. */
	if (request.n_frames == 0) {
		store_commit(store);
		return;
	}

	request.frames = data;
	store_submit(store, STORE_APPEND, &request);
}

static void store_answer_stop(struct store *store, bool marked)
{
	if (store->stopped)
		return;

	store->stopped = true;
	(void)sd_event_source_set_enabled(store->timer, SD_EVENT_OFF);
	store->ops->stopped(marked, store->userdata);
}

/* Events that cannot be stored are lost, but how many that were is known by the mark. */
static void store_close(struct store *store)
{
	if (!store->append_failed && batch_is_due(&store->batch, store->history))
		store_append(store);
	if (store->job == STORE_IDLE)
		store_write_ids(store, STORE_MARK);
	if (store->job == STORE_IDLE)
		store_answer_stop(store, false);
}

static void store_next(struct store *store)
{
	if (!store->directory || !store->history || store->stopped || store->job != STORE_IDLE)
		return;

	if (store->stopping)
		store_close(store);
	else if (store->waiting)
		return;
	else if (store_needs_ids(store))
		store_write_ids(store, STORE_RESERVE);
	else if (batch_is_due(&store->batch, store->history))
		store_append(store);
}

static void store_done(struct store *store, enum store_job job, const void *reply, size_t n_reply)
{
	switch (job) {
	case STORE_IDLE:
		break;
	case STORE_LOAD:
		store_load_done(store, reply, n_reply);
		break;
	case STORE_UNMARK:
		store->reserved = store->reserving;
		store_answer_past(store, true);
		break;
	case STORE_RESERVE:
		store->reserved = store->reserving;
		store_succeeded(store);
		break;
	case STORE_APPEND:
		store_commit(store);
		store_succeeded(store);
		break;
	case STORE_MARK:
		store_answer_stop(store, true);
		break;
	}
}

static void store_give_up(struct store *store, enum store_job job)
{
	switch (job) {
	case STORE_LOAD:
		store_answer_load(store, NULL);
		break;
	case STORE_UNMARK:
		store_answer_past(store, false);
		break;
	case STORE_APPEND:
		store->append_failed = store->stopping;
		break;
	case STORE_MARK:
		store_answer_stop(store, false);
		break;
	case STORE_IDLE:
	case STORE_RESERVE:
		break;
	}
}

static void on_reply(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct store *store = userdata;
	enum store_job job = store->job;

	store->job = STORE_IDLE;
	store->ticket = NULL;
	if (!store->stopping)
		(void)sd_event_source_set_enabled(store->timer, SD_EVENT_OFF);

	if (result == POOL_DONE) {
		store_done(store, job, reply, n_reply);
	} else {
		store_failed(store, result, store_why(result, reply, n_reply));
		store_give_up(store, job);
	}

	/* An error is an answer too. */
	if (result == POOL_STALLED || result == POOL_BLOCKED)
		store_set_stalled(store, true);
	else if (result == POOL_DONE || result == POOL_FAILED)
		store_set_stalled(store, false);

	store_next(store);
}

/* The job goes on, but its answer is of no use any more. */
static void store_abandon(struct store *store)
{
	enum store_job job = store->job;

	pool_cancel(store->ticket);
	store->ticket = NULL;
	store->job = STORE_IDLE;
	store_failed(store, POOL_STALLED, "the disk does not answer");
	store_give_up(store, job);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct store *store = userdata;

	if (store->stopping) {
		pool_cancel(store->ticket);
		store->ticket = NULL;
		store->job = STORE_IDLE;
		store_failed(store, POOL_STALLED, "the disk does not answer");
		store_answer_stop(store, false);
		return 0;
	}

	switch (store->job) {
	case STORE_IDLE:
		store->waiting = false;
		store_answer_load(store, NULL);
		store_next(store);
		break;
	case STORE_LOAD:
	case STORE_UNMARK:
		/* Not waited for, and not taken later: ids are given out from here on. */
		store_abandon(store);
		store_set_stalled(store, true);
		break;
	case STORE_RESERVE:
	case STORE_APPEND:
	case STORE_MARK:
		store_set_stalled(store, true);
		break;
	}

	return 0;
}

void store_kick(struct store *store)
{
	assert(store);

	store_next(store);
}

void store_begin(struct store *store, const struct history *history,
		 const struct store_epoch *epoch)
{
	assert(store);
	assert(history);
	assert(!store->history);
	assert(epoch && strlen(epoch->text) == STATE_EPOCH_LENGTH);

	memcpy(store->epoch, epoch->text, sizeof(store->epoch));
	store->epoch_first_id = epoch->first_id;
	store->history = history;
	store->batch.stored_id = history_newest(history);
	store->batch.amendment = history_amendment_seq(history);
	store_next(store);
}

void store_stop(struct store *store)
{
	assert(store);
	assert(!store->stopping);

	store_set_timer(store, STORE_STOP_US);
	store->stopping = true;

	if (!store->directory)
		store_answer_stop(store, false);
	else
		store_next(store);
}

uint64_t store_dropped(const struct store *store)
{
	assert(store);

	return store->batch.dropped;
}

int store_new(struct store **ret, sd_event *loop, struct pool *pool,
	      const struct store_options *options, const struct store_ops *ops, void *userdata)
{
	_cleanup_(store_freep) struct store *store = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(options);
	assert(pool || !options->directory);
	assert(ops && ops->loaded && ops->stalled && ops->stopped);

	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;

	store->loop = sd_event_ref(loop);
	store->pool = pool;
	store->history_size = options->history_size;
	store->distrust_mark = options->distrust_mark;
	store->ops = ops;
	store->userdata = userdata;

	if (options->directory) {
		store->directory = strdup(options->directory);
		if (!store->directory)
			return -ENOMEM;
	}

	r = sd_event_add_time(loop, &store->timer, CLOCK_MONOTONIC, UINT64_MAX, STORE_ACCURACY_US,
			      on_timer, store);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(store->timer, "store");

	r = sd_event_source_set_exit_on_failure(store->timer, true);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(store->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(store);
	return 0;
}

struct store *store_free(struct store *store)
{
	if (!store)
		return NULL;

	if (store->ticket)
		pool_cancel(store->ticket);
	sd_event_source_disable_unref(store->timer);
	sd_event_unref(store->loop);
	free(store->directory);
	free(store->past);
	free(store);
	return NULL;
}
