/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/schedule-model.h"

static const unsigned int five[N_LEVELS] = { 80, 60, 40, 20, 10 };
static const unsigned int one[N_LEVELS] = { 10 };
static const struct schedule_policy gated = { .gate_possible = true };
static const struct schedule_policy plain = {};
static const struct schedule_policy btrfs = { .gate_possible = true,
					      .delayed = true,
					      .settle_us = 60 * SECOND };

static void test_idle(void **state)
{
	struct model model;

	model_init(&model, GB, five, &gated);
	assert_int_equal(model.schedule.due_us, 0);
	model_run(&model, SECOND, NULL);
	assert_int_equal(model.n_checks, 2); /* the first and the one after arming */
	assert_true(model.schedule.armed);
	assert_true(model.schedule.due_us == NEVER);

	model_run(&model, 3600 * SECOND, NULL);
	assert_int_equal(model.n_checks - 2, model.n_ticks);
	assert_int_equal(model.n_openings, 0);
	model_deinit(&model);
}

static void test_continuous(void **state)
{
	static const struct {
		uint64_t rate, most_late_us, overshoot;
		unsigned int checks_per_s;
	} cases[] = {
		{ 50 * MB, 60 * MS, 3 * MB, 25 },
		{ 200 * MB, 40 * MS, 8 * MB, 60 },
		{ 1 * GB, 20 * MS, 20 * MB, 105 },
		{ 4 * GB, 20 * MS, 80 * MB, 105 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct writer writer = { .write = write_steady, .rate = cases[i].rate };
		struct model model;
		uint64_t start;

		model_init(&model, GB, five, &gated);
		model_run(&model, 10 * SECOND, NULL);
		writer.next_us = start = model.now_us;
		model_run(&model, 30 * SECOND, &writer);

		assert_int_equal(model.n_below, 5);
		assert_int_equal(model.n_above, 0);
		assert_true(model_median(&model) <= 20 * MS);
		assert_true(model_latest(&model) <= cases[i].most_late_us);
		assert_true(model.overshoot <= cases[i].overshoot);
		assert_true(model.n_checks <=
			    20 + cases[i].checks_per_s * (1 + GB / cases[i].rate));
		assert_true(model.schedule.last_check_us > start);
		assert_true(model.schedule.armed);

		/* all deleted in one step: each above at once */
		model.n_late = 0;
		model_use(&model, -(int64_t)(GB / BLOCK), true);
		model_run(&model, SECOND, NULL);
		assert_int_equal(model.n_above, 5);
		assert_true(model_latest(&model) <= 1 * MS);
		model_deinit(&model);
	}
}

static void test_bursts(void **state)
{
	static const uint64_t pauses[] = { 20 * MS,  200 * MS,	 300 * MS,
					   700 * MS, 3 * SECOND, 20 * SECOND };

	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		struct writer writer = {
			.write = write_bursts, .rate = GB, .burst = 61 * MB, .pause_us = pauses[i]
		};
		struct model model;

		model_init(&model, GB, five, &gated);
		model_run(&model, 10 * SECOND, NULL);
		writer.next_us = model.now_us;
		model_run(&model, 17 * (pauses[i] + 70 * MS) + SECOND, &writer);
		assert_int_equal(model.usage.available, 0);
		assert_int_equal(model.n_below, 5);
		assert_true(model_median(&model) <= 20 * MS);
		assert_true(model_latest(&model) <= 150 * MS);
		assert_true(model.overshoot <= 61 * MB);
		assert_true(model.n_openings <= 18);
		model_deinit(&model);
	}
}

