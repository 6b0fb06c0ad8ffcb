/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

static const struct group_options accounted = {
	.leader = LEADER,
	.start_ticks = LEADER_START,
	.owner = USER,
	.events = 1U << GROUP_EXIT,
	.accounting = true,
};

/* The parent goes, its child stays a member and is the last. */
static void test_double_fork(void **state)
{
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, 1, 90, 90);
	hand_fork(&f, LEADER, 11, 11);
	hand_fork(&f, 11, 12, 12);
	hand_exit(&f, 11, 11, 0x100);
	hand_exec(&f, 12);
	hand_exit(&f, LEADER, LEADER, 9);
	assert_int_equal(f.n_empty, 0);
	assert_int_equal(totals_of(&f).live, 1);
	assert_int_equal(group_member_next(f.group, NULL)->pid, 12);
	assert_int_equal(group_next_seq(f.group), 6);
	hand_exit(&f, 12, 12, 0);
	expect(&f, 0, GROUP_FORK, LEADER, 11, 0);
	expect(&f, 1, GROUP_FORK, 11, 12, 0);
	expect(&f, 2, GROUP_EXIT, 11, LEADER, 0x100);
	expect(&f, 3, GROUP_EXEC, 12, 11, 0);
	expect(&f, 4, GROUP_EXIT, LEADER, 1, 9);
	expect(&f, 5, GROUP_EXIT, 12, 11, 0);
	assert_int_equal(f.n_empty, 1);
	assert_true(group_is_empty(f.group));
	assert_int_equal(totals_of(&f).forks, 2);
	assert_int_equal(totals_of(&f).execs, 1);
	assert_int_equal(totals_of(&f).exits, 3);
	assert_false(totals_of(&f).incomplete);
	assert_false(feed_wants_events(f.feed));
	fixture_deinit(&f);
}

/* Threads are no processes; the last one's status is the process's. */
static void test_threads(void **state)
{
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, 11, LEADER);
	hand_fork(&f, LEADER, 12, LEADER);
	hand_exit(&f, LEADER, LEADER, 0);
	hand_exit(&f, 12, LEADER, 0);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(totals_of(&f).live, 1);
	hand_exit(&f, 11, LEADER, 0x300);
	assert_int_equal(f.n_events, 1);
	expect(&f, 0, GROUP_EXIT, LEADER, 1, 0x300);
	fixture_deinit(&f);
}

/* A thread ends all; that the leader, or another, had ended before is told behind it. */
static void test_status_of_all(void **state)
{
	struct fixture f;

	fixture_init(&f, &user_group);
	for (uint32_t pid = 20; pid < 50; pid += 10) {
		hand_fork(&f, LEADER, pid, pid);
		hand_fork(&f, pid, pid + 1, pid);
		hand_fork(&f, pid, pid + 2, pid);
	}
	hand_exit(&f, 21, 20, 0x300);
	hand_exit(&f, 22, 20, 0);
	hand_exit(&f, 20, 20, 0);
	expect(&f, 3, GROUP_EXIT, 20, LEADER, 0x300);
	hand_exit(&f, 30, 30, 0);
	hand_exit(&f, 31, 30, 9);
	hand_exit(&f, 32, 30, 0);
	expect(&f, 4, GROUP_EXIT, 30, LEADER, 9);
	/* one that ended alone long before is not all of them */
	hand_exit(&f, 41, 40, 31);
	f.now_ns += 1000000000;
	hand_exit(&f, 42, 40, 0);
	hand_exit(&f, 40, 40, 0);
	expect(&f, 5, GROUP_EXIT, 40, LEADER, 0);
	fixture_deinit(&f);
}

/* By a thread that is not the leader: its tid goes without a word. */
static void test_exec_of_thread(void **state)
{
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, 11, LEADER);
	hand_exit(&f, LEADER, LEADER, 0);
	hand_exec(&f, LEADER);
	assert_int_equal(f.n_events, 1);
	expect(&f, 0, GROUP_EXEC, LEADER, 1, 0);
	hand_exit(&f, LEADER, LEADER, 11);
	expect(&f, 1, GROUP_EXIT, LEADER, 1, 11);
	assert_int_equal(f.n_empty, 1);
	fixture_deinit(&f);
}

