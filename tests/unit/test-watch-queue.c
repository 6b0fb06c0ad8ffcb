/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/watch-queue.h"
#include "include/fsevents_stream.h"

static struct quota *quota;

static void limit(uint64_t bytes)
{
	quota_set_limit(quota, QUOTA_QUEUE_BYTES,
			(struct quota_limit){ .per_uid = bytes, .total = UINT64_MAX });
}

static int setup(void **state)
{
	static const struct quota_limit none[_QUOTA_KIND_N];
	struct watch_queue *queue;

	assert_int_equal(quota_new(&quota, none), 0);
	limit(1U << 20);
	assert_int_equal(watch_queue_new(&queue, quota, 1000), 0);
	*state = queue;
	return 0;
}

static int teardown(void **state)
{
	watch_queue_free(*state);
	quota_free(quota); /* nothing is charged any more */
	return 0;
}

static void push(struct watch_queue *queue, uint32_t mask, const char *name, uint64_t inode)
{
	const struct change change = {
		.mask = mask,
		.inode = inode,
		.pid = 7,
		.realtime_us = 5,
		.name = name,
		.n_name = strlen(name),
	};

	watch_queue_push(queue, &change);
}

static void push_move(struct watch_queue *queue, uint32_t mask, const char *former,
		      const char *name)
{
	const struct change change = {
		.mask = FSEVENTS_MOVE | mask,
		.name = name,
		.n_name = strlen(name),
		.former = former,
		.n_former = strlen(former),
	};

	watch_queue_push(queue, &change);
}

static void push_many(struct watch_queue *queue, const char *dir, unsigned int n)
{
	char name[64];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s%u", dir, i);
		push(queue, FSEVENTS_CREATE, name, i);
	}
}

/* All there is, as "seq mask name former" or "lost count under", one after the other. */
static const char *take_all(struct watch_queue *queue)
{
	static char text[20000];
	struct watch_record record;
	const void *packet;
	size_t n, offset, used = 0;

	text[0] = '\0';
	while ((packet = watch_queue_peek(queue, WATCH_PACKET_MIN, &n))) {
		offset = 0;
		while (watch_record_next(packet, n, &offset, &record)) {
			const struct change *change = &record.change;

			if (record.is_lost)
				used += (size_t)snprintf(text + used, sizeof(text) - used,
							 "lost %u %.*s;",
							 (unsigned int)record.count,
							 (int)record.n_under, record.under);
			else
				used += (size_t)snprintf(text + used, sizeof(text) - used,
							 "%u %x %.*s%s%.*s;",
							 (unsigned int)record.seq, change->mask,
							 (int)change->n_name, change->name,
							 change->n_former ? "<" : "",
							 (int)change->n_former, change->former);
			assert_true(used < sizeof(text));
		}
		assert_int_equal(offset, n);
		watch_queue_pop(queue);
	}
	assert_true(watch_queue_is_empty(queue));
	assert_int_equal(quota_used(quota, 1000, QUOTA_QUEUE_BYTES), 0);
	return text;
}

static void test_merges(void **state)
{
	struct watch_queue *queue = *state;

	push(queue, FSEVENTS_CREATE, "f", 1);
	push(queue, FSEVENTS_MODIFY, "f", 1);
	push(queue, FSEVENTS_MODIFY, "g", 2);
	push(queue, FSEVENTS_CLOSE_WRITE, "f", 1);
	push(queue, FSEVENTS_MODIFY, "g", 2);
	assert_string_equal(take_all(queue), "1 10a f;2 2 g;");

	/* What was taken is not touched any more. */
	push(queue, FSEVENTS_MODIFY, "f", 1);
	assert_string_equal(take_all(queue), "3 2 f;");
}

