/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Ids and gaps over restarts, orderly and abrupt ones
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/output/catalog.h"
#include "daemon/output/store.h"
#include "include/fsevents_stream.h"
#include "tests/io/publisher-fixture.h"

#define YEAR (365L * 86400)

static void expect_gaps(struct fixture *f, size_t n)
{
	size_t n_gaps;

	(void)history_gaps(publisher_history(f->publisher), &n_gaps);
	assert_int_equal(n_gaps, n);
}

static struct history_gap last_gap(struct fixture *f)
{
	const struct history_gap *gaps;
	size_t n;

	gaps = history_gaps(publisher_history(f->publisher), &n);
	assert_true(n > 0);
	return gaps[n - 1];
}

static uint64_t publish_one(struct fixture *f)
{
	return publish(f, EVENT_CORRUPTED, "/");
}

static void forget(struct fixture *f, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
	assert_int_equal(unlink(path), 0);
}

/* What a client that has seen all up to @since_id is told: records of loss, plain and unknown. */
struct told {
	unsigned int n_lost, n_unknown, n_events;
	struct fsevents_lost lost;
	bool reset;
};

static struct told listen_since(struct fixture *f, uint64_t since_id)
{
	static _Alignas(8) uint8_t packet[FSEVENTS_PACKET_MAX];
	struct told told = {};
	ssize_t n;
	int fd;

	assert_int_equal(publisher_open_stream(f->publisher, since_id, false, 0, ":1.1", &fd), 0);
	for (unsigned int i = 0; i < 5; i++)
		assert_true(sd_event_run(f->loop, 0) >= 0);

