/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/history.h"

static uint64_t push(struct history *history, struct event event)
{
	struct event *kept;

	kept = history_push(history, &event);
	assert_non_null(kept);
	assert_int_equal(kept->id, event.id);
	return event.id;
}

static struct event make(uint32_t fs, enum event_code code)
{
	return (struct event){
		.fs = { 8, fs, fs },
		.code = code,
		.severity = event_code_severity(code),
	};
}

static bool has(const struct history *history, uint64_t id)
{
	const struct event *event = history_after(history, id - 1);

	return event && event->id == id;
}

static size_t count(const struct history *history, const struct event *like)
{
	const struct event *event;
	uint64_t last = 0;
	size_t n = 0;

	while ((event = history_after(history, last))) {
		assert_true(event->id > last);
		last = event->id;
		n += fs_key_equal(&event->fs, &like->fs) && event->code == like->code;
	}

	return n;
}

static void test_ids(void **state)
{
	struct history *history;

	assert_int_equal(history_new(&history, 1000, 5000), 0);
	assert_int_equal(history_oldest(history), 0);
	assert_int_equal(history_newest(history), 4999);
	assert_int_equal(history_next_id(history), 5000);
	assert_null(history_after(history, 0));

	for (uint64_t id = 5000; id < 5100; id++)
		assert_int_equal(push(history, make(1, EVENT_IO_ERROR)), id);
	assert_int_equal(history_oldest(history), 5000);
	assert_int_equal(history_newest(history), 5099);
	assert_int_equal(history_length(history), 100);
	assert_int_equal(history_after(history, 0)->id, 5000);
	assert_int_equal(history_after(history, 5000)->id, 5001);
	assert_int_equal(history_after(history, 5098)->id, 5099);
	assert_null(history_after(history, 5099));
	assert_null(history_after(history, UINT64_MAX));
	history_free(history);
}

/* The one event that matters, under everything that ordinary users can do and more. */
static void test_corrupted_outlives(void **state)
{
	struct event event;
	struct history *history;
	uint64_t id;

	assert_int_equal(history_new(&history, HISTORY_SIZE_DEFAULT, 1), 0);
	id = push(history, make(1, EVENT_CORRUPTED));

	for (uint32_t i = 0; i < 100000; i++) {
		event = make(1000 + i, i % 2 ? EVENT_UNMOUNTED : EVENT_MOUNTED);
		event.user_mount = i % 3 == 0;
		push(history, event);
	}
	assert_true(has(history, id));
	assert_true(history_length(history) <= HISTORY_SIZE_DEFAULT / 4 + 1);

	for (uint32_t i = 0; i < 10000; i++) {
		event = make(1, EVENT_CORRUPTED);
		event.test = true;
		push(history, event);
		event = make(1, EVENT_CORRUPTED);
		event.user_mount = true;
		push(history, event);
	}
	assert_true(has(history, id));

	for (uint32_t i = 0; i < 100000; i++)
		push(history, make(1, EVENT_ENOSPC));
	for (uint32_t i = 0; i < 100000; i++)
		push(history, make(1000 + i, EVENT_THRESHOLD_BELOW));
	for (uint32_t i = 0; i < 100000; i++) {
		/* containers that come and go full */
		event = make(1000 + i, EVENT_THRESHOLD_BELOW);
		event.severity = SEVERITY_CRITICAL;
		push(history, event);
	}
	for (uint32_t i = 0; i < 100000; i++)
		push(history, make(1, EVENT_IO_ERROR));
	assert_true(has(history, id));
	assert_int_equal(history_oldest(history), id);
	assert_true(history_length(history) <= HISTORY_SIZE_DEFAULT);
	history_free(history);
}