/* By the leader, and by a thread: the ends of those that it ended are told in any order. */
static void test_late_ends(void **state)
{
	static const uint32_t late[][4] = {
		{ 11, 12, LEADER },	{ LEADER, 11, 12 },	{ 11, LEADER, 12 },
		{ LEADER, 11, LEADER }, { 12, LEADER, LEADER },
	};

	for (size_t i = 0; i < sizeof(late) / sizeof(*late); i++) {
		struct fixture f;

		fixture_init(&f, &user_group);
		hand_fork(&f, LEADER, 11, LEADER);
		hand_fork(&f, LEADER, 12, LEADER);
		hand_exec(&f, LEADER);
		for (size_t k = 0; k < 3; k++) {
			bool final = late[i][k] == LEADER && (k == 2 || i < 3);

			assert_int_equal(f.n_events, 1);
			hand_exit(&f, late[i][k], LEADER, final ? 0x700 : 0);
		}
		assert_int_equal(f.n_events, 2);
		expect(&f, 1, GROUP_EXIT, LEADER, 1, 0x700);
		assert_int_equal(f.n_empty, 1);
		fixture_deinit(&f);
	}
}

/* It executes once more, and makes threads, before the end of the former leader is told. */
static void test_late_ends_of_two(void **state)
{
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, 11, LEADER);
	hand_exec(&f, LEADER);
	hand_fork(&f, LEADER, 12, LEADER);
	hand_exec(&f, LEADER);
	hand_exit(&f, LEADER, LEADER, 0);
	hand_fork(&f, LEADER, 13, LEADER);
	hand_exit(&f, 12, LEADER, 0);
	hand_exit(&f, LEADER, LEADER, 0x100);
	assert_int_equal(f.n_events, 2);
	hand_exit(&f, 13, LEADER, 0x200);
	assert_int_equal(f.n_events, 3);
	expect(&f, 2, GROUP_EXIT, LEADER, 1, 0x200);
	fixture_deinit(&f);
}

static void test_setuid(void **state)
{
	const struct wire_taskstats records[] = {
		{ .tid = 11, .tgid = 11, .user_us = 100, .write_bytes = 1 },
		{ .tid = 12, .tgid = 12, .user_us = 20, .write_bytes = 2, .peak_rss_kib = 9 },
	};
	struct group_options options = accounted;
	struct fixture f;

	options.events = GROUP_EVENTS_ALL;
	fixture_init(&f, &options);
	hand_fork(&f, LEADER, 11, 11);
	hand_fork(&f, LEADER, 12, 12);
	hand_exec(&f, 12);
	hand_uid(&f, 11, 11, USER, 0);
	hand_exec(&f, 11);
	hand_fork(&f, 11, 13, 13);
	hand_exit(&f, 13, 13, 0);
	hand_exit(&f, 11, 11, 0);
	hand_exit(&f, 12, 12, 0);
	for (size_t i = 0; i < 2; i++)
		feed_record(f.feed, &records[i]);
	assert_int_equal(f.n_events, 7);
	expect(&f, 2, GROUP_EXEC, 12, LEADER, 0);
	expect(&f, 3, GROUP_FORK, 11, 13, 0);
	assert_int_equal(totals_of(&f).execs, 1);
	assert_int_equal(totals_of(&f).user_us, 20);
	assert_int_equal(totals_of(&f).write_bytes, 2);
	assert_int_equal(totals_of(&f).peak_rss_kib, 9);
	assert_true(totals_of(&f).incomplete);
	fixture_deinit(&f);

	/* who may is told all, and root */
	for (unsigned int i = 0; i < 2; i++) {
		options.all = i == 0;
		options.owner = i == 0 ? USER : 0;
		fixture_init(&f, &options);
		hand_fork(&f, LEADER, 11, 11);
		hand_uid(&f, 11, 11, USER, 0);
		hand_exec(&f, 11);
		hand_exit(&f, 11, 11, 0);
		feed_record(f.feed, &records[0]);
		assert_int_equal(totals_of(&f).execs, 1);
		assert_int_equal(totals_of(&f).user_us, 100);
		assert_false(totals_of(&f).incomplete);
		feed_lost(f.feed, 7);
		scan(&f, &leader_entry, 1);
		assert_int_equal(totals_of(&f).lost, 7);
		fixture_deinit(&f);
	}
}

