/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/core/process-owner.h"
#include "tests/unit/feed-fixture.h"

/* Lost: the end of 11, the fork of 13; what came since waits for the scan. */
static void test_loss(void **state)
{
	struct process_scan_entry entries[] = { leader_entry, entry_of(12, LEADER, 100),
						entry_of(13, 12, 101) };
	struct fixture f;

	fixture_init(&f, &root_group);
	hand_fork(&f, LEADER, 11, 11);
	hand_fork(&f, LEADER, 12, 12);
	feed_lost(f.feed, 2);
	hand_fork(&f, 13, 14, 14);
	hand_exit(&f, 14, 14, 0x500);
	assert_int_equal(f.n_events, 2);
	assert_int_equal(f.n_lost, 0);
	assert_true(feed_wants_scan(f.feed));
	entries[1].start_ticks = entries[2].start_ticks = 100;
	scan(&f, entries, 3);
	assert_false(feed_wants_scan(f.feed));
	assert_int_equal(f.n_lost, 1);
	assert_int_equal(f.lost, 2);
	assert_int_equal(totals_of(&f).lost, 2);
	assert_int_equal(totals_of(&f).live, 3);
	assert_true(totals_of(&f).incomplete);
	expect(&f, 2, GROUP_FORK, 13, 14, 0);
	expect(&f, 3, GROUP_EXIT, 14, 13, 0x500);
	fixture_deinit(&f);
}

/* The events are of all users, and so is how many: not for one of them to know. */
static void test_loss_of_user(void **state)
{
	struct fixture f;

	fixture_init(&f, &user_group);
	feed_lost(f.feed, 1000);
	scan(&f, &leader_entry, 1);
	assert_int_equal(f.n_lost, 1);
	assert_int_equal(f.lost, 0);
	assert_int_equal(totals_of(&f).lost, 0);
	assert_true(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

/* Of one who is not in the scan, an event that waited tells the end. */
static void test_end_that_waited(void **state)
{
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, 11, 11);
	feed_lost(f.feed, 1);
	hand_fork(&f, 11, 12, 12);
	hand_exit(&f, 11, 11, 9);
	scan(&f, &leader_entry, 1);
	expect(&f, 1, GROUP_FORK, 11, 12, 0);
	expect(&f, 2, GROUP_EXIT, 11, LEADER, 9);
	assert_int_equal(totals_of(&f).live, 2);
	fixture_deinit(&f);
}

static void test_all_gone(void **state)
{
	const struct process_scan_entry other = entry_of(LEADER, 1, LEADER_START + 1);
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, 11, 11);
	feed_lost(f.feed, 0);
	scan(&f, &other, 1);
	assert_int_equal(f.n_lost, 1);
	assert_int_equal(f.lost, 0);
	assert_int_equal(f.n_empty, 1);
	assert_int_equal(totals_of(&f).live, 0);
	assert_int_equal(totals_of(&f).exits, 0);
	assert_true(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

static void test_loss_during_scan(void **state)
{
	struct fixture f;

	fixture_init(&f, &root_group);
	feed_lost(f.feed, 3);
	assert_int_equal(feed_scan_apply(f.feed), -EAGAIN);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	assert_false(feed_wants_scan(f.feed));
	assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
	hand_fork(&f, LEADER, 11, 11);
	feed_lost(f.feed, 4);
	/* what waited is older than any scan to come */
	assert_int_equal(f.lost, 3);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
	feed_scan_end(f.feed, true);
	assert_int_equal(feed_scan_apply(f.feed), -EAGAIN);
	assert_true(feed_wants_scan(f.feed));
	scan(&f, &leader_entry, 1);
	assert_int_equal(f.lost, 7);
	assert_int_equal(totals_of(&f).live, 1);
	fixture_deinit(&f);
}

/* Its leader began after that part of /proc was read: the next scan decides. */
static void test_group_during_scan(void **state)
{
	const struct process_scan_entry other = entry_of(7, 1, 20);
	struct group *late;
	struct fixture f;

	fixture_init(&f, NULL);
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &user_group, &f), 0);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	assert_int_equal(group_new(&late, feed_groups(f.feed), &user_group, &f), 0);
	assert_int_equal(feed_scan_add(f.feed, &other), 0);
	end_scan(&f);
	assert_true(group_is_over(f.group));
	assert_false(group_is_ready(late));
	assert_true(feed_wants_events(f.feed) && feed_wants_scan(f.feed));
	scan(&f, &leader_entry, 1);
	assert_true(group_is_ready(late) && !group_is_over(late));
	assert_int_equal(f.n_ready, 2);
	assert_int_equal(f.n_found, 1);
	assert_false(feed_wants_scan(f.feed));
	group_free(late);
	fixture_deinit(&f);
}