static void test_budgets(void **state)
{
	struct event tests = make(1, EVENT_ENOSPC), users = make(2, EVENT_STALLED);
	struct event mounts = make(3, EVENT_MOUNTED);
	struct history *history;
	uint64_t last = 0;

	tests.test = true;
	users.user_mount = true;
	assert_int_equal(history_new(&history, 4096, 1), 0);
	for (unsigned int i = 0; i < 5000; i++) {
		push(history, users);
		push(history, mounts);
		last = push(history, tests);
	}

	assert_int_equal(count(history, &tests), HISTORY_TEST_BUDGET);
	assert_int_equal(count(history, &users), 512);
	assert_int_equal(count(history, &mounts), 512);
	assert_true(has(history, last));
	assert_true(has(history, last - 3 * (HISTORY_TEST_BUDGET - 1)));
	assert_false(has(history, last - 3 * HISTORY_TEST_BUDGET));
	history_free(history);
}

static void test_thousand_filesystems(void **state)
{
	struct history *history;
	struct event flood = make(500, EVENT_ENOSPC);

	assert_int_equal(history_new(&history, HISTORY_SIZE_DEFAULT, 1), 0);
	for (uint32_t i = 0; i < 1000; i++)
		push(history, make(i, EVENT_ENOSPC));
	for (unsigned int i = 0; i < 100000; i++)
		push(history, flood);

	for (uint32_t i = 0; i < 1000; i++)
		if (i != 500)
			assert_int_equal(count(history, &(struct event){ .fs = { 8, i, i },
									 .code = EVENT_ENOSPC }),
					 1);
	assert_true(count(history, &flood) > 1000);

	/* Two that flood share what they take, and still take nothing from the others. */
	for (unsigned int i = 0; i < 100000; i++)
		push(history, make(501, EVENT_ENOSPC));
	assert_true(count(history, &flood) > 500);
	assert_int_equal(count(history, &(struct event){ .fs = { 8, 999, 999 } }), 1);
	assert_int_equal(count(history, &(struct event){ .fs = { 8, 0, 0 } }), 1);
	history_free(history);
}

static void test_severities_share(void **state)
{
	static const enum event_code codes[] = {
		EVENT_THAWED, EVENT_READ_WRITE, EVENT_STALLED, EVENT_ENOSPC, EVENT_CORRUPTED,
	};
	size_t room = 4096 - 64 - 1024;
	struct history *history;
	struct event like;

	assert_int_equal(history_new(&history, 4096, 1), 0);

	/* One alone may use all; each next one gets its part. */
	for (unsigned int i = 0; i < 5; i++) {
		for (unsigned int k = 0; k < 10000; k++)
			push(history, make(1, codes[i]));
		for (unsigned int k = 0; k <= i; k++) {
			like = make(1, codes[k]);
			assert_in_range(count(history, &like), room / (i + 1) - 1,
					room / (i + 1) + 2);
		}
	}
	history_free(history);
}

static void add_text(struct event *event, const char *key, size_t n, unsigned int flags)
{
	char *text = calloc(1, n + 1);

	memset(text, 'x', n);
	assert_int_equal(details_add_string(&event->details, key, text, flags), 0);
	free(text);
}

static void test_memory_is_bounded(void **state)
{
	struct event heavy = make(1, EVENT_CORRUPTED), light = make(2, EVENT_CORRUPTED);
	const struct event *event;
	struct history *history;
	uint64_t last = 0;
	size_t n = 0;

	add_text(&heavy, "where", DETAILS_MAX - 20, 0);
	for (size_t size = 0; size <= 4096; size += 4096) {
		assert_int_equal(history_new(&history, size, 1), 0);
		for (unsigned int i = 0; i < 300; i++)
			push(history, light);
		for (unsigned int i = 0; i < 2000; i++) {
			heavy.code = i % 2 ? EVENT_CORRUPTED : EVENT_FROZEN;
			heavy.severity = event_code_severity(heavy.code);
			heavy.test = i % 7 == 0;
			heavy.user_mount = i % 5 == 0;
			push(history, heavy);
		}
		for (n = 0, last = 0; (event = history_after(history, last)); last = event->id)
			n += event->details.n_data;
		assert_in_range(n, 1, (size ?: HISTORY_SIZE_MIN) * HISTORY_UNIT);
		assert_true(count(history, &light) > 0);
		history_free(history);
	}
	event_deinit(&heavy);
}