static void test_records(void **state)
{
	const struct wire_taskstats leader = { .tid = LEADER,
					       .tgid = LEADER,
					       .system_us = 5,
					       .read_bytes = 4096,
					       .peak_rss_kib = 100 };
	const struct wire_taskstats thread = {
		.tid = 12, .tgid = 11, .user_us = 7, .peak_rss_kib = 300
	};
	const struct wire_taskstats other = { .tid = 77, .tgid = 77, .user_us = 1000 };
	struct fixture f;

	fixture_init(&f, &accounted);
	assert_true(feed_wants_records(f.feed));
	hand_fork(&f, LEADER, 11, 11);
	hand_fork(&f, 11, 12, 11);
	hand_exit(&f, 12, 11, 0);
	feed_record(f.feed, &thread);
	feed_record(f.feed, &other);
	hand_exit(&f, LEADER, LEADER, 0);
	hand_exit(&f, 11, 11, 0);
	assert_int_equal(f.n_events, 2);
	/* nothing lives any more, but one record may come with the next round */
	assert_int_equal(f.n_empty, 0);
	feed_record(f.feed, &leader);
	assert_int_equal(totals_of(&f).system_us, 5);
	assert_true(feed_round_end(f.feed, true));
	turn(&f);
	assert_false(feed_round_end(f.feed, true));
	assert_int_equal(f.n_empty, 1);
	assert_int_equal(totals_of(&f).user_us, 7);
	assert_int_equal(totals_of(&f).read_bytes, 4096);
	assert_int_equal(totals_of(&f).peak_rss_kib, 300);
	assert_true(totals_of(&f).incomplete);
	assert_false(feed_wants_records(f.feed));
	fixture_deinit(&f);
}

/* Kernels that do not say whose thread it was. */
static void test_records_without_tgid(void **state)
{
	const struct wire_taskstats thread = { .tid = 12, .user_us = 7 };
	const struct wire_taskstats leader = { .tid = LEADER, .user_us = 8 };
	struct fixture f;

	fixture_init(&f, &accounted);
	hand_fork(&f, LEADER, 12, LEADER);
	feed_record(f.feed, &thread);
	hand_exit(&f, 12, LEADER, 0);
	hand_exit(&f, LEADER, LEADER, 0);
	feed_record(f.feed, &leader);
	assert_int_equal(f.n_empty, 1);
	assert_int_equal(totals_of(&f).user_us, 15);
	assert_false(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

static void test_wrong_leader(void **state)
{
	struct process_scan_entry entry = leader_entry;
	struct fixture f;

	fixture_init(&f, NULL);
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &user_group, &f), 0);
	entry.start_ticks++;
	scan(&f, &entry, 1);
	assert_int_equal(f.n_ready, 1);
	assert_int_equal(f.n_found, 0);
	assert_int_equal(f.n_empty, 0);
	assert_true(group_is_over(f.group) && !group_is_empty(f.group));
	assert_false(feed_wants_events(f.feed));
	fixture_deinit(&f);
}

/* The parent of one is only in the first of the two passes. */
static void test_descendants_before(void **state)
{
	struct process_scan_entry entries[] = {
		{ .pid = 13, .parent = 12, .start_ticks = 60, .uid = USER, .n_threads = 1 },
		{ .pid = 12, .parent = 11, .start_ticks = 60, .uid = USER, .n_threads = 1 },
		{ .pid = 11, .parent = LEADER, .start_ticks = 60, .uid = USER, .n_threads = 1 },
		{ .pid = 14, .parent = LEADER, .start_ticks = 60, .zombie = true, .n_threads = 1 },
		{ .pid = 15, .parent = 16, .start_ticks = 60, .n_threads = 1 },
		{ .pid = 16, .parent = 15, .start_ticks = 60, .n_threads = 1 },
		leader_entry,
		{ .pid = 12, .parent = 1, .start_ticks = 60, .uid = USER, .n_threads = 1 },
	};
	struct fixture f;

	fixture_init(&f, NULL);
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &user_group, &f), 0);
	scan(&f, entries, sizeof(entries) / sizeof(*entries));
	/* Two that are each other's parents may belong anywhere. */
	assert_false(group_is_ready(f.group));
	entries[4].parent = 1;
	scan(&f, entries, sizeof(entries) / sizeof(*entries));
	assert_true(group_is_ready(f.group));
	assert_int_equal(totals_of(&f).live, 4);
	assert_int_equal(totals_of(&f).forks, 0);
	assert_int_equal(f.n_events, 0);
	hand_exit(&f, 13, 13, 0);
	assert_int_equal(f.n_events, 1);
	fixture_deinit(&f);
}

/* What happens while the scan goes on is of no group that waits for it. */
static void test_ends_during_scan(void **state)
{
	struct fixture f;

	fixture_init(&f, NULL);
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &user_group, &f), 0);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
	feed_scan_end(f.feed, true);
	hand_exit(&f, LEADER, LEADER, 0);
	assert_int_equal(feed_scan_apply(f.feed), 0);
	assert_int_equal(f.n_found, 1);
	assert_int_equal(f.n_empty, 1);
	assert_int_equal(f.n_events, 0);
	fixture_deinit(&f);
}

