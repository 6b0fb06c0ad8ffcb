/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

/* Begins a scan for a new group that shows the leader; events are to wait then. */
static void begin_scan(struct fixture *f)
{
	fixture_init(f, NULL);
	assert_int_equal(group_new(&f->group, feed_groups(f->feed), &user_group, f), 0);
	assert_int_equal(feed_scan_begin(f->feed), 0);
	assert_int_equal(feed_scan_add(f->feed, &leader_entry), 0);
}

/* 12 ended before it was read; its child 13 is found by the next scan, below the leader. */
static void test_unread_forker(void **state)
{
	struct process_scan_entry entries[] = { leader_entry, entry_of(13, LEADER, 200) };
	struct fixture f;

	begin_scan(&f);
	hand_fork(&f, 12, 13, 13);
	hand_exit(&f, 12, 12, 0);
	end_scan(&f);
	assert_false(group_is_ready(f.group));
	assert_true(feed_wants_events(f.feed) && feed_wants_scan(f.feed));
	hand_fork(&f, LEADER, 14, 14);
	scan(&f, entries, 2);
	assert_true(group_is_ready(f.group));
	assert_false(feed_wants_scan(f.feed));
	assert_int_equal(totals_of(&f).live, 3);
	assert_int_equal(totals_of(&f).forks, 0);
	assert_false(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

/* Read, but as a zombie, which is in no table. */
static void test_forker_read_late(void **state)
{
	struct process_scan_entry zombie = entry_of(12, LEADER, 100);
	struct fixture f;

	zombie.zombie = true;
	begin_scan(&f);
	assert_int_equal(feed_scan_add(f.feed, &zombie), 0);
	hand_fork(&f, 12, 13, 13);
	end_scan(&f);
	assert_false(group_is_ready(f.group));
	fixture_deinit(&f);
}

/* It was read below 12 and ended before the second pass, which saw 12 as a zombie. */
static void test_parent_read_late(void **state)
{
	const struct process_scan_entry entry = entry_of(15, 12, 110);
	struct process_scan_entry zombie = entry_of(12, LEADER, 100);
	struct fixture f;

	zombie.zombie = true;
	begin_scan(&f);
	assert_int_equal(feed_scan_add(f.feed, &entry), 0);
	assert_int_equal(feed_scan_add(f.feed, &zombie), 0);
	hand_fork(&f, 15, 16, 16);
	hand_exit(&f, 15, 15, 0);
	end_scan(&f);
	assert_false(group_is_ready(f.group));
	fixture_deinit(&f);
}

/* What strangers do is in no doubt: who was read outside, who came of them, and who is gone. */
static void test_forkers_outside(void **state)
{
	const struct process_scan_entry stranger = entry_of(20, 1, 30);
	struct fixture f;

	begin_scan(&f);
	assert_int_equal(feed_scan_add(f.feed, &stranger), 0);
	hand_fork(&f, 20, 21, 21);
	hand_fork(&f, 21, 22, 22);
	/* of one that nobody read: a child with a thread, its child, and all end */
	hand_fork(&f, 12, 13, 13);
	hand_fork(&f, 13, 15, 13);
	hand_fork(&f, 13, 14, 14);
	hand_exit(&f, 13, 13, 0);
	hand_exit(&f, 14, 14, 0);
	hand_exit(&f, 15, 13, 0);
	/* whose pid a stranger's child has next */
	hand_fork(&f, 20, 13, 13);
	hand_fork(&f, 13, 14, 14);
	end_scan(&f);
	assert_true(group_is_ready(f.group));
	assert_int_equal(totals_of(&f).live, 1);
	assert_false(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

/* Of one that nobody read a thread lives, or a grandchild: doubtful each time, then it is told. */
static void test_doubtful_for_good(void **state)
{
	struct fixture f;

	begin_scan(&f);
	for (uint32_t i = 0; i < 4; i++) {
		const uint32_t pid = 100 + 10 * i;

		assert_int_equal(f.n_ready, 0);
		if (i > 0) {
			assert_true(feed_wants_scan(f.feed));
			assert_int_equal(feed_scan_begin(f.feed), 0);
			assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
		}
		hand_fork(&f, pid, pid + 1, pid + 1);
		if (i % 2)
			hand_fork(&f, pid + 1, pid + 2, pid + 2);
		else
			hand_fork(&f, pid + 1, pid + 2, pid + 1);
		hand_exit(&f, pid + 1, pid + 1, 0);
		end_scan(&f);
	}
	assert_int_equal(f.n_ready, 1);
	assert_int_equal(f.n_found, 1);
	assert_true(totals_of(&f).incomplete);
	assert_false(feed_wants_scan(f.feed));
	fixture_deinit(&f);
}

/* It causes no scan before it may, and is served by one that another causes. */
static void test_patience(void **state)
{
	struct group_options patient = user_group;
	const struct relay_options patient_relay = {
		.pid = 20, .signal = 40, .owner = USER, .patient = true
	};
	struct group *other;
	struct relay *relay;
	struct fixture f;

	patient.patient = true;
	fixture_init(&f, NULL);
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &patient, &f), 0);
	assert_int_equal(relay_add(feed_relays(f.feed), &patient_relay, NULL, &relay), 0);
	assert_true(feed_wants_events(f.feed) && !feed_wants_scan(f.feed));
	assert_true(relay_hurry(relay) && !relay_hurry(relay));
	assert_true(feed_wants_scan(f.feed));
	relay_stop(relay);
	assert_false(feed_wants_scan(f.feed));
	assert_int_equal(group_new(&other, feed_groups(f.feed), &user_group, &f), 0);
	assert_true(feed_wants_scan(f.feed));
	scan(&f, &leader_entry, 1);
	assert_true(group_is_ready(f.group) && group_is_ready(other));
	assert_false(feed_wants_scan(f.feed));
	assert_false(group_hurry(f.group));
	group_free(other);
	group_free(f.group);
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &patient, &f), 0);
	assert_false(feed_wants_scan(f.feed));
	assert_true(group_hurry(f.group));
	assert_true(feed_wants_scan(f.feed));
	fixture_deinit(&f);
}

