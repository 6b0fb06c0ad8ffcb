/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
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
#include "daemon/worker/state.h"
#include "tests/io/publisher-fixture.h"

static void test_first_start(void **state)
{
	struct fixture *f = *state;
	uint64_t before = clock_us(CLOCK_REALTIME), id, last;
	const struct event *kept;
	char epoch[64];

	start(f);
	assert_int_equal(publish(f, EVENT_CORRUPTED, "/early"), 0);
	assert_int_equal(publish(f, EVENT_IO_ERROR, "/early"), 0);
	assert_int_equal(f->pool.submission.job, JOB_STATE_LOAD);
	pool_run(&f->pool);
	assert_true(f->ready);

	/* In order, numbered from the clock on; who published is told the numbers. */
	assert_int_equal(f->n_signals, 2);
	assert_int_equal(f->n_numbered, 2);
	assert_int_equal(f->last_numbered, f->last_signal_id);
	id = publish(f, EVENT_SHUTDOWN, "/");
	assert_true(id >= before + 2 && id < before + 60 * US);
	assert_int_equal(history_oldest(publisher_history(f->publisher)), id - 2);
	assert_int_equal(f->last_signal_id, id);
	assert_int_equal(publisher_epoch_first_id(f->publisher), id - 2);
	assert_int_equal(strlen(publisher_epoch(f->publisher)), STATE_EPOCH_LENGTH);
	strcpy(epoch, publisher_epoch(f->publisher));

	/* Ids are reserved before anything else is stored. */
	assert_int_equal(f->pool.submission.job, JOB_STATE_RESERVE);
	pool_run(&f->pool);
	assert_int_equal(f->pool.submission.job, JOB_STATE_APPEND);
	pool_run(&f->pool);
	assert_null(f->pool.submission.reply);
	assert_int_equal(stored(f, &last), 3);
	assert_int_equal(last, id);

	/* No reset at a first start; all of it in the journal. */
	assert_int_equal(journal_count(f, "FSEVENTS_ID="), 3);

	/* Again: the same epoch, all events, greater ids. */
	stop(f);
	start_at_once(f);
	assert_string_equal(publisher_epoch(f->publisher), epoch);
	assert_int_equal(publisher_epoch_first_id(f->publisher), id - 2);
	assert_int_equal(history_length(publisher_history(f->publisher)), 3);
	assert_true(publish(f, EVENT_THAWED, "/") > id);

	/* What the former run counted as its filesystem 8:1 number 1 is none of this run's. */
	kept = history_after(publisher_history(f->publisher), 0);
	assert_int_equal(kept->fs.major, 8);
	assert_int_equal(kept->fs.n, 0);
	kept = history_after(publisher_history(f->publisher), id);
	assert_int_equal(kept->fs.n, 1);
	assert_int_equal(journal_count(f, CATALOG_HISTORY_RESET), 0);
}

static void forget(struct fixture *f, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
	assert_int_equal(unlink(path), 0);
}

/* The clock a year ahead, a year back, at 1970: ids never go back while there is state. */
static void test_clock(void **state)
{
	const time_t year = 365 * 86400;
	const time_t offsets[] = { 0, year, -year, 2 * year, -50 * year, 1000 - time(NULL) };
	struct fixture *f = *state;
	char epoch[STATE_EPOCH_LENGTH + 1];
	uint64_t last = 0;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		clock_offset = offsets[i];
		start_at_once(f);
		if (i > 0)
			assert_string_equal(publisher_epoch(f->publisher), epoch);
		strcpy(epoch, publisher_epoch(f->publisher));

		for (unsigned int k = 0; k < 10; k++) {
			uint64_t id = publish(f, EVENT_SHUTDOWN, "/");

			assert_true(id > last);
			last = id;
		}
		/* Killed before the last events are on disk. */
		stop(f);
	}

	/* Lost altogether, at 1970: a new epoch says so, since the clock is no help. */
	start_at_once(f);
	(void)publish(f, EVENT_SHUTDOWN, "/");
	run_all(f);
	stop(f);
	forget(f, "ids");
	forget(f, "history");
	start_at_once(f);
	assert_string_not_equal(publisher_epoch(f->publisher), epoch);
	assert_true(publish(f, EVENT_SHUTDOWN, "/") > 0);
}

