/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

static const struct relay_options own_relay = { .pid = 20, .signal = 40, .owner = USER };

static const struct process_scan_entry target_entry = {
	.pid = 20, .parent = 1, .start_ticks = 60, .uid = USER, .n_threads = 1
};

/* A setuid program that puts its user on and its privileges by: its own again after an exec. */
static void test_saved_uid(void **state)
{
	struct fixture f;
	struct relay *relay;

	fixture_init(&f, &user_group);
	assert_int_equal(relay_add(feed_relays(f.feed), &own_relay, NULL, &relay), 0);
	scan(&f, &target_entry, 1);
	hand_fork(&f, 20, 30, 30);
	assert_int_equal(relay_sent(relay), 1);
	f.saved_uid = 0;
	hand_uid(&f, 30, 30, USER, 0);
	hand_exec(&f, 30);
	hand_fork(&f, 30, 31, 31);
	hand_uid(&f, 30, 30, USER, USER);
	hand_fork(&f, 30, 32, 32);
	hand_fork(&f, 32, 33, 33);
	assert_int_equal(relay_sent(relay), 1);
	hand_exec(&f, 32);
	hand_fork(&f, 32, 34, 34);
	assert_int_equal(relay_sent(relay), 2);
	hand_fork(&f, 30, 35, 35);
	assert_int_equal(relay_sent(relay), 2);
	relay_stop(relay);
	fixture_deinit(&f);
}

static bool process_is_users(const struct fixture *f, uint32_t pid)
{
	const struct process *process = NULL;

	while ((process = group_member_next(f->group, process)))
		if (process->pid == pid)
			return process->uid_known && process->uid == USER && !process->uid_mixed;

	return false;
}

/* One that nobody followed and that can be root again at any time; then it cannot any more. */
static void test_saved_uid_of_stranger(void **state)
{
	struct fixture f;
	struct relay *relay;

	fixture_init(&f, NULL);
	assert_int_equal(relay_add(feed_relays(f.feed), &own_relay, NULL, &relay), 0);
	scan(&f, &target_entry, 1);
	f.saved_uid = 0;
	hand_uid(&f, 40, 40, USER, USER);
	hand_fork(&f, 40, 41, 41);
	hand_fork(&f, 41, 42, 42);
	assert_int_equal(relay_sent(relay), 0);
	f.saved_uid = USER;
	hand_uid(&f, 40, 40, USER, USER);
	hand_fork(&f, 40, 43, 43);
	assert_int_equal(relay_sent(relay), 1);
	/* and one of whom nothing is known any more */
	f.uids_gone = true;
	hand_uid(&f, 50, 50, USER, USER);
	hand_fork(&f, 50, 51, 51);
	assert_int_equal(relay_sent(relay), 1);
	relay_stop(relay);
	fixture_deinit(&f);
}

/* A member that was root all over: what it executes is not its user's to know. */
static void test_saved_uid_of_member(void **state)
{
	struct process_scan_entry entries[] = { leader_entry, target_entry };
	struct fixture f;

	fixture_init(&f, NULL);
	entries[1].parent = LEADER;
	entries[1].uid = 0;
	assert_int_equal(group_new(&f.group, feed_groups(f.feed), &user_group, &f), 0);
	scan(&f, entries, 2);
	f.saved_uid = 0;
	hand_uid(&f, 20, 20, USER, USER);
	hand_fork(&f, 20, 21, 21);
	assert_false(process_is_users(&f, 20));
	assert_false(process_is_users(&f, 21));
	f.saved_uid = USER;
	hand_uid(&f, 20, 20, USER, USER);
	assert_true(process_is_users(&f, 20));
	fixture_deinit(&f);
}

/*
 * Root's, until after it forked and before the scan read it: what it made before is
 * root's still, and so is what it did.
 */
static void test_uid_before_scan(void **state)
{
	struct process_scan_entry entries[] = { target_entry, target_entry };
	struct fixture f;
	struct relay *relay;

	fixture_init(&f, NULL);
	entries[1].pid = 40;
	assert_int_equal(relay_add(feed_relays(f.feed), &own_relay, NULL, &relay), 0);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	hand_fork(&f, 40, 41, 41);
	hand_uid(&f, 40, 40, USER, USER);
	hand_fork(&f, 40, 42, 42);
	for (size_t i = 0; i < 2; i++) {
		entries[i].read_ns = f.now_ns + 1;
		assert_int_equal(feed_scan_add(f.feed, &entries[i]), 0);
	}
	end_scan(&f);
	hand_fork(&f, 41, 43, 43);
	assert_int_equal(relay_sent(relay), 0);
	hand_fork(&f, 42, 44, 44);
	assert_int_equal(relay_sent(relay), 1);
	assert_int_equal(relay_lost(relay), 0);
	hand_fork(&f, 40, 45, 45);
	assert_int_equal(relay_sent(relay), 2);
	relay_stop(relay);
	fixture_deinit(&f);
}

/* One that becomes its user's where there is no room for it: its forks are not known. */
static void test_uid_without_room(void **state)
{
	static const struct process_rule all = { .name = "all", .fork_rate = 1000000 };
	struct process_scan_entry entry = target_entry;
	struct fixture f;
	struct relay *relay;

	fixture_init(&f, NULL);
	assert_int_equal(feed_set_rules(f.feed, &all, 1), 0);
	assert_int_equal(relay_add(feed_relays(f.feed), &own_relay, NULL, &relay), 0);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	for (uint32_t i = 0; i < PROCESS_TABLE_MAX; i++) {
		assert_int_equal(feed_scan_add(f.feed, &entry), 0);
		entry.pid = 100 + i;
		entry.uid = 0;
	}
	end_scan(&f);
	assert_int_equal(relay_lost(relay), 0);
	hand_uid(&f, 40, 40, 0, 0);
	assert_int_equal(relay_lost(relay), 0);
	hand_uid(&f, 40, 40, USER, USER);
	assert_int_equal(relay_lost(relay), 1);
	hand_fork(&f, 40, 41, 41);
	assert_int_equal(relay_sent(relay), 0);
	relay_stop(relay);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saved_uid),
		cmocka_unit_test(test_saved_uid_of_stranger),
		cmocka_unit_test(test_saved_uid_of_member),
		cmocka_unit_test(test_uid_before_scan),
		cmocka_unit_test(test_uid_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