static void test_restore(void **state)
{
	struct event event = make(1, EVENT_CORRUPTED), kept;
	struct history *history;
	struct detail detail;

	assert_int_equal(history_new(&history, 300, 100), 0);
	assert_int_equal(details_add_string(&event.details, "where", "/", 0), 0);

	event.id = 0;
	assert_int_equal(history_restore(history, &event), -EINVAL);
	event.id = 100;
	assert_int_equal(history_restore(history, &event), -EINVAL);
	event.id = 7;
	assert_int_equal(history_restore(history, &event), 0);
	assert_int_equal(history_restore(history, &event), -EINVAL);
	event.id = 6;
	assert_int_equal(history_restore(history, &event), -EINVAL);
	event.id = 99;
	assert_int_equal(history_restore(history, &event), 0);

	assert_int_equal(history_length(history), 2);
	assert_int_equal(history_oldest(history), 7);
	assert_int_equal(history_newest(history), 99);
	kept = *history_after(history, 7);
	assert_int_equal(kept.id, 99);
	assert_true(details_find(&kept.details, "where", &detail));

	assert_int_equal(history_push(history, &event)->id, 100);
	event_deinit(&event);
	history_free(history);
}

static void test_amend(void **state)
{
	struct details more = {}, huge = {};
	struct event event = make(1, EVENT_ENOSPC);
	struct history_amendment amendment;
	struct history *history;
	struct detail detail;
	uint64_t id;

	assert_int_equal(history_new(&history, 300, 1), 0);
	assert_int_equal(details_add_string(&event.details, "where", "/", 0), 0);
	id = push(history, event);
	assert_int_equal(history_amendment_seq(history), 0);
	assert_false(history_amendment_after(history, 0, &amendment));

	assert_int_equal(details_add_u64(&more, "inode", 9, DETAIL_PRIVATE), 0);
	assert_int_equal(history_amend(history, id, &more), 0);
	assert_int_equal(history_amend(history, id, &more), -EEXIST);
	assert_int_equal(history_amend(history, id + 1, &more), -ENOENT);
	assert_int_equal(history_amend(history, 0, &more), -ENOENT);
	assert_true(details_find(&history_after(history, 0)->details, "inode", &detail));
	assert_int_equal(detail_u64(&detail), 9);

	assert_int_equal(history_amendment_seq(history), 1);
	assert_true(history_amendment_after(history, 0, &amendment));
	assert_int_equal(amendment.seq, 1);
	assert_int_equal(amendment.id, id);
	assert_int_equal(amendment.n_data, more.n_data);
	assert_memory_equal(amendment.data, more.data, more.n_data);
	assert_false(amendment.gap);
	assert_false(history_amendment_after(history, 1, &amendment));

	event_deinit(&event);
	add_text(&event, "text", DETAILS_MAX - 40, 0);
	huge = event.details;
	assert_int_equal(history_amend(history, id, &huge), -E2BIG);
	assert_int_equal(history_amendment_seq(history), 1);
	details_deinit(&huge);
	details_deinit(&more);
	history_free(history);
}

static void test_many_amendments(void **state)
{
	struct history_amendment amendment;
	struct details more = {};
	struct history *history;
	uint64_t seq = 0;
	unsigned int n = 0;

	assert_int_equal(history_new(&history, 4096, 1), 0);
	assert_int_equal(details_add_u64(&more, "inode", 9, DETAIL_PRIVATE), 0);
	for (unsigned int i = 0; i < 3 * HISTORY_AMENDMENTS; i++)
		assert_int_equal(
			history_amend(history, push(history, make(i, EVENT_ENOSPC)), &more), 0);

	while (history_amendment_after(history, seq, &amendment)) {
		assert_int_equal(amendment.gap, seq == 0);
		assert_int_equal(amendment.id, amendment.seq);
		seq = amendment.seq;
		n++;
	}
	assert_int_equal(n, HISTORY_AMENDMENTS);

	/* Those whose events are gone are passed over. */
	for (unsigned int i = 0; i < 10000; i++)
		push(history, make(5000 + i, EVENT_ENOSPC));
	assert_false(history_amendment_after(history, 0, &amendment));
	details_deinit(&more);
	history_free(history);
}

