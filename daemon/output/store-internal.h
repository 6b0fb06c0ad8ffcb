/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the files of the store share: store.c keeps the state up with the
 * history, store-load.c begins with what is there.
 */

#include "daemon/output/batch.h"
#include "daemon/output/store.h"

enum store_job {
	STORE_IDLE,
	STORE_LOAD,
	STORE_UNMARK, /* after a load that found a mark */
	STORE_RESERVE,
	STORE_APPEND,
	STORE_MARK,
};

struct store {
	sd_event *loop;
	struct pool *pool;
	char *directory; /* NULL: nothing is stored */
	size_t history_size;
	const struct store_ops *ops;
	void *userdata;

	const struct history *history; /* NULL until store_begin() */
	char epoch[STATE_EPOCH_LENGTH + 1];
	uint64_t epoch_first_id;

	struct batch batch; /* what is stored */
	uint64_t reserved; /* durable; 0: none in this epoch */

	enum store_job job; /* under way */
	struct pool_ticket *ticket; /* its */
	struct batch appending; /* STORE_APPEND: what will be stored then */
	uint64_t reserving; /* STORE_RESERVE, STORE_UNMARK */
	void *past; /* STORE_UNMARK: what was loaded, as it came */
	size_t n_past;

	sd_event_source *timer; /* of the job when one is under way, else of the next try */
	uint64_t retry_us; /* 0: the last job went well */
	bool waiting; /* for the next try */
	bool stalled;
	bool load_answered;
	uint64_t load_until_us; /* CLOCK_MONOTONIC */
	bool distrust_mark;

	bool stopping; /* the timer is of that alone */
	bool stopped;
	bool append_failed; /* while stopping */
};

/* Not while the store is stopping: the timer is of that then. */
void store_set_timer(struct store *store, uint64_t after_us);

/** store_failed() - a job did not work: say so once, and try again later and later */
void store_failed(struct store *store, enum pool_result result, const char *why);

/** store_submit() - ->job is @job then, or STORE_IDLE after a failure, which is handled */
void store_submit(struct store *store, enum store_job job, const struct state_request *request);

/* The first answer counts. */
void store_answer_load(struct store *store, const struct state_loaded *loaded);

/* STORE_LOAD has a reply; STORE_UNMARK has ended, well or not. */
void store_load_done(struct store *store, const void *reply, size_t n);
void store_answer_past(struct store *store, bool unmarked);