/* Everything in one step, at any moment after the file was made or in the midst of other writes. */
static void test_fallocate(void **state)
{
	static const uint64_t after[] = { 0,	    1 * MS,	5 * MS,	    20 * MS,
					  45 * MS,  100 * MS,	240 * MS,   260 * MS,
					  900 * MS, 3 * SECOND, 30 * SECOND };

	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		struct writer logger = { .write = write_steady, .rate = 200000 };
		struct model model;

		model_init(&model, GB, five, &gated);
		model_run(&model, 10 * SECOND, NULL);
		model_use(&model, 1, true);
		model_run(&model, after[i], NULL);
		model_use(&model, GB / BLOCK, true);
		model_run(&model, SECOND, NULL);
		assert_int_equal(model.n_below, 5);
		assert_true(model_latest(&model) <= after[i] / 2 + 11 * MS);
		assert_true(model_latest(&model) <= 130 * MS);
		model_deinit(&model);

		/* with somebody who always writes a little */
		model_init(&model, 10 * GB, one, &gated);
		model_run(&model, 10 * SECOND, NULL);
		logger.next_us = model.now_us;
		model_run(&model, 10 * SECOND + after[i], &logger);
		assert_true(model.n_checks <= (10 + after[i] / SECOND + 1) * 8);
		model_use(&model, 10 * GB / BLOCK, true);
		model_run(&model, SECOND, NULL);
		assert_int_equal(model.n_below, 1);
		assert_true(model_latest(&model) <= 200 * MS);
		model_deinit(&model);
	}
}

static void test_in_place(void **state)
{
	static const uint64_t periods[] = { 100, 5 * MS, 300 * MS };

	for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
		struct writer writer = { .write = write_in_place, .pause_us = periods[i] };
		struct writer filler = { .write = write_steady, .rate = GB };
		struct model model;

		model_init(&model, GB, one, &gated);
		model_run(&model, 10 * SECOND, NULL);
		writer.next_us = model.now_us;
		model_run(&model, 60 * SECOND, &writer);
		assert_int_equal(model.schedule.pause_us, SCHEDULE_PAUSE_MAX_US);
		assert_true(model.n_openings <= 15);
		model.n_openings = model.n_checks = 0;
		model_run(&model, 60 * SECOND, &writer);
		assert_true(model.n_openings <= 8);
		assert_true(model.n_checks <= 60 * 8);

		/* one who fills meanwhile is found as fast as ever */
		filler.next_us = model.now_us;
		model_run(&model, 2 * SECOND, &filler);
		assert_int_equal(model.n_below, 1);
		assert_true(model_latest(&model) <= 25 * MS);
		assert_true(model.schedule.pause_us <= SCHEDULE_PAUSE_GROWING_US);
		model_deinit(&model);
	}
}

/* A write every few seconds never lengthens the pause, and beside a level costs little too. */
static void test_sporadic(void **state)
{
	struct writer writer = { .write = write_in_place, .pause_us = 3 * SECOND };
	struct model model;

	model_init(&model, GB, one, &gated);
	model_use(&model, 895 * MB / BLOCK, false);
	model_run(&model, 10 * SECOND, NULL);
	model.n_checks = 0;
	writer.next_us = model.now_us;
	model_run(&model, 60 * SECOND, &writer);
	assert_int_equal(model.schedule.pause_us, SCHEDULE_PAUSE_MIN_US);
	assert_in_range(model.n_openings, 19, 21);
	assert_true(model.n_checks <= 21 * 25 + 1);
	model_deinit(&model);
}

/* A deletion is told before its space comes back, which here takes seconds. */
static void test_late_release(void **state)
{
	struct model model;

	model_init(&model, GB, one, &gated);
	model_use(&model, 950 * MB / BLOCK, true);
	model_run(&model, 60 * SECOND, NULL);
	assert_int_equal(model.n_below, 1);

	for (uint64_t late_us = SECOND / 2; late_us <= 4 * SECOND; late_us *= 2) {
		model_use(&model, 0, true);
		model_run(&model, late_us, NULL);
		model_use(&model, -(int64_t)(950 * MB / BLOCK), false);
		model_run(&model, late_us + SECOND, NULL);
		assert_int_equal(model.n_above, 1);
		model.n_above = 0;

		model_use(&model, 950 * MB / BLOCK, true);
		model_run(&model, 60 * SECOND, NULL);
		assert_true(model.schedule.due_us == NEVER);
	}
	model_deinit(&model);
}

