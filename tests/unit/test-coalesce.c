/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/coalesce.h"

#define SECOND 1000000ULL
#define SIZE 200

static uint64_t next_id;

static void push_named(struct coalesce *coalesce, uint64_t now_us, uint32_t fs,
		       enum event_code code, const char *name)
{
	struct event event = {
		.id = ++next_id,
		.fs = { 8, fs, fs },
		.code = code,
		.severity = event_code_severity(code),
	};

	assert_int_equal(details_add_string(&event.details, "where", "/mnt", 0), 0);
	assert_int_equal(details_add_string(&event.details, "path", "/secret", DETAIL_PRIVATE), 0);
	if (name)
		assert_int_equal(details_add_string(&event.details, "name", name, 0), 0);
	assert_int_equal(coalesce_push(coalesce, now_us, &event, SIZE), 0);
	event_deinit(&event);
}

static void push(struct coalesce *coalesce, uint64_t now_us, uint32_t fs, enum event_code code)
{
	push_named(coalesce, now_us, fs, code, NULL);
}

static uint64_t pop(struct coalesce *coalesce, uint64_t now_us, enum event_code *ret_code,
		    uint64_t *ret_id)
{
	struct event event;
	struct detail detail;
	uint64_t count;

	if (!coalesce_pop(coalesce, now_us, &event, &count))
		return 0;

	assert_true(count > 0);
	assert_true(details_find(&event.details, "where", &detail));
	assert_false(details_find(&event.details, "path", &detail));
	*ret_code = event.code;
	*ret_id = event.id;
	event_deinit(&event);
	return count;
}

static void expect_pop(struct coalesce *coalesce, uint64_t now_us, enum event_code code,
		       uint64_t id, uint64_t count)
{
	enum event_code found;
	uint64_t found_id;

	assert_int_equal(pop(coalesce, now_us, &found, &found_id), count);
	assert_int_equal(found, code);
	assert_int_equal(found_id, id);
}

static void expect_nothing(struct coalesce *coalesce, uint64_t now_us)
{
	struct event event;
	uint64_t count;

	assert_false(coalesce_pop(coalesce, now_us, &event, &count));
}

static struct coalesce *make(void)
{
	struct coalesce *coalesce;

	assert_int_equal(coalesce_new(&coalesce), 0);
	next_id = 0;
	expect_nothing(coalesce, 0);
	assert_true(coalesce_due(coalesce) == UINT64_MAX);
	return coalesce;
}

static void expect_sum(const struct coalesce *coalesce)
{
	struct coalesce_statistics s;

	coalesce_statistics(coalesce, &s);
	assert_int_equal(s.told + s.merged + s.dropped + s.waiting, next_id);
}

static void test_first_at_once(void **state)
{
	struct coalesce *coalesce = make();

	push(coalesce, 5 * SECOND, 1, EVENT_CORRUPTED);
	assert_int_equal(coalesce_due(coalesce), 5 * SECOND);
	expect_pop(coalesce, 5 * SECOND, EVENT_CORRUPTED, 1, 1);
	expect_nothing(coalesce, 5 * SECOND);
	/* Nothing waits: no wake-up, although a window is open. */
	assert_true(coalesce_due(coalesce) == UINT64_MAX);
	coalesce_free(coalesce);
}

