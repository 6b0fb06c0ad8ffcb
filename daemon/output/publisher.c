/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "daemon/core/coalesce.h"
#include "daemon/core/rate.h"
#include "daemon/output/audience.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/output/pending.h"
#include "daemon/output/publisher.h"
#include "daemon/output/store.h"
#include "daemon/output/succession.h"

#define PUBLISHER_ACCURACY_US 10000

/* A signal besides its details: header, path, names, fixed arguments. */
#define SIGNAL_FIXED 320
/* A pair of a{sv} besides its bytes: lengths, signature, padding. */
#define SIGNAL_PAIR 24

struct publisher {
	sd_event *loop;
	const struct publisher_ops *ops;
	void *userdata;
	struct succession_options succession;

	struct history *history;
	struct store *store;
	struct audience *audience;
	struct coalesce *coalesce;
	struct rate *rate;
	sd_event_source *timer; /* of the coalescer, runs only while something waits there */

	bool ready;
	bool stopping;
	struct pending pending; /* until then */
	char epoch[STATE_EPOCH_LENGTH + 1];
	uint64_t epoch_first_id;

	uint64_t events, signals, pending_dropped;
};

static uint64_t publisher_now(const struct publisher *publisher)
{
	uint64_t now_us = 0;

	(void)sd_event_now(publisher->loop, CLOCK_MONOTONIC, &now_us);
	return now_us;
}

/* Bytes of the signal on the bus, rather too many. */
static size_t signal_size(const struct event *event)
{
	size_t size = SIGNAL_FIXED, offset = 0;
	struct detail detail;

	while (details_next(event->details.data, event->details.n_data, &offset, &detail) == 1)
		if (!(detail.flags & DETAIL_PRIVATE))
			size += SIGNAL_PAIR + detail.n_key + detail.n_value;

	return size;
}

/* The coalescer dropped what is private; the history has it, unless it is gone there. */
static void publisher_tell(struct publisher *publisher, const struct event *event, uint64_t count)
{
	const struct event *kept = history_after(publisher->history, event->id - 1);

	journal_event(kept && kept->id == event->id ? kept : event, count);
	publisher->signals++;
	publisher->ops->signal(event, count, publisher->userdata);
}

static void publisher_flush(struct publisher *publisher)
{
	uint64_t now_us = publisher_now(publisher), due_us, count;
	struct event event;

	while (coalesce_pop(publisher->coalesce, now_us, &event, &count)) {
		publisher_tell(publisher, &event, count);
		event_deinit(&event);
	}

	due_us = coalesce_due(publisher->coalesce);
	if (due_us == UINT64_MAX) {
		(void)sd_event_source_set_enabled(publisher->timer, SD_EVENT_OFF);
		return;
	}

	(void)sd_event_source_set_time(publisher->timer, due_us);
	(void)sd_event_source_set_enabled(publisher->timer, SD_EVENT_ONESHOT);
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct publisher *publisher = userdata;

	publisher_flush(publisher);
	return 0;
}

static void publisher_kick(struct publisher *publisher)
{
	store_kick(publisher->store);
	audience_kick(publisher->audience);
}

/* Takes @event over. */
static uint64_t publisher_take(struct publisher *publisher, struct event *event)
{
	uint64_t id;

	(void)history_push(publisher->history, event);
	id = event->id;
	publisher->events++;
	if (publisher->ops->numbered)
		publisher->ops->numbered(event, publisher->userdata);

	(void)coalesce_push(publisher->coalesce, publisher_now(publisher), event,
			    signal_size(event));
	event_deinit(event);

	publisher_kick(publisher);
	publisher_flush(publisher);
	return id;
}

