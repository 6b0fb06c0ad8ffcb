/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

static struct wire_taskstats record_of(uint32_t pid)
{
	return (struct wire_taskstats){ .tid = pid, .tgid = pid, .user_us = 1000 };
}

/* Between the forks of a storm: none but of those whose end is known. */
static void test_awaited_record(void **state)
{
	const struct group_options options = {
		.leader = LEADER,
		.start_ticks = LEADER_START,
		.owner = USER,
		.accounting = true,
	};
	const struct wire_taskstats record = record_of(20), later = record_of(21);
	struct fixture f;

	fixture_init(&f, &options);
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
	const struct group_options options = {
		.leader = LEADER,
		.start_ticks = LEADER_START,
		.owner = USER,
		.accounting = true,
	};
	const struct wire_taskstats record = record_of(20);

	for (uint32_t n_others = 0; n_others < 300; n_others++) {
		struct fixture f;

		fixture_init(&f, &options);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_awaited_record),
		cmocka_unit_test(test_record_of_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