static void test_flood_is_one(void **state)
{
	struct coalesce *coalesce = make();
	uint64_t now = 10 * SECOND;

	push(coalesce, now, 1, EVENT_IO_ERROR);
	expect_pop(coalesce, now, EVENT_IO_ERROR, 1, 1);
	for (unsigned int i = 0; i < 1000; i++)
		push(coalesce, now + i, 1, EVENT_IO_ERROR);
	expect_nothing(coalesce, now + 999999);
	assert_int_equal(coalesce_due(coalesce), now + SECOND);
	expect_pop(coalesce, now + SECOND, EVENT_IO_ERROR, 1001, 1000);
	expect_nothing(coalesce, now + SECOND);

	/* The next window is twice as long. */
	push(coalesce, now + SECOND + 1, 1, EVENT_IO_ERROR);
	assert_int_equal(coalesce_due(coalesce), now + 3 * SECOND);
	expect_nothing(coalesce, now + 3 * SECOND - 1);
	expect_pop(coalesce, now + 3 * SECOND, EVENT_IO_ERROR, 1002, 1);

	/* After a quiet window all is forgotten. */
	now += 7 * SECOND;
	push(coalesce, now, 1, EVENT_IO_ERROR);
	expect_pop(coalesce, now, EVENT_IO_ERROR, 1003, 1);
	push(coalesce, now, 1, EVENT_IO_ERROR);
	assert_int_equal(coalesce_due(coalesce), now + SECOND);

	/* Other filesystems and other codes have nothing to do with it. */
	push(coalesce, now, 2, EVENT_IO_ERROR);
	expect_pop(coalesce, now, EVENT_IO_ERROR, 1005, 1);
	push(coalesce, now, 1, EVENT_CORRUPTED);
	expect_pop(coalesce, now, EVENT_CORRUPTED, 1006, 1);
	expect_sum(coalesce);
	coalesce_free(coalesce);
}

static void test_window_grows_to_a_minute(void **state)
{
	struct coalesce *coalesce = make();
	uint64_t last = SECOND, longest = 0, told = 0, counted = 0;
	enum event_code code;

	for (uint64_t now = SECOND; now < 1001 * SECOND; now += SECOND / 10) {
		uint64_t id, count;

		push(coalesce, now, 1, EVENT_ENOSPC);
		while ((count = pop(coalesce, now, &code, &id)) > 0) {
			if (now - last > longest)
				longest = now - last;
			last = now;
			counted += count;
			told++;
		}
	}

	assert_in_range(longest, COALESCE_WINDOW_MAX_US, COALESCE_WINDOW_MAX_US + SECOND);
	assert_in_range(told, 20, 26);
	assert_true(10000 - counted <= 600);
	expect_sum(coalesce);
	coalesce_free(coalesce);
}

static void test_five_thresholds_at_once(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	struct coalesce *coalesce = make();

	for (unsigned int i = 0; i < 5; i++)
		push_named(coalesce, SECOND, 1, EVENT_THRESHOLD_BELOW, names[i]);
	for (unsigned int i = 0; i < 5; i++)
		expect_pop(coalesce, SECOND, EVENT_THRESHOLD_BELOW, i + 1, 1);
	expect_nothing(coalesce, SECOND);

	/* Above again within the window: at once too, in order. */
	for (unsigned int i = 0; i < 5; i++)
		push_named(coalesce, SECOND + 100, 1, EVENT_THRESHOLD_ABOVE, names[4 - i]);
	for (unsigned int i = 0; i < 5; i++)
		expect_pop(coalesce, SECOND + 100, EVENT_THRESHOLD_ABOVE, 6 + i, 1);
	expect_nothing(coalesce, SECOND + 100);
	coalesce_free(coalesce);
}

/* However wild it was, whoever listens ends with the true state. */
static void test_turns_end_in_the_last_state(void **state)
{
	struct coalesce *coalesce = make();
	enum event_code last_pushed = EVENT_STALLED, last_told = EVENT_RESPONDING;
	uint64_t now = SECOND, id, told = 0, counted = 0, count;

	srand(3);
	for (unsigned int i = 0; i < 20000; i++) {
		now += (uint64_t)rand() % 20000;
		if (rand() % 500 == 0)
			now += 30 * SECOND;
		last_pushed = rand() % 2 ? EVENT_STALLED : EVENT_RESPONDING;
		push(coalesce, now, 1, last_pushed);
		while ((count = pop(coalesce, now, &last_told, &id)) > 0) {
			told++;
			counted += count;
		}
	}

	while (coalesce_due(coalesce) != UINT64_MAX) {
		now = coalesce_due(coalesce);
		count = pop(coalesce, now, &last_told, &id);
		assert_true(count > 0);
		counted += count;
		told++;
	}

	assert_int_equal(last_told, last_pushed);
	assert_int_equal(id, next_id);
	assert_int_equal(counted, next_id);
	assert_true(told < 2000);
	expect_sum(coalesce);
	coalesce_free(coalesce);
}

