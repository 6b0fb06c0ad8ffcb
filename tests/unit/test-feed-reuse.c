/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Ids that are used again while a scan reads: what it read is ahead of the events. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

#define MEMBER 20
#define CHILD 21

static bool has(const struct fixture *f, uint32_t pid)
{
	const struct process *process = NULL;

	while ((process = group_member_next(f->group, process)))
		if (process->pid == pid)
			return true;

	return false;
}

/* Its parent had ended when the pass came there, and a member has that pid since. */
static void test_younger_parent(void **state)
{
	const struct process_scan_entry entries[] = {
		leader_entry,
		entry_of(CHILD, MEMBER, 100),
		entry_of(MEMBER, LEADER, 103),
	};
	struct fixture f;

	fixture_init(&f, &user_group);
	feed_lost(f.feed, 1);
	scan(&f, entries, 3);
	assert_true(has(&f, MEMBER));
	assert_false(has(&f, CHILD));
	fixture_deinit(&f);
}

/* A member was read as it had ended, and after that somebody whose parent has its pid; or before. */
static void test_ended_parent(void **state)
{
	for (uint64_t read_ns = 1000; read_ns <= 3000; read_ns += 2000) {
		struct process_scan_entry entries[] = {
			leader_entry,
			entry_of(MEMBER, LEADER, 100),
			entry_of(CHILD, MEMBER, 103),
		};
		struct fixture f;

		fixture_init(&f, &user_group);
		hand_fork(&f, LEADER, MEMBER, MEMBER);
		feed_lost(f.feed, 1);
		entries[1].zombie = true;
		entries[1].read_ns = 2000;
		entries[2].read_ns = read_ns;
		scan(&f, entries, 3);
		assert_int_equal(has(&f, CHILD), read_ns < 2000);
		fixture_deinit(&f);
	}
}

/* A member whose end is still to be told has a pid by which a stranger forks. */
static void test_strangers_child(void **state)
{
	const struct process_scan_entry entries[] = {
		leader_entry,
		entry_of(MEMBER, 1, 200),
		entry_of(CHILD, MEMBER, 201),
	};
	struct group *other;
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, MEMBER, MEMBER);
	assert_int_equal(group_new(&other, feed_groups(f.feed), &user_group, &f), 0);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	hand_exit(&f, MEMBER, MEMBER, 0);
	f.now_ns = 2000000000;
	hand_fork(&f, 1, MEMBER, MEMBER);
	hand_fork(&f, MEMBER, CHILD, CHILD);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(feed_scan_add(f.feed, &entries[i]), 0);
	end_scan(&f);
	assert_int_equal(totals_of(&f).live, 1);
	assert_int_equal(totals_of(&f).exits, 1);
	group_free(other);
	fixture_deinit(&f);
}

/* A thread of one that ended before it was read; its id is one of another that was read then. */
static void test_thread_id(void **state)
{
	const uint32_t tids[] = { CHILD, 88 };
	struct process_scan_entry entry = entry_of(CHILD, LEADER, 100);
	struct fixture f;

	fixture_init(&f, &user_group);
	hand_fork(&f, LEADER, MEMBER, MEMBER);
	hand_fork(&f, LEADER, CHILD, CHILD);
	feed_lost(f.feed, 1);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
	hand_fork(&f, MEMBER, 88, MEMBER);
	hand_exit(&f, MEMBER, MEMBER, 0);
	hand_exit(&f, 88, MEMBER, 0x300);
	hand_fork(&f, CHILD, 88, CHILD);
	entry.read_ns = f.now_ns + 1;
	entry.tids = tids;
	entry.n_tids = entry.n_threads = 2;
	assert_int_equal(feed_scan_add(f.feed, &entry), 0);
	hand_exit(&f, CHILD, CHILD, 0);
	end_scan(&f);
	expect(&f, 2, GROUP_EXIT, MEMBER, LEADER, 0x300);
	assert_int_equal(totals_of(&f).exits, 1);
	assert_true(has(&f, CHILD));
	hand_exit(&f, 88, CHILD, 0x400);
	assert_int_equal(totals_of(&f).exits, 2);
	expect(&f, 3, GROUP_EXIT, CHILD, LEADER, 0x400);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_younger_parent),
		cmocka_unit_test(test_ended_parent),
		cmocka_unit_test(test_strangers_child),
		cmocka_unit_test(test_thread_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