/* The ids are lost and the history is there: nothing goes back, the epoch is new and that is told. */
static void test_ids_lost(void **state)
{
	struct fixture *f = *state;
	char epoch[64];
	uint64_t last;

	start_at_once(f);
	last = publish(f, EVENT_CORRUPTED, "/");
	run_all(f);
	strcpy(epoch, publisher_epoch(f->publisher));
	stop(f);

	forget(f, "ids");
	clock_offset = -10L * 365 * 86400;
	start_at_once(f);
	assert_string_not_equal(publisher_epoch(f->publisher), epoch);
	assert_int_equal(publisher_epoch_first_id(f->publisher), last + 1);
	assert_int_equal(history_length(publisher_history(f->publisher)), 1);
	assert_int_equal(publish(f, EVENT_CORRUPTED, "/"), last + 1);
	assert_int_equal(journal_count(f, CATALOG_HISTORY_RESET), 1);
}

/* The state directory does not answer at start: ready all the same, and stored later. */
static void test_load_hangs(void **state)
{
	struct fixture *f = *state;
	uint64_t began = clock_us(CLOCK_MONOTONIC), last, id = 0;

	f->publish_on_stall = true;
	start(f);
	assert_int_equal(publish(f, EVENT_CORRUPTED, "/early"), 0);
	loop_until(f, &f->ready, true, PATIENCE_US);
	assert_true(clock_us(CLOCK_MONOTONIC) - began < SOON_US);
	assert_true(f->stalled);
	assert_true(f->pool.cancelled);
	assert_int_equal(f->n_signals, 2);

	for (unsigned int i = 0; i < 100; i++)
		id = publish(f, EVENT_IO_ERROR, "/");
	assert_int_equal(journal_count(f, CATALOG_STATE_UNAVAILABLE), 1);

	/* It gave up, and answers again. */
	pool_finish(&f->pool, POOL_STALLED, NULL, 0);
	f->pool.automatic = true;
	loop_until(f, &f->stalled, false, PATIENCE_US);
	run_all(f);
	assert_int_equal(f->n_stalls, 1);
	assert_true(stored(f, &last) >= 102);
	assert_true(last >= id);
	assert_int_equal(journal_count(f, CATALOG_STATE_AVAILABLE), 1);
}

/* Frozen while running: 10,000 events cost no time, the ring's are stored afterwards, the rest counted. */
static void test_store_hangs(void **state)
{
	struct fixture *f = *state;
	struct publisher_statistics statistics;
	uint64_t began, id = 0, first, last, n;

	start_at_once(f);
	f->publish_on_stall = true;
	first = publish(f, EVENT_CORRUPTED, "/");
	assert_non_null(f->pool.submission.reply);

	began = clock_us(CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < 10000; i++)
		id = publish(f, EVENT_MOUNTED, "/mnt");
	assert_true(clock_us(CLOCK_MONOTONIC) - began < SOON_US);
	assert_int_equal(f->pool.n_submitted, 3);

	began = clock_us(CLOCK_MONOTONIC);
	loop_until(f, &f->stalled, true, PATIENCE_US);
	assert_true(clock_us(CLOCK_MONOTONIC) - began < SOON_US);

	/* It comes back after all, without having been killed. */
	run_all(f);
	assert_false(f->stalled);
	assert_int_equal(f->n_stalls, 1);
	n = stored(f, &last);
	assert_true(last > id);
	publisher_statistics(f->publisher, &statistics);
	assert_true(statistics.state_dropped > 0);
	assert_int_equal(n + statistics.state_dropped, last - first + 1);
	assert_int_equal(statistics.events, last - first + 1);

	/* The one that matters is among them. */
	stop(f);
	start_at_once(f);
	assert_int_equal(history_oldest(publisher_history(f->publisher)), first);
	assert_int_equal(history_length(publisher_history(f->publisher)), n);
}