/* Ready to be applied after a loss: @n events that waited. */
static void wait_many(struct fixture *f, uint64_t n)
{
	fixture_init(f, &user_group);
	feed_lost(f->feed, 1);
	for (uint64_t i = 0; i < n; i++)
		hand_exec(f, LEADER);
	assert_int_equal(feed_scan_begin(f->feed), 0);
	assert_int_equal(feed_scan_add(f->feed, &leader_entry), 0);
	read_scan(f);
}

/* The loop is not kept: some in each turn, and what comes meanwhile is behind them. */
static void test_slices(void **state)
{
	unsigned int n_turns = 0;
	uint64_t execs = 0;
	struct fixture f;
	int r;

	wait_many(&f, 1000);
	f.tick_ns = FEED_SLICE_NS;
	while ((r = feed_scan_apply(f.feed)) == FEED_E_MORE) {
		assert_true(totals_of(&f).execs <= execs + SLICE_STEPS);
		execs = totals_of(&f).execs;
		hand_exec(&f, LEADER);
		assert_int_equal(totals_of(&f).execs, execs);
		assert_false(feed_wants_scan(f.feed));
		n_turns++;
		turn(&f);
	}
	assert_int_equal(r, 0);
	/* foreseen, then applied */
	assert_true(n_turns >= 2 * 1000 / SLICE_STEPS);
	assert_int_equal(totals_of(&f).execs, 1000 + n_turns);
	hand_exec(&f, LEADER);
	assert_int_equal(totals_of(&f).execs, 1001 + n_turns);
	assert_int_equal(feed_scan_apply(f.feed), -EAGAIN);
	fixture_deinit(&f);
}

static void test_loss_between_slices(void **state)
{
	struct fixture f;
	uint64_t execs;

	wait_many(&f, 1000);
	f.tick_ns = FEED_SLICE_NS;
	assert_int_equal(feed_scan_apply(f.feed), FEED_E_MORE);
	feed_lost(f.feed, 1);
	hand_exec(&f, LEADER);
	execs = totals_of(&f).execs;
	assert_true(execs < 300);
	assert_int_equal(feed_scan_apply(f.feed), -EAGAIN);
	while (!feed_wants_scan(f.feed)) {
		execs = totals_of(&f).execs;
		turn(&f);
		assert_true(totals_of(&f).execs > execs && totals_of(&f).execs < execs + 100);
	}
	/* What came after the loss is for a scan. */
	assert_int_equal(totals_of(&f).execs, 1000);
	f.tick_ns = 0;
	scan(&f, &leader_entry, 1);
	assert_int_equal(totals_of(&f).execs, 1001);
	assert_int_equal(f.n_lost, 2);
	fixture_deinit(&f);
}