/* Hours of a log that grows beside a level: no 100 checks a second. */
static void test_slow_near(void **state)
{
	struct writer writer = { .write = write_steady, .rate = 100000 };
	struct model model;

	model_init(&model, 10 * GB, one, &gated);
	model_use(&model, 8990 * MB / BLOCK, false);
	model_run(&model, 10 * SECOND, NULL);
	model.n_checks = 0;
	writer.next_us = model.now_us;
	model_run(&model, 60 * SECOND, &writer);
	assert_int_equal(model.n_below, 0);
	assert_true(model.n_checks <= 60 * 35);
	model_run(&model, 60 * SECOND, &writer);
	assert_int_equal(model.n_below, 1);
	assert_true(model_latest(&model) <= 50 * MS);
	model_deinit(&model);
}

/* Far from any level a check now and then will do. */
static void test_far(void **state)
{
	struct writer writer = { .write = write_steady, .rate = 50 * MB };
	struct model model;

	model_init(&model, 1000 * GB, one, &gated);
	model_run(&model, 10 * SECOND, NULL);
	model.n_checks = 0;
	writer.next_us = model.now_us;
	model_run(&model, 60 * SECOND, &writer);
	assert_true(model.n_checks <= 60);
	assert_int_equal(model.n_openings, 1);
	model_deinit(&model);
}

static void test_mapped(void **state)
{
	struct writer writer = { .write = write_mapped, .rate = 2 * MB };
	struct model model;

	model_init(&model, GB, one, &gated);
	model_run(&model, 10 * SECOND, NULL);
	writer.next_us = model.now_us;
	model_run(&model, 600 * SECOND, &writer);
	/* the tick finds that it grows, and the timer follows it to the level */
	assert_int_equal(model.n_below, 1);
	assert_int_equal(model.n_openings, 0);
	assert_true(model_latest(&model) <= 50 * MS);
	model_deinit(&model);
}

static void test_plain(void **state)
{
	static const uint64_t rates[] = { 50 * MB, 200 * MB, 400 * MB };
	struct writer fast = { .write = write_steady, .rate = GB };
	struct model model;

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct writer writer = { .write = write_steady, .rate = rates[i] };

		model_init(&model, GB, five, &plain);
		model_run(&model, 7 * SECOND, NULL);
		writer.next_us = model.now_us;
		model_run(&model, 30 * SECOND, &writer);
		assert_int_equal(model.n_below, 5);
		assert_true(model_median(&model) <= 20 * MS);
		assert_true(model_latest(&model) <= 200 * MS);
		model_deinit(&model);
	}

	/* faster than assumed: no later than the interval at rest */
	model_init(&model, GB, five, &plain);
	model_run(&model, 7 * SECOND, NULL);
	fast.next_us = model.now_us;
	model_run(&model, 5 * SECOND, &fast);
	assert_int_equal(model.n_below, 5);
	assert_true(model_latest(&model) <= SECOND);
	model_deinit(&model);
}

static void test_plain_idle(void **state)
{
	struct model model;

	/* beside a level: one check a second */
	model_init(&model, GB, one, &plain);
	model_use(&model, 895 * MB / BLOCK, false);
	model_run(&model, 600 * SECOND, NULL);
	assert_true(model.n_checks <= 601);
	model_deinit(&model);

	/* all the room in the world: only the tick */
	model_init(&model, 100 * GB, one, &plain);
	model_run(&model, 600 * SECOND, NULL);
	assert_true(model.n_checks <= 12);
	assert_true(model.schedule.due_us == NEVER);
	model_deinit(&model);

	/* nothing wanted */
	model_init(&model, GB, (unsigned int[]){ 0 }, &plain);
	model_run(&model, 600 * SECOND, NULL);
	assert_int_equal(model.n_checks, 11);
	model_deinit(&model);
}

static void test_gate_fails(void **state)
{
	struct writer writer = { .write = write_steady, .rate = 50 * MB };
	struct model model;

	model_init(&model, GB, five, &gated);
	model.no_gate = true;
	model_run(&model, 7 * SECOND, NULL);
	assert_false(model.schedule.armed);
	assert_true(model.schedule.due_us != NEVER);
	writer.next_us = model.now_us;
	model_run(&model, 30 * SECOND, &writer);
	assert_int_equal(model.n_below, 5);
	assert_true(model_latest(&model) <= 200 * MS);

	/* tried again, less and less often */
	model.no_gate = false;
	model_run(&model, 60 * SECOND, NULL);
	assert_true(model.schedule.armed);
	model_deinit(&model);
}