/* Written, and then taken for lost: told once all the same. */
static void test_written_twice(void **state)
{
	struct fixture *f = *state;
	struct details more = {};
	void *reply = NULL;
	uint64_t id, last;
	size_t n;

	start_at_once(f);
	id = publish(f, EVENT_CORRUPTED, "/");
	assert_int_equal(pool_do(&f->pool, &reply, &n), 0);
	pool_finish(&f->pool, POOL_STALLED, NULL, 0);
	assert_true(f->stalled);

	assert_int_equal(details_add_string(&more, "path", "x", DETAIL_PRIVATE), 0);
	publisher_amend(f->publisher, id, &more);
	publisher_amend(f->publisher, id + 5, &more);
	publisher_amend(f->publisher, 0, &more);
	assert_null(f->pool.submission.reply);

	f->pool.automatic = true;
	loop_until(f, &f->stalled, false, PATIENCE_US);
	run_all(f);
	details_deinit(&more);
	assert_int_equal(stored(f, &last), 1);

	stop(f);
	start_at_once(f);
	{
		const struct event *event = history_after(publisher_history(f->publisher), 0);
		struct detail detail;

		assert_non_null(event);
		assert_int_equal(event->id, id);
		assert_true(details_find(&event->details, "path", &detail));
	}
}

/* Every way to fail is logged once, tried again later, and costs no event. */
static void test_failures(void **state)
{
	static const enum pool_result results[] = {
		POOL_BROKEN,
		POOL_LIMIT,
		POOL_FAILED,
		POOL_BLOCKED,
	};
	struct fixture *f = *state;
	int error = -EROFS;
	uint64_t last, id;

	start_at_once(f);

	for (size_t i = 0; i < 4; i++) {
		id = publish(f, EVENT_CORRUPTED, "/");
		assert_int_equal(f->pool.submission.job, JOB_STATE_APPEND);
		pool_finish(&f->pool, results[i], &error, sizeof(error));
		assert_null(f->pool.submission.reply);
		assert_int_equal(f->stalled, results[i] == POOL_BLOCKED);
		f->pool.refuse = i % 2 ? 0 : -ENOBUFS;
		loop_for(f, 1200000);
		f->pool.refuse = 0;
		for (unsigned int k = 0; k < 100 && !f->pool.submission.reply; k++)
			loop_for(f, 100000);
		run_all(f);
		assert_int_equal(stored(f, &last), i + 1);
		assert_int_equal(last, id);
	}

	assert_int_equal(journal_count(f, CATALOG_STATE_UNAVAILABLE), 4);
}

/* Nothing is to be stored. */
static void test_without_directory(void **state)
{
	struct fixture *f = *state;
	const struct publisher_options options = {
		.history_size = HISTORY_SIZE_DEFAULT,
		.quota = f->quota,
	};

	assert_int_equal(publisher_new(&f->publisher, f->loop, NULL, &options, &publisher_ops, f),
			 0);
	assert_int_equal(publisher_start(f->publisher), 0);
	assert_false(f->ready);
	loop_until(f, &f->ready, true, PATIENCE_US);
	assert_true(publish(f, EVENT_CORRUPTED, "/") > 0);
	assert_int_equal(f->pool.n_submitted, 0);
}

/* Damage on disk is told, and what is whole is there. */
static void test_damaged(void **state)
{
	struct fixture *f = *state;
	char path[64];
	FILE *file;

	start_at_once(f);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(publish(f, EVENT_CORRUPTED, "/") > 0);
	run_all(f);
	stop(f);

	(void)snprintf(path, sizeof(path), "%s/history", f->directory);
	file = fopen(path, "r+e");
	assert_non_null(file);
	assert_int_equal(fseek(file, 60, SEEK_SET), 0);
	assert_int_equal(fputs("damage", file) >= 0, 1);
	assert_int_equal(fclose(file), 0);

	start_at_once(f);
	assert_int_equal(history_length(publisher_history(f->publisher)), 2);
	assert_int_equal(journal_count(f, CATALOG_STATE_DAMAGED), 1);
	stop(f);
	start_at_once(f);
	assert_int_equal(journal_count(f, CATALOG_STATE_DAMAGED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_start, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_clock, publisher_setup, publisher_teardown),
		cmocka_unit_test_setup_teardown(test_ids_lost, publisher_setup, publisher_teardown),
		cmocka_unit_test_setup_teardown(test_load_hangs, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_store_hangs, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_written_twice, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_failures, publisher_setup, publisher_teardown),
		cmocka_unit_test_setup_teardown(test_without_directory, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, publisher_setup, publisher_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