static void test_merged_turns_keep_order(void **state)
{
	struct coalesce *coalesce = make();

	push(coalesce, SECOND, 1, EVENT_FROZEN);
	expect_pop(coalesce, SECOND, EVENT_FROZEN, 1, 1);
	for (unsigned int i = 0; i < COALESCE_TURNS; i++) {
		push(coalesce, SECOND, 1, i % 2 ? EVENT_FROZEN : EVENT_THAWED);
		expect_pop(coalesce, SECOND, i % 2 ? EVENT_FROZEN : EVENT_THAWED, i + 2, 1);
	}
	push(coalesce, SECOND, 1, EVENT_THAWED); /* 6 */
	push(coalesce, SECOND, 1, EVENT_FROZEN); /* 7 */
	push(coalesce, SECOND, 1, EVENT_THAWED); /* 8 */
	expect_nothing(coalesce, SECOND);
	expect_pop(coalesce, 2 * SECOND, EVENT_FROZEN, 7, 1);
	expect_pop(coalesce, 2 * SECOND, EVENT_THAWED, 8, 2);
	expect_nothing(coalesce, 2 * SECOND);
	coalesce_free(coalesce);
}

/* On average COALESCE_RATE, whatever is pushed, and never a busy loop on the way. */
static void test_allowance(void **state)
{
	struct coalesce *coalesce = make();
	uint64_t now = SECOND, end = 1001 * SECOND, told = 0, rounds = 0, id;
	enum event_code code;

	while (now < end) {
		uint64_t due;

		/* a storm: each filesystem is a new one */
		for (unsigned int i = 0; i < 3; i++)
			push(coalesce, now, (uint32_t)next_id, EVENT_THAWED);
		while (pop(coalesce, now, &code, &id) > 0)
			told++;

		due = coalesce_due(coalesce);
		if (due != UINT64_MAX)
			assert_true(due > now);
		now += SECOND / 10;
		rounds++;
	}

	assert_in_range(told * SIZE, COALESCE_RATE * 1000, COALESCE_RATE * 1000 + COALESCE_BURST);
	expect_sum(coalesce);
	assert_true(rounds > 1000);
	coalesce_free(coalesce);
}

static void test_severe_first_when_short(void **state)
{
	struct coalesce *coalesce = make();
	struct coalesce_statistics statistics;
	enum event_code code;
	uint64_t id, due;

	for (uint32_t i = 0; i < 5000; i++)
		push(coalesce, SECOND, i, EVENT_THAWED);
	while (pop(coalesce, SECOND, &code, &id) > 0)
		;
	coalesce_statistics(coalesce, &statistics);
	assert_int_equal(statistics.told, COALESCE_BURST / SIZE);
	assert_true(statistics.dropped > 3000);

	push(coalesce, SECOND, 1, EVENT_ENOSPC);
	due = coalesce_due(coalesce);
	assert_in_range(due, SECOND + 1, 2 * SECOND);
	expect_nothing(coalesce, due - 1);
	expect_pop(coalesce, due, EVENT_ENOSPC, 5001, 1);

	/* Criticals push the mild out of a full table, and not the other way round. */
	for (uint32_t i = 0; i < COALESCE_KEYS; i++)
		push(coalesce, due, i, EVENT_CORRUPTED);
	coalesce_statistics(coalesce, &statistics);
	push(coalesce, due, 7777, EVENT_THAWED);
	expect_sum(coalesce);
	assert_int_equal(statistics.waiting, COALESCE_KEYS);
	coalesce_statistics(coalesce, &statistics);
	assert_int_equal(statistics.waiting, COALESCE_KEYS);
	coalesce_free(coalesce);
}