static void test_waiting_bound(void **state)
{
	struct feed_statistics statistics;
	struct fixture f;

	fixture_init(&f, &root_group);
	feed_lost(f.feed, 1);
	for (uint32_t i = 0; i <= FEED_WAITING_MAX; i++)
		hand_exec(&f, LEADER);
	assert_int_equal(totals_of(&f).execs, FEED_WAITING_MAX);
	feed_statistics(f.feed, &statistics);
	assert_int_equal(statistics.waiting_dropped, 1);
	assert_int_equal(statistics.lost, 2);
	assert_true(feed_wants_scan(f.feed));
	scan(&f, &leader_entry, 1);
	assert_int_equal(totals_of(&f).lost, 2);
	assert_int_equal(totals_of(&f).execs, FEED_WAITING_MAX);
	fixture_deinit(&f);
}

static void test_rules_by_command(void **state)
{
	const struct process_rule rule = { .name = "web",
					   .command = "nginx",
					   .exits = PROCESS_EXITS_STATUS };
	const struct process_scan_entry entry = entry_of(20, 1, 60);
	struct fixture f;

	fixture_init(&f, NULL);
	f.comm = "nginx";
	assert_int_equal(feed_set_rules(f.feed, &rule, 1), 0);
	assert_true(feed_wants_events(f.feed) && feed_wants_scan(f.feed));
	scan(&f, &entry, 1);
	assert_int_equal(followed(&f), 1);
	/* inherited by a fork, looked up anew after an exec */
	hand_fork(&f, 20, 21, 21);
	hand_exit(&f, 21, 21, 0x100);
	assert_int_equal(f.n_warnings, 1);
	f.comm = "sh";
	hand_exec(&f, 20);
	hand_exit(&f, 20, 20, 0x100);
	assert_int_equal(followed(&f), 0);
	f.comm = "nginx";
	hand_exec(&f, 30);
	f.comm = NULL;
	hand_exec(&f, 31);
	assert_int_equal(followed(&f), 1);
	hand_exit(&f, 30, 30, 0x100);
	assert_int_equal(f.n_warnings, 2);
	assert_int_equal(f.n_identified, 4);

	assert_int_equal(feed_set_rules(f.feed, NULL, 0), 0);
	purge(&f);
	assert_false(feed_wants_events(f.feed));
	assert_int_equal(followed(&f), 0);
	fixture_deinit(&f);
}

/* Nobody is asked: changes of uid are events. */
static void test_rules_by_user(void **state)
{
	const struct process_rule rule = { .name = "u",
					   .user = "u",
					   .exits = PROCESS_EXITS_SIGNAL };
	const struct process_scan_entry entry = entry_of(20, 1, 60);
	struct fixture f;

	fixture_init(&f, NULL);
	assert_int_equal(feed_set_rules(f.feed, &rule, 1), 0);
	scan(&f, &entry, 1);
	assert_int_equal(followed(&f), 0);
	feed_set_user(f.feed, "u", USER);
	assert_true(feed_wants_scan(f.feed));
	scan(&f, &entry, 1);
	assert_int_equal(followed(&f), 1);
	hand_uid(&f, 30, 30, USER, USER);
	hand_uid(&f, 20, 20, 0, 0);
	assert_int_equal(followed(&f), 1);
	hand_exit(&f, 20, 20, 9);
	assert_int_equal(f.n_warnings, 0);
	hand_exit(&f, 30, 30, 9);
	assert_int_equal(f.n_warnings, 1);
	assert_int_equal(f.n_identified, 0);
	fixture_deinit(&f);
}