uint64_t publisher_publish(struct publisher *publisher, struct event *event)
{
	struct event e = *event;
	uint64_t suppressed;

	assert(publisher);
	assert(event);

	*event = (struct event){};

	/* The mark of the end has the next id: none is given out any more. */
	if (publisher->stopping) {
		event_deinit(&e);
		return 0;
	}

	if (!rate_take(publisher->rate, publisher_now(publisher), &e, &suppressed)) {
		event_deinit(&e);
		return 0;
	}
	if (suppressed > 0)
		(void)details_add_u64(&e.details, "suppressed", suppressed, 0);

	if (!publisher->ready) {
		publisher->pending_dropped += pending_push(&publisher->pending, &e);
		return 0;
	}

	return publisher_take(publisher, &e);
}

void publisher_amend(struct publisher *publisher, uint64_t id, const struct details *more)
{
	const struct event *event;

	assert(publisher);
	assert(more);

	if (id == 0 || history_amend(publisher->history, id, more) < 0)
		return;

	event = history_after(publisher->history, id - 1);
	if (event && event->id == id)
		journal_amend(event, more);

	publisher_kick(publisher);
}

static void publisher_log_past(const struct state_loaded *loaded)
{
	if (loaded && (loaded->n_damaged > 0 || loaded->kept_aside))
		journal_log(LOG_WARNING, CATALOG_STATE_DAMAGED,
			    "The stored history was damaged, what was whole is kept%s",
			    loaded->kept_aside ? ", and a copy of the damaged file" : "");

	if (!loaded || (!loaded->epoch[0] && loaded->last_id > 0))
		journal_log(
			LOG_NOTICE, CATALOG_HISTORY_RESET,
			"The ids of events could not be continued: clients read the history anew");
}

static void on_loaded(const struct state_loaded *loaded, void *userdata)
{
	struct publisher *publisher = userdata;
	struct store_epoch epoch = { .text = publisher->epoch };
	struct succession succession;
	struct pending pending;

	if (succession_begin(&succession, loaded, &publisher->succession) < 0) {
		/* At start, without memory for a table: nothing works then. */
		(void)sd_event_exit(publisher->loop, -ENOMEM);
		return;
	}

	publisher_log_past(loaded);

	history_free(publisher->history);
	publisher->history = succession.history;
	memcpy(publisher->epoch, succession.epoch, sizeof(publisher->epoch));
	publisher->epoch_first_id = succession.epoch_first_id;

	epoch.first_id = publisher->epoch_first_id;
	audience_begin(publisher->audience, publisher->history);
	store_begin(publisher->store, publisher->history, &epoch);

	publisher->ops->ready(publisher->userdata);
	publisher->ready = true;

	pending = publisher->pending;
	publisher->pending = (struct pending){};
	if (publisher->stopping)
		publisher->pending_dropped += pending.n_items;
	for (size_t i = 0; i < pending.n_items && !publisher->stopping; i++)
		(void)publisher_take(publisher, &pending.items[i]);
	pending_deinit(&pending);
}

static void on_stalled(bool stalled, void *userdata)
{
	struct publisher *publisher = userdata;

	if (publisher->ops->state_stalled)
		publisher->ops->state_stalled(stalled, publisher->userdata);
}

static void on_stopped(bool marked, void *userdata)
{
	struct publisher *publisher = userdata;

	if (publisher->ops->stopped)
		publisher->ops->stopped(publisher->userdata);
}

static const struct store_ops publisher_store_ops = {
	.loaded = on_loaded,
	.stalled = on_stalled,
	.stopped = on_stopped,
};

