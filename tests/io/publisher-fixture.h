/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The publisher on a pool that the test holds in its hands: jobs run when the
 * test says so, in this process, on a real directory. All of it asserts
 * success itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "daemon/output/publisher.h"

#define US 1000000ULL

/* What has not come after this will not come, on the slowest machine that there is. */
#define PATIENCE_US (30 * US)

/* What should take less than a second, and has no end where it is broken. */
#define SOON_US (10 * US)

/* Added to CLOCK_REALTIME as the whole program sees it, the libraries included. */
extern time_t clock_offset;

/* The pool: at most one job at a time, as the store promises. */
struct pool {
	struct pool_submission submission; /* ->reply NULL: none */
	void *payload;
	bool cancelled;
	unsigned int n_submitted;
	bool automatic; /* run jobs from the loop */
	int refuse; /* pool_submit() returns it */
};

struct fixture {
	char directory[32];
	sd_event *loop;
	struct pool pool;
	struct quota *quota;
	struct publisher *publisher;
	int journal; /* what journald would read */

	bool ready, stopped;
	bool ended_abruptly; /* as an option of the publisher */
	unsigned int n_signals;
	uint64_t n_signalled; /* events they stand for */
	uint64_t last_signal_id;
	unsigned int n_numbered;
	uint64_t last_numbered;
	bool signal_private;
	bool stalled;
	unsigned int n_stalls;
	bool publish_on_stall;
};

extern const struct publisher_ops publisher_ops;

int publisher_setup(void **state);
int publisher_teardown(void **state);

uint64_t clock_us(clockid_t clock);

/* What becomes of the job: any result; run and not told; run and told. */
void pool_finish(struct pool *pool, enum pool_result result, const void *reply, size_t n);
int pool_do(struct pool *pool, void **ret_reply, size_t *ret_n);
void pool_run(struct pool *pool);
void run_all(struct fixture *f);

/** start() - a publisher that asked for the past; start_at_once(): and has it */
void start(struct fixture *f);
void start_at_once(struct fixture *f);

/** stop() - as a kill would: what the pool has is gone with it */
void stop(struct fixture *f);

/** stop_in_order() - as SIGTERM would */
void stop_in_order(struct fixture *f);

/** loop_until() - runs the loop until *done is @value, at most @timeout_us */
void loop_until(struct fixture *f, const bool *done, bool value, uint64_t timeout_us);
void loop_for(struct fixture *f, uint64_t us);

/** event_make() - with the details that each event has */
void event_make(struct event *ret, enum event_code code, const char *where);
uint64_t publish(struct fixture *f, enum event_code code, const char *where);

/** journal_count() - entries that hold @text, among all that were written since the last call */
unsigned int journal_count(struct fixture *f, const char *text);

/** stored() - events on disk, and the last id */
size_t stored(struct fixture *f, uint64_t *ret_last);