static void test_own_relay(void **state)
{
	const struct relay_options options = { .pid = 20, .signal = 40, .owner = USER };
	struct process_scan_entry entries[] = { entry_of(20, 1, 60), entry_of(21, 1, 60) };
	struct fixture f;
	struct relay *relay;

	fixture_init(&f, NULL);
	entries[1].uid = 0;
	assert_int_equal(relay_add(feed_relays(f.feed), &options, NULL, &relay), 0);
	assert_true(feed_wants_scan(f.feed));
	scan(&f, entries, 2);
	hand_fork(&f, 20, 30, 30);
	hand_fork(&f, 30, 31, 31);
	hand_fork(&f, 21, 32, 32);
	assert_int_equal(relay_sent(relay), 2);
	/* a login, and a setuid program */
	hand_uid(&f, 32, 32, USER, USER);
	hand_fork(&f, 32, 33, 33);
	hand_uid(&f, 30, 30, USER, 0);
	hand_fork(&f, 30, 34, 34);
	assert_int_equal(relay_sent(relay), 3);
	relay_stop(relay);
	purge(&f);
	assert_false(feed_wants_events(f.feed));
	feed_stopped(f.feed);
	assert_int_equal(followed(&f), 0);
	fixture_deinit(&f);
}

/* More than one user may have: what is missed is told; another's have room still. */
static void test_relayed_bound(void **state)
{
	const struct relay_options options[] = {
		{ .pid = 20, .signal = 40, .owner = USER },
		{ .pid = 21, .signal = 40, .owner = USER + 1 },
	};
	struct process_scan_entry entries[] = { entry_of(20, 1, 60), entry_of(21, 1, 60) };
	struct relay *relays[2];
	struct fixture f;

	fixture_init(&f, NULL);
	entries[1].uid = USER + 1;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(relay_add(feed_relays(f.feed), &options[i], NULL, &relays[i]), 0);
	scan(&f, entries, 2);
	for (uint32_t i = 1; i <= PROCESS_OWNER_MAX; i++)
		hand_fork(&f, 20, 100 + i, 100 + i);
	assert_int_equal(relay_sent(relays[0]), PROCESS_OWNER_MAX);
	assert_int_equal(relay_lost(relays[0]), 1);
	assert_int_equal(followed(&f), PROCESS_OWNER_MAX + 1);
	hand_fork(&f, 21, 22, 22);
	hand_fork(&f, 22, 23, 23);
	assert_int_equal(relay_sent(relays[1]), 2);
	assert_int_equal(relay_lost(relays[1]), 0);
	/* one that ends makes room */
	hand_exit(&f, 101, 101, 0);
	hand_fork(&f, 20, 50000, 50000);
	assert_int_equal(relay_lost(relays[0]), 1);
	relay_stop(relays[0]);
	relay_stop(relays[1]);
	purge(&f);
	feed_stopped(f.feed);
	assert_int_equal(followed(&f), 0);
	fixture_deinit(&f);
}

static size_t threads(const struct fixture *f)
{
	struct feed_statistics statistics;

	feed_statistics(f->feed, &statistics);
	return statistics.threads;
}