static void test_merges_not(void **state)
{
	struct watch_queue *queue = *state;

	push(queue, FSEVENTS_MODIFY, "f", 1);
	push(queue, FSEVENTS_DELETE, "f", 1);
	push(queue, FSEVENTS_CREATE, "f", 2);
	push(queue, FSEVENTS_MODIFY, "f", 1); /* another inode */
	assert_string_equal(take_all(queue), "1 2 f;2 200 f;3 100 f;4 2 f;");

	/* The name is another file's after a rename, and the former nobody's. */
	push(queue, FSEVENTS_MODIFY, "f", 0);
	push_move(queue, 0, "f", "g");
	push(queue, FSEVENTS_MODIFY, "f", 0);
	assert_string_equal(take_all(queue), "5 2 f;6 10000 g<f;7 2 f;");

	push(queue, FSEVENTS_MODIFY, "a/f", 1);
	push_move(queue, FSEVENTS_DIRECTORY, "a", "b");
	push(queue, FSEVENTS_MODIFY, "a/f", 1);
	assert_string_equal(take_all(queue), "8 2 a/f;9 40010000 b<a;10 2 a/f;");

	push(queue, FSEVENTS_MODIFY, "f", 1);
	watch_queue_push_lost(queue, 0, "", 0);
	push(queue, FSEVENTS_MODIFY, "f", 1);
	assert_string_equal(take_all(queue), "11 2 f;lost 0 ;12 2 f;");
}

/* What merges must not touch what somebody holds. */
static void test_peeked_stays(void **state)
{
	struct watch_queue *queue = *state;
	struct watch_record record;
	const void *packet;
	size_t n, offset = 0;

	push(queue, FSEVENTS_MODIFY, "f", 1);
	packet = watch_queue_peek(queue, WATCH_PACKET_MAX, &n);
	push(queue, FSEVENTS_ATTRIB, "f", 1);
	assert_true(watch_record_next(packet, n, &offset, &record));
	assert_int_equal(record.change.mask, FSEVENTS_MODIFY);
	watch_queue_pop(queue);
	assert_string_equal(take_all(queue), "2 4 f;");
}

static void test_record(void **state)
{
	struct watch_queue *queue = *state;
	const struct change change = {
		.mask = FSEVENTS_MOVE | FSEVENTS_MERGED,
		.pid = 42,
		.realtime_us = 123456789,
		.inode = UINT64_MAX,
		.cookie = 9,
		.name = "new/\xff",
		.n_name = 5,
		.former = "old",
		.n_former = 3,
	};
	struct fsevents_change record;
	const void *packet;
	size_t n;

	watch_queue_push(queue, &change);
	packet = watch_queue_peek(queue, WATCH_PACKET_MAX, &n);
	assert_int_equal(n, sizeof(record) + 8);
	memcpy(&record, packet, sizeof(record));
	assert_int_equal(record.record.size, n);
	assert_int_equal(record.record.header_size, sizeof(record));
	assert_int_equal(record.record.kind, FSEVENTS_KIND_WATCH);
	assert_int_equal(record.seq, 1);
	assert_int_equal(record.realtime_usec, 123456789);
	assert_true(record.inode == UINT64_MAX);
	assert_int_equal(record.cookie, 9);
	assert_int_equal(record.mask, change.mask);
	assert_int_equal(record.pid, 42);
	assert_memory_equal((const char *)packet + sizeof(record), "new/\xffold", 8);
	watch_queue_pop(queue);
}

/* One directory at the end becomes one loss, and what comes of it after that, too. */
static void test_collapses(void **state)
{
	struct watch_queue *queue = *state;
	struct watch_queue_statistics statistics;

	limit(4096);
	push(queue, FSEVENTS_CREATE, "first", 1);
	push_many(queue, "d/", 500);
	push(queue, FSEVENTS_CREATE, "d/sub/x", 1);
	push(queue, FSEVENTS_CREATE, "e/last", 1);
	watch_queue_statistics(queue, &statistics);
	assert_int_equal(statistics.queued, 2);
	assert_int_equal(statistics.lost, 501);
	assert_string_equal(take_all(queue), "1 100 first;lost 501 d;503 100 e/last;");
}

/* The directory that collapses is not that of what comes: that one has room then. */
static void test_collapses_before(void **state)
{
	struct watch_queue *queue = *state;
	struct watch_queue_statistics statistics;
	unsigned int n = 0;

	limit(4096);
	do {
		push_many(queue, "d/", 1);
		n++;
		watch_queue_statistics(queue, &statistics);
	} while (statistics.lost == 0);
	assert_string_not_equal(take_all(queue), "");

	limit(4096);
	push_many(queue, "d/", n - 1);
	push(queue, FSEVENTS_CREATE, "e/x", 1);
	watch_queue_statistics(queue, &statistics);
	assert_int_equal(statistics.queued, 1);
	assert_non_null(strstr(take_all(queue), "d;"));
}