/* Losses that come faster than what waited can be applied: the bound holds, and all is counted. */
static void test_losses_between_slices(void **state)
{
	struct feed_statistics statistics;
	uint64_t n_handed = 0;
	struct fixture f;

	fixture_init(&f, &root_group);
	f.tick_ns = FEED_SLICE_NS;
	feed_lost(f.feed, 1);
	for (; n_handed < FEED_WAITING_MAX; n_handed++)
		hand_exec(&f, LEADER);
	feed_lost(f.feed, 1);
	for (unsigned int i = 0; i < 3000; i++) {
		for (unsigned int k = 0; k < 100; k++, n_handed++)
			hand_exec(&f, LEADER);
		turn(&f);
	}
	feed_statistics(f.feed, &statistics);
	assert_true(statistics.waiting_dropped > 0);
	assert_int_equal(statistics.lost, 2 + statistics.waiting_dropped);
	f.tick_ns = 0;
	turn(&f);
	assert_true(feed_wants_scan(f.feed));
	scan(&f, &leader_entry, 1);
	assert_int_equal(totals_of(&f).execs, n_handed - statistics.waiting_dropped);
	assert_int_equal(totals_of(&f).lost, statistics.lost);
	fixture_deinit(&f);
}

/* As many as may wait, in one slice: a figure, for who changes it. */
static void test_release_of_many(void **state)
{
	struct timespec began, ended;
	struct fixture f;

	wait_many(&f, FEED_WAITING_MAX);
	(void)clock_gettime(CLOCK_MONOTONIC, &began);
	assert_int_equal(feed_scan_apply(f.feed), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &ended);
	print_message("%u that waited at once: %.1f ms\n", FEED_WAITING_MAX,
		      (double)(ended.tv_sec - began.tv_sec) * 1e3 +
			      (double)(ended.tv_nsec - began.tv_nsec) / 1e6);
	assert_int_equal(totals_of(&f).execs, FEED_WAITING_MAX);
	fixture_deinit(&f);
}

/* What is lost while nobody is followed: who comes then does not go by a scan that began before. */
static void test_loss_between_groups(void **state)
{
	const struct process_scan_entry entries[] = { leader_entry, entry_of(12, LEADER, 200) };
	const struct relay_options all = { .pid = 20, .signal = 40, .all = true };
	struct relay *relay;
	struct fixture f;

	begin_scan(&f);
	assert_int_equal(relay_add(feed_relays(f.feed), &all, NULL, &relay), 0);
	f.group = group_free(f.group);
	/* the fork of 12 */
	feed_lost(f.feed, 1);
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &user_group, &f), 0);
	read_scan(&f);
	assert_int_equal(feed_scan_apply(f.feed), -EAGAIN);
	assert_false(group_is_ready(f.group));
	scan(&f, entries, 2);
	assert_true(group_is_ready(f.group));
	assert_int_equal(totals_of(&f).live, 2);
	relay_stop(relay);
	fixture_deinit(&f);
}

/* Whom nobody follows any more nothing has to wait for, and no scan. */
static void test_nobody_waits(void **state)
{
	const struct relay_options all = { .pid = 20, .signal = 40, .all = true };
	struct feed_statistics statistics;
	struct relay *relay;
	struct fixture f;

	begin_scan(&f);
	assert_int_equal(relay_add(feed_relays(f.feed), &all, NULL, &relay), 0);
	hand_fork(&f, LEADER, 12, 12);
	f.group = group_free(f.group);
	feed_lost(f.feed, 1);
	purge(&f);
	turn(&f);
	assert_false(feed_wants_scan(f.feed));
	assert_true(feed_wants_events(f.feed));
	feed_scan_end(f.feed, true);
	assert_int_equal(feed_scan_apply(f.feed), -EAGAIN);
	feed_statistics(f.feed, &statistics);
	assert_int_equal(statistics.followed, 0);
	relay_stop(relay);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unread_forker),
		cmocka_unit_test(test_forker_read_late),
		cmocka_unit_test(test_parent_read_late),
		cmocka_unit_test(test_forkers_outside),
		cmocka_unit_test(test_doubtful_for_good),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_loss_between_slices),
		cmocka_unit_test(test_losses_between_slices),
		cmocka_unit_test(test_release_of_many),
		cmocka_unit_test(test_loss_between_groups),
		cmocka_unit_test(test_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