static void test_threads_bound(void **state)
{
	const struct process_rule rule = { .name = "all", .exits = PROCESS_EXITS_SIGNAL };
	struct process_scan_entry entries[] = { entry_of(20, 1, 60), entry_of(21, 1, 60) };
	struct fixture f;

	fixture_init(&f, NULL);
	entries[1].uid = USER + 1;
	assert_int_equal(feed_set_rules(f.feed, &rule, 1), 0);
	scan(&f, entries, 2);
	for (uint32_t i = 0; i <= PROCESS_OWNER_MAX; i++)
		hand_fork(&f, 20, 100 + i, 20);
	assert_int_equal(threads(&f), PROCESS_OWNER_MAX);
	hand_fork(&f, 21, 22, 21);
	assert_int_equal(threads(&f), PROCESS_OWNER_MAX + 1);
	hand_exit(&f, 100, 20, 0);
	hand_fork(&f, 20, 50000, 20);
	assert_int_equal(threads(&f), PROCESS_OWNER_MAX + 1);
	assert_int_equal(feed_set_rules(f.feed, NULL, 0), 0);
	purge(&f);
	assert_int_equal(threads(&f), 0);
	fixture_deinit(&f);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add_processes(struct process_table *table, uint32_t n)
{
	struct process *process;

	for (uint32_t pid = 1; pid <= n; pid++)
		assert_int_equal(process_table_add(table, pid, &process), 0);
}

static void mark_unseen(const struct process_table *table, uint32_t n)
{
	struct process *process;

	for (process = process_table_next(table, NULL); process;
	     process = process_table_next(table, process)) {
		process->unseen = process->pid <= n;
		process->scanned = true;
	}
}

static uint64_t on_no_time(void *userdata)
{
	return 0;
}

static void on_gone(struct process *process, void *userdata)
{
	++*(unsigned int *)userdata;
}

/* Half of a full table has ended, and those that live stand before them. */
static void test_sweep(void **state)
{
	const struct process_scan_ops scan_ops = { .gone = on_gone };
	_cleanup_(process_table_freep) struct process_table *table = NULL;
	_cleanup_(process_scan_freep) struct process_scan *scan = NULL;
	struct slice slice = slice_begin(on_no_time, NULL, 1);
	const uint32_t half = PROCESS_TABLE_MAX / 2;
	unsigned int n_gone = 0;
	double begin, took;

	assert_int_equal(process_table_new(&table), 0);
	add_processes(table, 2 * half);
	assert_int_equal(process_scan_new(&scan), 0);
	assert_int_equal(process_scan_begin(scan, table, true, &scan_ops, &n_gone), 0);
	assert_int_equal(process_scan_apply(scan, &slice), 0);
	mark_unseen(table, half);
	begin = seconds();
	assert_int_equal(process_scan_sweep(scan, &slice), 0);
	took = seconds() - begin;
	print_message("sweep of %u: %.1f ms\n", PROCESS_TABLE_MAX, took * 1e3);
	assert_int_equal(n_gone, half);
	assert_int_equal(process_table_size(table), half);
	assert_false(process_table_find(table, 1 + half)->scanned);
	/* a walk from the beginning for each that is gone takes longer on anything */
	assert_true(took < 1);
}

/* What a storm costs here, of processes that nobody follows and of a group's. */
static void test_storm(void **state)
{
	const struct {
		const char *who;
		uint32_t parent;
	} kinds[] = { { "others", 5 }, { "members", LEADER } };
	const uint32_t n = 1000000;
	struct fixture f;

	fixture_init(&f, &user_group);
	for (size_t k = 0; k < 2; k++) {
		double begin = seconds(), took;

		for (uint32_t i = 0; i < n; i++) {
			uint32_t pid = 1000 + i % 30000;

			hand_fork(&f, kinds[k].parent, pid, pid);
			hand_exit(&f, pid, pid, 0);
		}
		took = seconds() - begin;
		print_message("%s: %.0f ns an event\n", kinds[k].who, took * 1e9 / 2 / n);
		/* the aim is 100 ns: a storm of 200,000 events a second is 2 % of a CPU */
		assert_true(took < 20);
	}
	assert_int_equal(totals_of(&f).forks, n);
	assert_int_equal(totals_of(&f).exits, n);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_end_that_waited),
		cmocka_unit_test(test_all_gone),
		cmocka_unit_test(test_loss_during_scan),
		cmocka_unit_test(test_group_during_scan),
		cmocka_unit_test(test_loss_of_user),
		cmocka_unit_test(test_waiting_bound),
		cmocka_unit_test(test_rules_by_command),
		cmocka_unit_test(test_rules_by_user),
		cmocka_unit_test(test_own_relay),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_relayed_bound),
		cmocka_unit_test(test_threads_bound),
		cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
