/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/record.h"
#include "daemon/output/journal.h"
#include "daemon/worker/state.h"
#include "tests/io/publisher-fixture.h"

time_t clock_offset;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (syscall(SYS_clock_gettime, clock, ret) < 0)
		return -1;
	if (clock == CLOCK_REALTIME)
		ret->tv_sec += clock_offset;
	return 0;
}

uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (uint64_t)now.tv_sec * US + (uint64_t)now.tv_nsec / 1000;
}

int pool_submit(struct pool *pool, const struct pool_submission *submission,
		struct pool_ticket **ret_ticket)
{
	if (pool->refuse)
		return pool->refuse;

	assert_null(pool->submission.reply);
	assert_int_equal(submission->lane, POOL_LANE_STATE);
	assert_int_equal(submission->fd, -1);
	assert_true(submission->deadline_us > 0);
	assert_true(submission->n_payload <= 1 << 20);

	pool->submission = *submission;
	pool->payload = malloc(submission->n_payload);
	assert_non_null(pool->payload);
	memcpy(pool->payload, submission->payload, submission->n_payload);
	pool->cancelled = false;
	pool->n_submitted++;
	*ret_ticket = (struct pool_ticket *)pool;
	return 0;
}

void pool_cancel(struct pool_ticket *ticket)
{
	struct pool *pool = (struct pool *)ticket;

	assert_non_null(pool->submission.reply);
	pool->cancelled = true;
}

void pool_finish(struct pool *pool, enum pool_result result, const void *reply, size_t n)
{
	struct pool_submission submission = pool->submission;

	assert_non_null(submission.reply);
	free(pool->payload);
	pool->payload = NULL;
	pool->submission = (struct pool_submission){};
	if (!pool->cancelled)
		submission.reply(result, reply, n, submission.userdata);
}

int pool_do(struct pool *pool, void **ret_reply, size_t *ret_n)
{
	size_t n = pool->submission.n_payload;

	switch (pool->submission.job) {
	case JOB_STATE_LOAD:
		return state_load_job(pool->payload, n, ret_reply, ret_n);
	case JOB_STATE_APPEND:
		return state_append_job(pool->payload, n, ret_reply, ret_n);
	case JOB_STATE_RESERVE:
		return state_reserve_job(pool->payload, n, ret_reply, ret_n);
	default:
		fail_msg("a job of another kind");
		return -EINVAL;
	}
}