/* What grows by an amendment is counted, be it that the amended one gives way itself. */
static void test_amend_evicts(void **state)
{
	struct event event = make(1, EVENT_FROZEN), more = {};
	struct history *history;
	uint64_t first, last;

	event.test = true;
	add_text(&more, "writers", 7000, DETAIL_PRIVATE);
	assert_int_equal(history_new(&history, 300, 1), 0);
	first = push(history, event);
	for (unsigned int i = 1; i < HISTORY_TEST_BUDGET; i++)
		last = push(history, event);
	assert_true(has(history, first));

	assert_int_equal(history_amend(history, last, &more.details), 0);
	assert_false(has(history, first));
	assert_true(has(history, last));
	assert_int_equal(history_length(history), HISTORY_TEST_BUDGET - 13);

	first = history_oldest(history);
	assert_int_equal(history_amend(history, first, &more.details), 0);
	assert_false(has(history, first));
	event_deinit(&more);
	history_free(history);
}

/* A random mix, compared with what must hold after each step. */
static void test_random(void **state)
{
	struct history *history;
	uint64_t last = 0, n = 0;
	const struct event *event;

	srand(1);
	assert_int_equal(history_new(&history, 256, 1), 0);
	for (unsigned int i = 0; i < 50000; i++) {
		struct event one =
			make((uint32_t)rand() % 40, (enum event_code)(rand() % _EVENT_CODE_N));

		one.test = rand() % 20 == 0;
		one.user_mount = rand() % 20 == 0;
		if (rand() % 50 == 0)
			add_text(&one, "where", (size_t)rand() % 8000, 0);
		assert_int_equal(push(history, one), i + 1);
		assert_true(has(history, i + 1));
		assert_true(history_length(history) <= 256);
		event_deinit(&one);
	}
	while ((event = history_after(history, last))) {
		assert_true(event->id > last);
		last = event->id;
		n++;
	}
	assert_int_equal(n, history_length(history));
	history_free(history);
}

static void test_gaps(void **state)
{
	struct history_gap gap = { 10, 19 };
	struct history *history;
	size_t n;

	assert_int_equal(history_new(&history, 300, 1000), 0);
	assert_false(history_gap_after(history, 0, &gap));
	history_add_gap(history, &gap);

	/* Out of order, overlapping, empty, with ids that are not given yet: ignored. */
	history_add_gap(history, &(struct history_gap){ 5, 9 });
	history_add_gap(history, &(struct history_gap){ 19, 25 });
	history_add_gap(history, &(struct history_gap){ 30, 29 });
	history_add_gap(history, &(struct history_gap){ 0, 0 });
	history_add_gap(history, &(struct history_gap){ 40, 1000 });
	(void)history_gaps(history, &n);
	assert_int_equal(n, 1);

	assert_true(history_gap_after(history, 0, &gap) && gap.first_id == 10 && gap.last_id == 19);
	assert_true(history_gap_after(history, 18, &gap) && gap.first_id == 10);
	assert_false(history_gap_after(history, 19, &gap));

	/* More than are remembered: the oldest become one, and none is forgotten. */
	for (uint64_t i = 2; i < 3 * HISTORY_GAPS; i++)
		history_add_gap(history, &(struct history_gap){ 10 * i, 10 * i + 4 });
	(void)history_gaps(history, &n);
	assert_int_equal(n, HISTORY_GAPS);
	assert_true(history_gap_after(history, 0, &gap));
	assert_int_equal(gap.first_id, 10);
	assert_int_equal(gap.last_id, 20 * HISTORY_GAPS + 4);
	assert_true(history_gap_after(history, gap.last_id, &gap));
	assert_int_equal(gap.first_id, 20 * HISTORY_GAPS + 10);
	history_add_gap(history, &(struct history_gap){ 990, 999 });
	assert_true(history_gap_after(history, 998, &gap) && gap.last_id == 999);
	history_free(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_corrupted_outlives),
		cmocka_unit_test(test_budgets),
		cmocka_unit_test(test_thousand_filesystems),
		cmocka_unit_test(test_severities_share),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_amend),
		cmocka_unit_test(test_many_amendments),
		cmocka_unit_test(test_amend_evicts),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
