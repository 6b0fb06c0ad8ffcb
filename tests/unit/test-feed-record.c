/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

/* Between the forks of a storm: none but of those whose end is known. */
static void test_awaited_record(void **state)
{
	const struct wire_taskstats record = record_of(20, 1000), later = record_of(21, 1000);
	struct fixture f;

	fixture_init(&f, &accounted_group);
	assert_false(feed_awaits_record(f.feed, &record));
	hand_fork(&f, LEADER, 20, 20);
	assert_false(feed_awaits_record(f.feed, &record));
	hand_exit(&f, 20, 20, 0);
	assert_true(feed_awaits_record(f.feed, &record));
	assert_false(feed_awaits_record(f.feed, &later));
	feed_record(f.feed, &record);
	assert_int_equal(totals_of(&f).user_us, 1000);
	/* Of the next one of its pid. */
	assert_false(feed_awaits_record(f.feed, &record));

	/* Nor where the end waits, with all events, for a scan. */
	hand_fork(&f, LEADER, 21, 21);
	feed_lost(f.feed, 1);
	hand_exit(&f, 21, 21, 0);
	assert_false(feed_awaits_record(f.feed, &later));
	fixture_deinit(&f);
}

/* Of two of one pid the record is the first one's, however many others came meanwhile. */
static void test_record_of_the_first(void **state)
{
	const struct wire_taskstats record = record_of(20, 1000);

	for (uint32_t n_others = 0; n_others < 300; n_others++) {
		struct fixture f;

		fixture_init(&f, &accounted_group);
		for (unsigned int i = 0; i < 2; i++) {
			hand_fork(&f, LEADER, 20, 20);
			/* The later one is no owner's: its figures would be left out. */
			if (i == 1)
				hand_uid(&f, 20, 20, 0, 0);
			hand_exit(&f, 20, 20, 0);
		}
		for (uint32_t i = 0; i < n_others; i++)
			hand_fork(&f, LEADER, 100 + i, 100 + i);
		feed_record(f.feed, &record);
		assert_int_equal(totals_of(&f).user_us, 1000);
		assert_false(totals_of(&f).incomplete);
		fixture_deinit(&f);
	}
}

static struct process_scan_entry later_entry(const struct fixture *f, uint32_t parent)
{
	return (struct process_scan_entry){
		.pid = 20,
		.parent = parent,
		.start_ticks = 200,
		.read_ns = f->now_ns + 1,
		.uid = USER,
		.n_threads = 1,
	};
}

/* While a scan reads, who is unknown ends, and his record comes; then somebody else has the pid. */
static void begin_with_former(struct fixture *f, uint32_t parent)
{
	const struct wire_taskstats record = record_of(20, 1000);

	fixture_init(f, &accounted_group);
	assert_int_equal(feed_scan_begin(f->feed), 0);
	hand_exit(f, 20, 20, 0);
	feed_record(f->feed, &record);
	f->now_ns = 2000000000;
	hand_fork(f, parent, 20, 20);
	assert_int_equal(feed_scan_add(f->feed, &leader_entry), 0);
}

static void hand_end(struct fixture *f, uint64_t user_us)
{
	hand_exit(f, 20, 20, 0);
	hand_record(f, 20, user_us);
}

/* Found by the scan too, or not; it ends before records are taken, or after. */
static void test_record_of_a_former(void **state)
{
	for (unsigned int i = 0; i < 4; i++) {
		const bool found = i % 2, lives = i / 2;
		struct process_scan_entry entry;
		struct fixture f;

		begin_with_former(&f, LEADER);
		entry = later_entry(&f, LEADER);
		if (found)
			assert_int_equal(feed_scan_add(f.feed, &entry), 0);
		if (!lives)
			hand_end(&f, 7);
		end_scan(&f);
		assert_int_equal(totals_of(&f).live, 1 + lives);
		if (lives)
			hand_end(&f, 7);
		assert_int_equal(totals_of(&f).live, 1);
		assert_int_equal(totals_of(&f).user_us, 7);
		assert_false(totals_of(&f).incomplete);
		fixture_deinit(&f);
	}
}

/* The later one is a leader, whose parent nobody follows. */
static void test_record_before_a_leader(void **state)
{
	struct group_options options = accounted_group;
	struct process_scan_entry entry;
	struct group_totals totals;
	struct group *group;
	struct fixture f;

	begin_with_former(&f, 1);
	entry = later_entry(&f, 1);
	options.leader = entry.pid;
	options.start_ticks = entry.start_ticks;
	assert_int_equal(group_new(&group, feed_groups(f.feed), &options, &f), 0);
	assert_int_equal(feed_scan_add(f.feed, &entry), 0);
	end_scan(&f);
	assert_true(group_is_ready(group));
	hand_end(&f, 7);
	assert_true(group_is_empty(group));
	group_totals(group, &totals);
	assert_int_equal(totals.user_us, 7);
	assert_false(totals.incomplete);
	group_free(group);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_awaited_record),
		cmocka_unit_test(test_record_of_the_first),
		cmocka_unit_test(test_record_of_a_former),
		cmocka_unit_test(test_record_before_a_leader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