static void test_several(void **state)
{
	struct group_options inner = user_group;
	struct group *groups[8];
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, 11, 11);
	inner.leader = 11;
	inner.start_ticks = 100;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(group_new(&groups[i], feed_groups(f.feed), &inner, &f), 0);
	scan(&f,
	     (struct process_scan_entry[]){
		     leader_entry,
		     { .pid = 11,
		       .parent = LEADER,
		       .start_ticks = 100,
		       .uid = USER,
		       .n_threads = 1 },
	     },
	     2);
	hand_fork(&f, 11, 12, 12);
	for (size_t i = 0; i < 8; i++) {
		struct group_totals totals;

		group_totals(groups[i], &totals);
		assert_int_equal(totals.live, 2);
		assert_int_equal(totals.forks, 1);
	}
	assert_int_equal(totals_of(&f).live, 3);
	/* in any order, with members that live */
	for (size_t i = 0; i < 8; i++)
		group_free(groups[(i + 3) % 8]);
	hand_exit(&f, 12, 12, 0);
	assert_int_equal(totals_of(&f).live, 2);
	fixture_deinit(&f);
}

static void test_members_bound(void **state)
{
	struct feed_statistics statistics;
	struct fixture f;

	fixture_init(&f, &user_group);
	for (uint32_t i = 0; i < GROUP_MEMBERS_MAX + 100; i++)
		hand_fork(&f, LEADER, 100 + i, 100 + i);
	assert_int_equal(totals_of(&f).live, GROUP_MEMBERS_MAX);
	assert_int_equal(totals_of(&f).forks, GROUP_MEMBERS_MAX + 100);
	assert_true(totals_of(&f).incomplete);
	feed_statistics(f.feed, &statistics);
	assert_int_equal(statistics.followed, GROUP_MEMBERS_MAX);
	/* who was left out is not followed; room is used again */
	hand_exit(&f, 100, 100, 0);
	hand_fork(&f, LEADER, 99, 99);
	assert_int_equal(totals_of(&f).live, GROUP_MEMBERS_MAX);
	fixture_deinit(&f);
}

static void test_groups_bound(void **state)
{
	struct group *groups[GROUPS_MAX], *more;
	struct fixture f;

	fixture_init(&f, NULL);
	for (size_t i = 0; i < GROUPS_MAX; i++)
		assert_int_equal(group_new(&groups[i], feed_groups(f.feed), &user_group, &f), 0);
	assert_int_equal(group_new(&more, feed_groups(f.feed), &user_group, &f), -ENOSPC);
	for (size_t i = 0; i < GROUPS_MAX; i++)
		group_free(groups[i]);
	fixture_deinit(&f);
}

/* Each once; what can only be of a later process with that pid is not taken. */
static void test_starts_are_read_once(void **state)
{
	struct fixture f;
	struct process *first, *second;

	fixture_init(&f, &user_group);
	assert_null(group_member_unread(f.group, NULL));
	hand_fork(&f, LEADER, 11, 11);
	hand_fork(&f, LEADER, 12, 12);
	first = group_member_unread(f.group, NULL);
	assert_non_null(first);
	second = group_member_unread(f.group, first);
	assert_non_null(second);
	assert_null(group_member_unread(f.group, second));
	assert_int_equal(first->pid + second->pid, 11 + 12);

	assert_true(first->born_ticks > 0);
	process_set_start(first, first->born_ticks + 2);
	assert_int_equal(first->start_ticks, 0);
	process_set_start(second, second->born_ticks);
	assert_int_equal(second->start_ticks, second->born_ticks);
	assert_null(group_member_unread(f.group, NULL));
	process_set_start(second, second->born_ticks - 1);
	assert_int_equal(second->start_ticks, second->born_ticks);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_are_read_once),
		cmocka_unit_test(test_double_fork),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_status_of_all),
		cmocka_unit_test(test_exec_of_thread),
		cmocka_unit_test(test_late_ends),
		cmocka_unit_test(test_late_ends_of_two),
		cmocka_unit_test(test_setuid),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_records_without_tgid),
		cmocka_unit_test(test_wrong_leader),
		cmocka_unit_test(test_descendants_before),
		cmocka_unit_test(test_ends_during_scan),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_members_bound),
		cmocka_unit_test(test_groups_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