static void test_huge_signal(void **state)
{
	struct event event = { .id = 1, .code = EVENT_ENOSPC }, told;
	struct coalesce *coalesce = make();
	uint64_t count;

	assert_int_equal(coalesce_push(coalesce, SECOND, &event, SIZE_MAX), 0);
	assert_true(coalesce_pop(coalesce, SECOND, &told, &count));
	event_deinit(&told);
	event.fs.n = 1;
	assert_int_equal(coalesce_push(coalesce, SECOND, &event, SIZE_MAX), 0);
	assert_int_equal(coalesce_due(coalesce), SECOND + COALESCE_BURST / COALESCE_RATE * SECOND);
	assert_false(coalesce_pop(coalesce, coalesce_due(coalesce) - 1, &told, &count));
	assert_true(coalesce_pop(coalesce, coalesce_due(coalesce), &told, &count));
	event_deinit(&told);

	/* A clock that goes back and one that leaps change nothing. */
	event.fs.n = 2;
	assert_int_equal(coalesce_push(coalesce, 0, &event, 1), 0);
	expect_nothing(coalesce, 0);
	assert_true(coalesce_pop(coalesce, UINT64_MAX, &told, &count));
	event_deinit(&told);
	coalesce_free(coalesce);
}

/* An event that stands for several already counts as these. */
static void test_counts_add_up(void **state)
{
	struct event event = { .id = 1, .code = EVENT_CORRUPTED }, told;
	struct coalesce_statistics statistics;
	struct coalesce *coalesce = make();
	uint64_t count;

	assert_int_equal(details_add_u64(&event.details, "count", 5, 0), 0);
	assert_int_equal(coalesce_push(coalesce, SECOND, &event, SIZE), 0);
	assert_true(coalesce_pop(coalesce, SECOND, &told, &count));
	assert_int_equal(count, 5);
	event_deinit(&told);

	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(coalesce_push(coalesce, SECOND, &event, SIZE), 0);
	assert_true(coalesce_pop(coalesce, coalesce_due(coalesce), &told, &count));
	assert_int_equal(count, 10);
	event_deinit(&told);
	coalesce_statistics(coalesce, &statistics);
	assert_int_equal(statistics.merged, 1);
	assert_int_equal(statistics.told, 2);
	event_deinit(&event);
	coalesce_free(coalesce);
}

static void test_tests_are_apart(void **state)
{
	struct coalesce *coalesce = make();
	struct event event = { .code = EVENT_ENOSPC, .test = true }, told;
	uint64_t count;

	assert_int_equal(coalesce_push(coalesce, 1, &event, 1), 0);
	assert_true(coalesce_pop(coalesce, 1, &told, &count));
	assert_true(told.test);
	event.test = false;
	assert_int_equal(coalesce_push(coalesce, 1, &event, 1), 0);
	assert_true(coalesce_pop(coalesce, 1, &told, &count));
	assert_false(told.test);
	assert_int_equal(count, 1);
	coalesce_free(coalesce);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_at_once),
		cmocka_unit_test(test_flood_is_one),
		cmocka_unit_test(test_window_grows_to_a_minute),
		cmocka_unit_test(test_five_thresholds_at_once),
		cmocka_unit_test(test_turns_end_in_the_last_state),
		cmocka_unit_test(test_merged_turns_keep_order),
		cmocka_unit_test(test_allowance),
		cmocka_unit_test(test_severe_first_when_short),
		cmocka_unit_test(test_huge_signal),
		cmocka_unit_test(test_counts_add_up),
		cmocka_unit_test(test_tests_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