void pool_run(struct pool *pool)
{
	void *reply = NULL;
	size_t n = 0;
	int r;

	r = pool_do(pool, &reply, &n);
	if (r < 0)
		pool_finish(pool, POOL_FAILED, &r, sizeof(r));
	else
		pool_finish(pool, POOL_DONE, reply, n);
	free(reply);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void on_numbered(const struct event *event, void *userdata)
{
	struct fixture *f = userdata;

	assert_true(event->id > 0);
	f->n_numbered++;
	f->last_numbered = event->id;
}

static void on_signal(const struct event *event, uint64_t count, void *userdata)
{
	struct fixture *f = userdata;
	struct detail detail;
	size_t offset = 0;

	assert_true(f->ready);
	f->n_signals++;
	f->n_signalled += count;
	f->last_signal_id = event->id;
	while (details_next(event->details.data, event->details.n_data, &offset, &detail) == 1)
		if (detail.flags & DETAIL_PRIVATE)
			f->signal_private = true;
}

static void on_ready(void *userdata)
{
	struct fixture *f = userdata;

	assert_false(f->ready);
	f->ready = true;
}

void event_make(struct event *ret, enum event_code code, const char *where)
{
	*ret = (struct event){
		.realtime_us = 5,
		.code = code,
		.severity = event_code_severity(code),
		.fs = { 8, 1, 1 },
	};
	assert_int_equal(details_add_bytes(&ret->details, "where", where, strlen(where), 0), 0);
	assert_int_equal(details_add_string(&ret->details, "source", "statfs", 0), 0);
	assert_int_equal(details_add_string(&ret->details, "type", "ext4", 0), 0);
}

uint64_t publish(struct fixture *f, enum event_code code, const char *where)
{
	struct event event;
	uint64_t id;

	event_make(&event, code, where);
	id = publisher_publish(f->publisher, &event);
	assert_null(event.details.data);
	return id;
}

static void on_state_stalled(bool stalled, void *userdata)
{
	struct fixture *f = userdata;

	assert_true(f->stalled != stalled);
	f->stalled = stalled;
	f->n_stalls += stalled;
	if (f->publish_on_stall)
		assert_true(publish(f, stalled ? EVENT_STALLED : EVENT_RESPONDING, "/var") > 0);
}

static void on_stopped(void *userdata)
{
	struct fixture *f = userdata;

	assert_false(f->stopped);
	f->stopped = true;
}

const struct publisher_ops publisher_ops = {
	.numbered = on_numbered,
	.signal = on_signal,
	.ready = on_ready,
	.state_stalled = on_state_stalled,
	.stopped = on_stopped,
};

void start(struct fixture *f)
{
	const struct publisher_options options = {
		.state_directory = f->directory,
		.history_size = HISTORY_SIZE_DEFAULT,
		.ended_abruptly = f->ended_abruptly,
		.quota = f->quota,
	};

	f->ready = f->stopped = false;
	f->n_signals = 0;
	f->n_signalled = 0;
	f->stalled = false;
	f->n_stalls = 0;
	assert_int_equal(
		publisher_new(&f->publisher, f->loop, &f->pool, &options, &publisher_ops, f), 0);
	assert_string_equal(publisher_epoch(f->publisher), "");
	assert_int_equal(history_length(publisher_history(f->publisher)), 0);
	assert_int_equal(publisher_start(f->publisher), 0);
	assert_false(f->ready);
}

void stop(struct fixture *f)
{
	f->publisher = publisher_free(f->publisher);
	if (f->pool.submission.reply) {
		assert_true(f->pool.cancelled);
		pool_finish(&f->pool, POOL_BROKEN, NULL, 0);
	}
}

void stop_in_order(struct fixture *f)
{
	publisher_stop(f->publisher);
	run_all(f);
	assert_true(f->stopped);
	stop(f);
}

void run_all(struct fixture *f)
{
	while (f->pool.submission.reply)
		pool_run(&f->pool);
}

void start_at_once(struct fixture *f)
{
	start(f);
	run_all(f);
	assert_true(f->ready);
}

void loop_until(struct fixture *f, const bool *done, bool value, uint64_t timeout_us)
{
	uint64_t end = clock_us(CLOCK_MONOTONIC) + timeout_us;

	while (*done != value && clock_us(CLOCK_MONOTONIC) < end) {
		assert_true(sd_event_run(f->loop, 10000) >= 0);
		if (f->pool.automatic)
			run_all(f);
	}
	assert_int_equal(*done, value);
}

void loop_for(struct fixture *f, uint64_t us)
{
	uint64_t end = clock_us(CLOCK_MONOTONIC) + us, now;
	int r;

	/* What is pending is done all the same, should the machine have stopped meanwhile. */
	do {
		now = clock_us(CLOCK_MONOTONIC);
		r = sd_event_run(f->loop, now < end ? 10000 : 0);
		assert_true(r >= 0);
	} while (now < end || r > 0);
}

int publisher_setup(void **state)
{
	static const struct quota_limit limits[_QUOTA_KIND_N] = {
		[QUOTA_STREAMS] = { .per_uid = 2, .total = 3 },
		[QUOTA_REPLY_BYTES] = { .per_uid = 1, .total = 1 },
	};
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	assert_non_null(f);
	clock_offset = 0;
	strcpy(f->directory, "/tmp/fsevents-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	assert_true(sd_event_new(&f->loop) >= 0);
	assert_int_equal(quota_new(&f->quota, limits), 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/journal", f->directory);
	f->journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->journal, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(journal_open(f->loop, address.sun_path), 0);

	*state = f;
	return 0;
}

int publisher_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->publisher)
		stop(f);
	journal_close();
	(void)close(f->journal);
	quota_free(f->quota);
	sd_event_unref(f->loop);
	assert_int_equal(nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

unsigned int journal_count(struct fixture *f, const char *text)
{
	static char buffer[65536];
	unsigned int n_found = 0;
	bool more = true;

	while (more) {
		ssize_t n;

		more = false;
		while ((n = recv(f->journal, buffer, sizeof(buffer), 0)) > 0) {
			more = true;
			n_found += memmem(buffer, (size_t)n, text, strlen(text)) != NULL;
		}
		for (unsigned int i = 0; i < 3; i++)
			assert_true(sd_event_run(f->loop, 0) >= 0);
	}

	return n_found;
}

size_t stored(struct fixture *f, uint64_t *ret_last)
{
	struct state_request request = {
		.directory = f->directory,
		.history_size = HISTORY_SIZE_DEFAULT,
	};
	void *payload, *reply = NULL;
	struct record_reader reader = {};
	struct state_loaded loaded;
	struct record record;
	size_t n, n_reply, count = 0;

	assert_int_equal(state_request_encode(&request, &payload, &n), 0);
	assert_int_equal(state_load_job(payload, n, &reply, &n_reply), 0);
	assert_int_equal(state_loaded_decode(reply, n_reply, &loaded), 0);
	assert_int_equal(loaded.n_damaged, 0);
	reader.data = loaded.frames;
	reader.n_data = loaded.n_frames;
	while (record_reader_next(&reader, &record))
		count++;
	*ret_last = loaded.last_id;
	free(payload);
	free(reply);
	return count;
}