static int publisher_build(struct publisher *publisher, struct pool *pool,
			   const struct publisher_options *options)
{
	const struct store_options store = {
		.directory = options->state_directory,
		.history_size = options->history_size,
		.distrust_mark = options->ended_abruptly,
	};
	int r;

	/* Empty, for whoever looks into it before the past is known. */
	r = history_new(&publisher->history, 0, 1);
	if (r < 0)
		return r;

	r = coalesce_new(&publisher->coalesce);
	if (r < 0)
		return r;

	r = rate_new(&publisher->rate);
	if (r < 0)
		return r;

	r = audience_new(&publisher->audience, publisher->loop, options->quota);
	if (r < 0)
		return r;

	r = store_new(&publisher->store, publisher->loop, pool, &store, &publisher_store_ops,
		      publisher);
	if (r < 0)
		return r;

	r = sd_event_add_time(publisher->loop, &publisher->timer, CLOCK_MONOTONIC, UINT64_MAX,
			      PUBLISHER_ACCURACY_US, on_due, publisher);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(publisher->timer, "coalesce");

	r = sd_event_source_set_enabled(publisher->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	return sd_event_source_set_exit_on_failure(publisher->timer, true);
}

int publisher_new(struct publisher **ret, sd_event *loop, struct pool *pool,
		  const struct publisher_options *options, const struct publisher_ops *ops,
		  void *userdata)
{
	_cleanup_(publisher_freep) struct publisher *publisher = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(options && options->quota);
	assert(ops && ops->signal && ops->ready);

	publisher = calloc(1, sizeof(*publisher));
	if (!publisher)
		return -ENOMEM;

	publisher->loop = sd_event_ref(loop);
	publisher->ops = ops;
	publisher->userdata = userdata;
	publisher->succession = (struct succession_options){
		.history_size = options->history_size,
		.skip_past = options->skip_past,
	};

	r = publisher_build(publisher, pool, options);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(publisher);
	return 0;
}

int publisher_start(struct publisher *publisher)
{
	assert(publisher);

	return store_start(publisher->store);
}

void publisher_stop(struct publisher *publisher)
{
	assert(publisher);

	if (publisher->stopping)
		return;

	publisher->stopping = true;
	store_stop(publisher->store);
}

struct publisher *publisher_free(struct publisher *publisher)
{
	if (!publisher)
		return NULL;

	sd_event_source_disable_unref(publisher->timer);
	/* Both read the history. */
	store_free(publisher->store);
	audience_free(publisher->audience);
	coalesce_free(publisher->coalesce);
	rate_free(publisher->rate);
	history_free(publisher->history);
	pending_deinit(&publisher->pending);
	sd_event_unref(publisher->loop);
	free(publisher);
	return NULL;
}

const struct history *publisher_history(const struct publisher *publisher)
{
	assert(publisher);

	return publisher->history;
}

const char *publisher_epoch(const struct publisher *publisher)
{
	assert(publisher);

	return publisher->epoch;
}

uint64_t publisher_epoch_first_id(const struct publisher *publisher)
{
	assert(publisher);

	return publisher->epoch_first_id;
}

int publisher_open_stream(struct publisher *publisher, uint64_t since_id, bool private, uid_t uid,
			  const char *owner, int *ret_fd)
{
	const struct audience_member member = { .uid = uid, .owner = owner };
	const struct stream_options options = {
		.since_id = since_id,
		.first_id = publisher->epoch_first_id,
		.private = private,
		.epoch = publisher->epoch,
	};
	int r;

	assert(owner);
	assert(ret_fd);

	if (!publisher->ready)
		return -EAGAIN;

	r = audience_open(publisher->audience, &member, &options, ret_fd);
	return r == AUDIENCE_E_LIMIT ? PUBLISHER_E_LIMIT : r;
}

void publisher_owner_gone(struct publisher *publisher, const char *owner)
{
	assert(publisher);
	assert(owner);

	audience_owner_gone(publisher->audience, owner);
}

void publisher_statistics(const struct publisher *publisher, struct publisher_statistics *ret)
{
	struct audience_statistics audience;
	struct coalesce_statistics coalesce;

	assert(publisher);
	assert(ret);

	audience_statistics(publisher->audience, &audience);
	coalesce_statistics(publisher->coalesce, &coalesce);

	*ret = (struct publisher_statistics){
		.events = publisher->events,
		.signals = publisher->signals,
		.coalesced = coalesce.merged,
		.signals_skipped = coalesce.dropped,
		.journal_dropped = journal_dropped(),
		.state_dropped = store_dropped(publisher->store),
		.stream_lost = audience.lost,
		.streams = audience.streams,
		.suppressed = rate_suppressed(publisher->rate),
		.pending_dropped = publisher->pending_dropped,
	};
}