/* Without any room all is lost, told in its place and leading to all of it. */
static void test_no_room(void **state)
{
	struct watch_queue *queue = *state;

	limit(0);
	push(queue, FSEVENTS_CREATE, "a/b/c", 1);
	push(queue, FSEVENTS_CREATE, "a/b/d", 1);
	assert_string_equal(take_all(queue), "lost 2 a/b;");
	push(queue, FSEVENTS_CREATE, "a/b/c", 1);
	push(queue, FSEVENTS_CREATE, "a/bc/d", 1);
	watch_queue_push_lost(queue, 0, "z", 1);
	push_move(queue, 0, "a/e", "a/b/c/d");
	assert_string_equal(take_all(queue), "lost 3 a;lost 0 z;");
	push(queue, FSEVENTS_DELETE_SELF, "", 1);
	limit(4096);
	push(queue, FSEVENTS_CREATE, "x", 1);
	assert_string_equal(take_all(queue), "lost 2 ;");
	push(queue, FSEVENTS_CREATE, "x", 1);
	assert_string_equal(take_all(queue), "8 100 x;");
}

/* To look through is a directory, also where a single change was lost. */
static void test_one_is_lost(void **state)
{
	struct watch_queue *queue = *state;

	limit(0);
	push(queue, FSEVENTS_CREATE, "dir/deep/file", 1);
	assert_string_equal(take_all(queue), "lost 1 dir/deep;");
	push(queue, FSEVENTS_CREATE, "file", 2);
	assert_string_equal(take_all(queue), "lost 1 ;");
}

static void test_pushed_losses(void **state)
{
	struct watch_queue *queue = *state;
	struct watch_queue_statistics statistics;

	push(queue, FSEVENTS_CREATE, "x", 1);
	watch_queue_push_lost(queue, 3, "a/b", 3);
	watch_queue_push_lost(queue, 2, "a/b/c", 5);
	watch_queue_push_lost(queue, 4, "z", 1);
	/* With room, what comes below is told all the same. */
	push(queue, FSEVENTS_CREATE, "z/y", 1);
	watch_queue_statistics(queue, &statistics);
	assert_int_equal(statistics.pushed, 11);
	assert_int_equal(statistics.lost, 9);
	assert_string_equal(take_all(queue), "1 100 x;lost 5 a/b;lost 4 z;11 100 z/y;");
}

/* A name too long for a loss leads above, one too long for a record is a loss. */
static void test_long_names(void **state)
{
	struct watch_queue *queue = *state;
	static char name[CHANGE_NAME_MAX + 100];
	char expected[300];

	memset(name, 'n', sizeof(name) - 1);
	name[WATCH_PACKET_MIN / 100] = '/'; /* 163 */
	name[1000] = '/';
	snprintf(expected, sizeof(expected), "lost 1 %.163s;", name);
	push(queue, FSEVENTS_CREATE, name, 1);
	assert_string_equal(take_all(queue), expected);

	name[CHANGE_NAME_MAX] = '\0';
	push(queue, FSEVENTS_CREATE, name, 1);
	push_move(queue, 0, name, name);
	assert_int_equal(strncmp(take_all(queue), "2 100 nnn", 9), 0);
}

/* One that nobody reads leaves room for the others of its user. */
static void test_shares(void **state)
{
	struct watch_queue *stalled = *state, *other;
	struct watch_queue_statistics statistics;
	char dir[32];

	assert_int_equal(watch_queue_new(&other, quota, 1000), 0);
	for (unsigned int i = 0; i < 100; i++) {
		snprintf(dir, sizeof(dir), "dir%u/", i);
		push_many(stalled, dir, 1000);
	}
	watch_queue_statistics(stalled, &statistics);
	assert_true(statistics.bytes <= (1U << 19) + WATCH_PACKET_MAX);
	assert_true(statistics.bytes >= 1U << 18);
	assert_true(statistics.lost > 0);

	push_many(other, "x/", 2000);
	watch_queue_statistics(other, &statistics);
	assert_int_equal(statistics.queued, 2000);
	watch_queue_free(other);
}

/* Little is held for little, and nothing for nothing. */
static void test_lazy(void **state)
{
	struct watch_queue *queue = *state;

	assert_int_equal(quota_used(quota, 1000, QUOTA_QUEUE_BYTES), 0);
	push(queue, FSEVENTS_CREATE, "x", 1);
	assert_int_equal(quota_used(quota, 1000, QUOTA_QUEUE_BYTES), 4096);
	take_all(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_merges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merges_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peeked_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collapses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collapses_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pushed_losses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lazy, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