static void test_btrfs(void **state)
{
	struct writer writer = { .write = write_steady, .rate = GB };
	struct model model;
	unsigned int before;

	model_init(&model, GB, five, &btrfs);
	model.commit_us = 30 * SECOND;
	model_run(&model, 90 * SECOND, NULL);
	assert_true(model.schedule.due_us == NEVER);
	before = model.n_checks;
	model_run(&model, 3600 * SECOND, NULL);
	assert_int_equal(model.n_checks - before, 60);

	writer.next_us = model.now_us;
	model_run(&model, 5 * SECOND, &writer);
	assert_int_equal(model.n_below, 5);
	assert_true(model_median(&model) <= 20 * MS);
	assert_true(model.schedule.armed);

	/* deleted right after the gate was armed, and right before: seen within a second of the commit */
	for (unsigned int i = 0; i < 4; i++) {
		model.n_late = model.n_above = 0;
		model_use(&model, -(int64_t)(GB / 2 / BLOCK), i % 2 == 0);
		model_run(&model, 31 * SECOND, NULL);
		assert_int_equal(model.n_above, 3);
		assert_true(model_latest(&model) < SECOND);
		model_use(&model, GB / 2 / BLOCK, true);
		model_run(&model, 7 * SECOND, NULL);
	}

	/* and then all is quiet again */
	model_run(&model, 100 * SECOND, NULL);
	before = model.n_checks;
	model_run(&model, 600 * SECOND, NULL);
	assert_int_equal(model.n_checks - before, 10);
	model_deinit(&model);
}

static struct usage usage_of(uint64_t available)
{
	return (struct usage){
		.block_size = 1, .blocks = GB, .free = available, .available = available
	};
}

/* The race between the last check and arming, and figures older than the event. */
static void test_stale(void **state)
{
	struct schedule schedule;
	struct usage usage = usage_of(GB);

	schedule_init(&schedule, &gated);
	assert_int_equal(schedule_checked(&schedule, 100, &usage, GB, NEVER), SCHEDULE_ARM);
	/* asked for meanwhile: not armed twice, and a timer to fall back on */
	assert_int_equal(schedule_checked(&schedule, 200, &usage, GB, NEVER), SCHEDULE_WAIT);
	assert_true(schedule.due_us > 200 && schedule.due_us < NEVER);

	schedule_armed(&schedule, 300, true);
	assert_int_equal(schedule.due_us, 300);
	assert_int_equal(schedule_checked(&schedule, 299, &usage, GB, NEVER), SCHEDULE_WAIT);
	assert_int_equal(schedule.due_us, 300);
	/* written between the check and the arming */
	usage = usage_of(GB / 2);
	assert_int_equal(schedule_checked(&schedule, 310, &usage, GB / 4, NEVER), SCHEDULE_WAIT);
	assert_true(schedule.armed);
	assert_int_equal(schedule.due_us, 310 + SCHEDULE_MIN_US);
	assert_int_equal(schedule_checked(&schedule, SECOND, &usage, GB / 4, NEVER),
			 SCHEDULE_GUARDED);

	/* a check was under way when the gate opened */
	schedule_opened(&schedule, 2 * SECOND);
	assert_int_equal(schedule.due_us, 2 * SECOND);
	assert_int_equal(schedule_checked(&schedule, 2 * SECOND - 1, &usage, GB / 4, NEVER),
			 SCHEDULE_WAIT);
	assert_int_equal(schedule.due_us, 2 * SECOND);

	/* an answer that nobody waits for does not shut the gate */
	schedule_armed(&schedule, 2 * SECOND, true);
	assert_false(schedule.armed);
}

static void test_failed(void **state)
{
	struct schedule schedule;
	struct usage usage = usage_of(GB);
	uint64_t pause = SCHEDULE_RETRY_MIN_US;

	schedule_init(&schedule, &gated);
	for (unsigned int i = 0; i < 100; i++) {
		schedule_failed(&schedule, i * SECOND);
		assert_int_equal(schedule.due_us, i * SECOND + pause);
		if (pause < SCHEDULE_RETRY_MAX_US)
			pause *= 2;
	}
	assert_int_equal(schedule_checked(&schedule, 200 * SECOND, &usage, GB, NEVER),
			 SCHEDULE_ARM);
	schedule_failed(&schedule, 200 * SECOND);
	assert_int_equal(schedule.due_us, 200 * SECOND + SCHEDULE_RETRY_MIN_US);
	schedule_failed(&schedule, NEVER);
	assert_true(schedule.due_us == NEVER);
}