	while ((n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct fsevents_record *record = (const void *)(packet + at);
			const struct fsevents_hello *hello = (const void *)record;

			if (record->kind == FSEVENTS_KIND_HELLO)
				told.reset = hello->flags & FSEVENTS_HELLO_RESET;
			told.n_events += record->kind == FSEVENTS_KIND_EVENT;
			if (record->kind == FSEVENTS_KIND_LOST) {
				memcpy(&told.lost, record, sizeof(told.lost));
				if (told.lost.flags == FSEVENTS_LOST_UNKNOWN)
					told.n_unknown++;
				else
					told.n_lost++;
			}
			at += record->size;
		}
	assert_int_equal(close(fd), 0);
	publisher_owner_gone(f->publisher, ":1.1");
	return told;
}

/* Stopped and started, many times, whatever the clock says: each id follows the one before. */
static void test_in_order(void **state)
{
	const time_t offsets[] = { 0, YEAR, -YEAR, 0, 1000 - time(NULL) };
	struct fixture *f = *state;
	char epoch[STATE_EPOCH_LENGTH + 1];
	uint64_t first = 0, id = 0;

	for (unsigned int i = 0; i < 5; i++) {
		clock_offset = offsets[i];
		start_at_once(f);
		if (i > 0) {
			assert_string_equal(publisher_epoch(f->publisher), epoch);
			assert_int_equal(listen_since(f, id).n_lost, 0);
		}
		strcpy(epoch, publisher_epoch(f->publisher));

		/* One run without an event, and some that have not stored theirs when they are stopped. */
		for (unsigned int k = 0; k < i % 3 * 5; k++) {
			uint64_t next = publish_one(f);

			assert_true(id == 0 || next == id + 1);
			id = next;
			if (first == 0)
				first = id;
		}
		stop_in_order(f);
	}

	start_at_once(f);
	expect_gaps(f, 0);
	assert_int_equal(history_newest(publisher_history(f->publisher)), id);
	assert_int_equal(history_length(publisher_history(f->publisher)), id - first + 1);
	assert_int_equal(listen_since(f, 0).n_lost, 0);
	assert_int_equal(listen_since(f, first).n_unknown, 0);
	assert_int_equal(journal_count(f, CATALOG_HISTORY_RESET), 0);
}

/* The mark is gone before an id is given out: a kill right after the start does not reuse ids. */
static void test_killed_after_a_stop(void **state)
{
	struct fixture *f = *state;
	uint64_t id, later;
	struct told told;

	start_at_once(f);
	id = publish_one(f);
	stop_in_order(f);

	clock_offset = -YEAR;
	start(f);
	assert_int_equal(f->pool.submission.job, JOB_STATE_LOAD);
	pool_run(&f->pool);
	assert_false(f->ready);
	assert_int_equal(f->pool.submission.job, JOB_STATE_RESERVE);
	pool_run(&f->pool);
	assert_true(f->ready);
	/* Nothing else has to be reserved first. */
	assert_null(f->pool.submission.reply);
	later = publish_one(f);
	assert_int_equal(later, id + 1);
	later = publish_one(f);
	/* Told, and not stored. */
	stop(f);

	start_at_once(f);
	expect_gaps(f, 1);
	assert_int_equal(last_gap(f).first_id, id + 1);
	assert_true(publish_one(f) > later);

	/* Told once each, from where the client was: before the gap, inside it, and never after it. */
	for (uint64_t since = id; since <= later; since++) {
		told = listen_since(f, since);
		assert_false(told.reset);
		assert_int_equal(told.n_unknown, 1);
		assert_int_equal(told.n_lost, 0);
		assert_int_equal(told.n_events, 1);
		assert_int_equal(told.lost.first_id, since + 1);
		assert_int_equal(told.lost.last_id, last_gap(f).last_id);
	}
	assert_int_equal(listen_since(f, last_gap(f).last_id).n_unknown, 0);
	assert_int_equal(listen_since(f, last_gap(f).last_id + 1).n_unknown, 0);
}

/* Killed again and again, then stopped: the gaps are remembered over all of it, up to a bound. */
static void test_many_kills(void **state)
{
	struct fixture *f = *state;
	uint64_t first, id = 0;
	struct told told;

	start_at_once(f);
	first = publish_one(f);
	for (unsigned int i = 1; i <= 3; i++) {
		run_all(f);
		stop(f);
		clock_offset += 10;
		start_at_once(f);
		expect_gaps(f, i);
		id = publish_one(f);
		assert_int_equal(id, last_gap(f).last_id + 1);
	}
	stop_in_order(f);
	start_at_once(f);
	expect_gaps(f, 3);
	assert_int_equal(publish_one(f), id + 1);
	told = listen_since(f, first);
	assert_int_equal(told.n_unknown, 3);
	assert_int_equal(told.n_events, 4);
	assert_int_equal(told.n_lost, 0);
	assert_int_equal(listen_since(f, 0).n_events, 5);

	for (unsigned int i = 0; i < HISTORY_GAPS + 5; i++) {
		(void)publish_one(f);
		run_all(f);
		stop(f);
		clock_offset += 10;
		start_at_once(f);
	}
	expect_gaps(f, HISTORY_GAPS);
	told = listen_since(f, first);
	assert_int_equal(told.n_lost, 0);
	assert_int_equal(told.n_unknown, HISTORY_GAPS + 5 + 3);
}

static void finish(struct fixture *f, enum pool_result result)
{
	int error = -EROFS;

	pool_finish(&f->pool, result, &error, sizeof(error));
}

/* The mark cannot be taken away: it does not count then, now or at any later start. */
static void test_mark_stays(void **state)
{
	static const enum pool_result results[] = { POOL_FAILED, POOL_BROKEN, POOL_STALLED,
						    POOL_BLOCKED };
	struct fixture *f = *state;
	uint64_t last = 0, id;

	for (size_t i = 0; i < 4; i++) {
		start_at_once(f);
		last = publish_one(f);
		run_all(f);
		stop_in_order(f);

		start(f);
		pool_run(&f->pool);
		assert_int_equal(f->pool.submission.job, JOB_STATE_RESERVE);
		finish(f, results[i]);
		assert_true(f->ready);
		id = publish_one(f);
		assert_true(id > last + 1);
		assert_int_equal(history_length(publisher_history(f->publisher)), i * 2 + 2);
		assert_int_equal(last_gap(f).first_id, last + 1);
		assert_int_equal(listen_since(f, last).n_unknown, 1);
		/* As soon as it does: the ids are written anew, without the mark, before the event. */
		loop_for(f, 1200000);
		assert_int_equal(f->pool.submission.job, JOB_STATE_RESERVE);
		pool_run(&f->pool);
		stop(f);

		start_at_once(f);
		assert_true(publish_one(f) > id);
		run_all(f);
		stop(f);
	}
}

/* The mark is slow to go: the start does not wait for longer than for the past itself. */
static void test_mark_hangs(void **state)
{
	struct fixture *f = *state;
	uint64_t id, began;

	start_at_once(f);
	id = publish_one(f);
	stop_in_order(f);

	start(f);
	pool_run(&f->pool);
	assert_int_equal(f->pool.submission.job, JOB_STATE_RESERVE);
	began = clock_us(CLOCK_MONOTONIC);
	loop_until(f, &f->ready, true, PATIENCE_US);
	assert_true(clock_us(CLOCK_MONOTONIC) - began < SOON_US);
	assert_true(f->pool.cancelled);
	assert_true(f->stalled);
	/* The past is there, and no id twice. */
	assert_int_equal(history_length(publisher_history(f->publisher)), 1);
	assert_int_equal(last_gap(f).first_id, id + 1);
	assert_true(publish_one(f) > id + 1);
}

/* It is known from elsewhere that a run has ended abruptly since the mark was made. */
static void test_mark_distrusted(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	start_at_once(f);
	id = publish_one(f);
	stop_in_order(f);

	f->ended_abruptly = true;
	start_at_once(f);
	assert_true(publish_one(f) > id + 1);
	expect_gaps(f, 1);
	stop_in_order(f);

	f->ended_abruptly = false;
	start_at_once(f);
	expect_gaps(f, 1);
}

/* The disk does not answer at the stop: not waited for, and the next start is an abrupt one. */
static void test_stop_hangs(void **state)
{
	struct fixture *f = *state;
	uint64_t id, began;

	start_at_once(f);
	(void)publish_one(f);
	run_all(f);
	id = publish_one(f);
	assert_int_equal(f->pool.submission.job, JOB_STATE_APPEND);

	began = clock_us(CLOCK_MONOTONIC);
	publisher_stop(f->publisher);
	assert_false(f->stopped);
	/* No id any more: the mark could be made with the one before. */
	assert_int_equal(publish_one(f), 0);
	loop_until(f, &f->stopped, true, PATIENCE_US);
	assert_true(clock_us(CLOCK_MONOTONIC) - began < SOON_US);
	assert_int_equal(f->n_numbered, 2);
	stop(f);

	start_at_once(f);
	assert_true(publish_one(f) > id + 1);
	assert_int_equal(last_gap(f).first_id, id);
}

/* No room for events at the stop, but for the mark: the ids go on, and what is missing is counted. */
static void test_stop_fails(void **state)
{
	struct fixture *f = *state;
	uint64_t id;
	struct told told;

	start_at_once(f);
	id = publish_one(f);
	run_all(f);
	assert_int_equal(publish_one(f), id + 1);
	publisher_stop(f->publisher);
	finish(f, POOL_FAILED);
	assert_int_equal(f->pool.submission.job, JOB_STATE_RESERVE);
	run_all(f);
	assert_true(f->stopped);
	stop(f);

	start_at_once(f);
	expect_gaps(f, 0);
	assert_int_equal(publish_one(f), id + 2);
	told = listen_since(f, id);
	assert_int_equal(told.n_lost, 1);
	assert_int_equal(told.lost.first_id, id + 1);
	assert_int_equal(told.lost.last_id, id + 1);

	/* Neither: told to be stopped all the same, at once. */
	run_all(f);
	(void)publish_one(f);
	publisher_stop(f->publisher);
	finish(f, POOL_BROKEN);
	finish(f, POOL_BROKEN);
	assert_true(f->stopped);
	stop(f);

	start_at_once(f);
	(void)publish_one(f);
	f->pool.refuse = -ENOBUFS;
	run_all(f);
	publisher_stop(f->publisher);
	assert_true(f->stopped);
	f->pool.refuse = 0;
}

/* Stopped while it starts: nothing is lost of what was there, and no id is given out. */
static void test_stop_while_starting(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	start_at_once(f);
	id = publish_one(f);
	stop_in_order(f);

	for (unsigned int i = 0; i < 3; i++) {
		start(f);
		assert_int_equal(publish_one(f), 0);
		if (i > 0)
			pool_run(&f->pool);
		publisher_stop(f->publisher);
		if (i < 2) {
			run_all(f);
			assert_true(f->stopped);
		} else {
			/* ... and the disk hangs. */
			loop_until(f, &f->stopped, true, PATIENCE_US);
		}
		assert_int_equal(f->n_signals, 0);
		stop(f);
	}

	start_at_once(f);
	assert_int_equal(publish_one(f), id + 1);
	assert_int_equal(history_length(publisher_history(f->publisher)), 2);
}

/* A run that could not read the past, and its successor that can: told apart, and to whoever asks for all as well. */
static void test_epochs(void **state)
{
	struct fixture *f = *state;
	uint64_t id, other;
	struct told told;

	start_at_once(f);
	id = publish_one(f);
	run_all(f);
	stop(f);

	clock_offset = 100;
	start(f);
	finish(f, POOL_FAILED);
	assert_true(f->ready);
	f->pool.automatic = true;
	loop_for(f, 1500000);
	run_all(f);
	other = publish_one(f);
	assert_true(other > id);
	stop_in_order(f);
	f->pool.automatic = false;

	start_at_once(f);
	expect_gaps(f, 1);
	assert_int_equal(last_gap(f).first_id, id + 1);
	assert_int_equal(last_gap(f).last_id, other - 1);
	told = listen_since(f, 0);
	assert_int_equal(told.n_unknown, 1);
	assert_int_equal(told.n_events, 2);
	/* Who knows only ids of the epoch before knows another history. */
	told = listen_since(f, id);
	assert_true(told.reset);
	assert_int_equal(told.n_events, 2);
	assert_false(listen_since(f, other - 1).reset);
	stop_in_order(f);

	/* It stays so. */
	start_at_once(f);
	expect_gaps(f, 1);
	stop(f);

	/* The ids are lost and the history is there. */
	forget(f, "ids");
	start_at_once(f);
	assert_int_equal(journal_count(f, CATALOG_HISTORY_RESET) > 0, true);
	assert_int_equal(last_gap(f).first_id, other + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order, publisher_setup, publisher_teardown),
		cmocka_unit_test_setup_teardown(test_killed_after_a_stop, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_many_kills, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_mark_stays, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_mark_hangs, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_mark_distrusted, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_stop_hangs, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_stop_fails, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_stop_while_starting, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_epochs, publisher_setup, publisher_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