static void test_fill_rate(void **state)
{
	struct schedule schedule;
	struct usage usage = usage_of(GB);
	uint64_t now = SECOND, seconds;

	schedule_init(&schedule, &plain);
	schedule_checked(&schedule, now, &usage, GB, NEVER);
	assert_true(schedule_seconds_to_full(&schedule, &usage) == NEVER);

	for (unsigned int i = 0; i < 400; i++) {
		now += 100 * MS;
		usage.available -= MB / 10;
		schedule_checked(&schedule, now, &usage, GB, NEVER);
	}
	assert_true(schedule.fill_rate > 0.95e6 && schedule.fill_rate < 1.01e6);
	seconds = schedule_seconds_to_full(&schedule, &usage);
	assert_in_range(seconds, 950, 1010);

	/* it does not fill any more, or is unknown, or empties */
	now += 3600 * SECOND;
	schedule_checked(&schedule, now, &usage, GB, NEVER);
	assert_true(schedule_seconds_to_full(&schedule, &usage) > 300000);
	now += 10 * SECOND;
	usage.available = GB;
	schedule_checked(&schedule, now, &usage, GB, NEVER);
	assert_true(schedule.fill_rate < 0);
	assert_true(schedule_seconds_to_full(&schedule, &usage) == NEVER);
	schedule.fill_rate = 1e9;
	usage.blocks = 0;
	assert_true(schedule_seconds_to_full(&schedule, &usage) == NEVER);
}

/* Neither answers without sense nor times out of order may trap, or end in a busy loop. */
static void test_hostile(void **state)
{
	static const uint64_t values[] = { 0, 1, 4096, 1ULL << 40, INT64_MAX, UINT64_MAX };
	struct schedule schedule;
	size_t n = sizeof(values) / sizeof(values[0]);
	unsigned int seed = 1;

	schedule_init(&schedule, &gated);
	for (uint64_t i = 0; i < 200000; i++) {
		uint64_t now = i % 100 == 99 ? values[(seed >> 4) % n] : i * 1000;
		struct usage usage = {
			.block_size = values[(seed >> 8) % n],
			.blocks = values[(seed >> 12) % n],
			.available = values[(seed >> 16) % n],
			.files_available = values[(seed >> 20) % n],
		};
		enum schedule_action action;

		seed = seed * 1103515245 + 12345;
		if (seed >> 28 == 0)
			schedule_opened(&schedule, now);
		action = schedule_checked(&schedule, now, &usage, values[(seed >> 10) % n],
					  values[(seed >> 14) % n]);
		if (action == SCHEDULE_ARM)
			schedule_armed(&schedule, now, seed & 1 << 24);
		else if (action == SCHEDULE_GUARDED)
			assert_true(schedule.due_us == NEVER);
		assert_in_range(schedule.pause_us, SCHEDULE_PAUSE_MIN_US, SCHEDULE_PAUSE_MAX_US);
		schedule_seconds_to_full(&schedule, &usage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),	   cmocka_unit_test(test_continuous),
		cmocka_unit_test(test_bursts),	   cmocka_unit_test(test_fallocate),
		cmocka_unit_test(test_in_place),   cmocka_unit_test(test_sporadic),
		cmocka_unit_test(test_in_place),   cmocka_unit_test(test_late_release),
		cmocka_unit_test(test_slow_near),  cmocka_unit_test(test_far),
		cmocka_unit_test(test_mapped),	   cmocka_unit_test(test_plain),
		cmocka_unit_test(test_plain_idle), cmocka_unit_test(test_gate_fails),
		cmocka_unit_test(test_btrfs),	   cmocka_unit_test(test_stale),
		cmocka_unit_test(test_failed),	   cmocka_unit_test(test_fill_rate),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
