/* SPDX-License-Identifier: GPL-2.0-or-later */

/* No turn of the loop does much, whatever waits: counted in steps, not in time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

/* With a clock that goes on by a slice each time that it is asked. */
#define STEPS SLICE_STEPS
#define MANY 5000U
#define FIRST 1000U

/* Up to where it is read, and its round has ended. */
static void scan_many(struct fixture *f, uint32_t n_children)
{
	struct process_scan_entry entry = leader_entry;

	assert_int_equal(feed_scan_begin(f->feed), 0);
	assert_int_equal(feed_scan_add(f->feed, &entry), 0);
	entry.parent = LEADER;
	entry.start_ticks = LEADER_START + 1;
	for (uint32_t i = 0; i < n_children; i++) {
		entry.pid = FIRST + i;
		assert_int_equal(feed_scan_add(f->feed, &entry), 0);
	}
	read_scan(f);
}

/* Return: in how many slices it was applied, each of which changes few. */
static unsigned int apply(struct fixture *f)
{
	unsigned int n_slices = 0;
	int r;

	do {
		const struct group_totals before = totals_of(f);
		struct group_totals after;

		assert_true(!feed_wants_scan(f->feed));
		r = feed_scan_apply(f->feed);
		after = totals_of(f);
		assert_true(after.live <= before.live + STEPS && before.live <= after.live + STEPS);
		assert_true(after.exits <= before.exits + STEPS);
		assert_true(after.user_us <= before.user_us + STEPS);
		n_slices++;
		turn(f);
	} while (r == FEED_E_MORE);

	assert_int_equal(r, 0);
	return n_slices;
}

static void add_many(struct fixture *f)
{
	fixture_init(f, &accounted_group);
	for (uint32_t i = 0; i < MANY; i++)
		hand_fork(f, LEADER, FIRST + i, FIRST + i);
	assert_int_equal(totals_of(f).live, 1 + MANY);
	f->tick_ns = FEED_SLICE_NS;
}

/* All are found, and those who are there are told apart from those who are gone. */
static void test_found(void **state)
{
	struct fixture f;
	unsigned int n_slices;

	fixture_init(&f, &accounted_group);
	f.tick_ns = FEED_SLICE_NS;
	feed_lost(f.feed, 1);
	scan_many(&f, MANY);
	n_slices = apply(&f);
	assert_int_equal(totals_of(&f).live, 1 + MANY);
	/* visited, missed, swept, and looked at for a purge */
	assert_true(n_slices >= 3 * MANY / STEPS);
	purge(&f);
	assert_int_equal(followed(&f), 1 + MANY);
	fixture_deinit(&f);
}

/* Of so many some are there still. */
static void apply_to(uint32_t n, uint32_t n_there)
{
	struct fixture f;

	fixture_init(&f, &accounted_group);
	f.tick_ns = FEED_SLICE_NS;
	for (uint32_t i = 0; i < n; i++)
		hand_fork(&f, LEADER, FIRST + i, FIRST + i);
	feed_lost(f.feed, 1);
	scan_many(&f, n_there);
	apply(&f);
	purge(&f);
	assert_int_equal(totals_of(&f).live, 1 + n_there);
	assert_int_equal(followed(&f), 1 + n_there);
	fixture_deinit(&f);
}

/* Wherever a slice ends: with the last one of something, too. */
static void test_numbers(void **state)
{
	for (uint32_t n = 4; n < 4 + STEPS; n++)
		for (uint32_t n_there = 0; n_there < 4; n_there++)
			apply_to(n, n_there);
}

/* Each has a parent that the scan read after it. */
static void test_chain(void **state)
{
	struct process_scan_entry entry = leader_entry;
	struct fixture f;

	fixture_init(&f, &accounted_group);
	f.tick_ns = FEED_SLICE_NS;
	feed_lost(f.feed, 1);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	entry.start_ticks++;
	for (uint32_t i = 0; i < MANY; i++) {
		entry.pid = FIRST + i;
		entry.parent = i + 1 < MANY ? FIRST + i + 1 : LEADER;
		assert_int_equal(feed_scan_add(f.feed, &entry), 0);
	}
	assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
	read_scan(&f);
	assert_true(apply(&f) >= 2 * MANY / STEPS);
	assert_int_equal(totals_of(&f).live, 1 + MANY);
	fixture_deinit(&f);
}

static void test_gone(void **state)
{
	struct fixture f;

	add_many(&f);
	feed_lost(f.feed, 1);
	scan_many(&f, 0);
	assert_true(apply(&f) >= 3 * MANY / STEPS);
	assert_int_equal(totals_of(&f).live, 1);
	assert_int_equal(totals_of(&f).exits, 0);
	purge(&f);
	assert_int_equal(followed(&f), 1);
	fixture_deinit(&f);
}

/* Ends that waited, and after all of them their records. */
static void test_records(void **state)
{
	struct fixture f;

	add_many(&f);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		hand_exit(&f, FIRST + i, FIRST + i, 0);
		hand_record(&f, FIRST + i, 1);
	}
	scan_many(&f, 0);
	assert_true(apply(&f) >= 3 * MANY / STEPS);
	assert_int_equal(totals_of(&f).exits, MANY);
	assert_int_equal(totals_of(&f).user_us, MANY);
	assert_false(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

/* Of those who had ended before the scan began, whose records alone wait for it. */
static void test_records_alone(void **state)
{
	struct fixture f;

	add_many(&f);
	for (uint32_t i = 0; i < MANY; i++)
		hand_exit(&f, FIRST + i, FIRST + i, 0);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	for (uint32_t i = 0; i < MANY; i++)
		hand_record(&f, FIRST + i, 1);
	assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
	read_scan(&f);
	assert_true(apply(&f) >= MANY / STEPS);
	assert_int_equal(totals_of(&f).user_us, MANY);
	assert_false(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

/* Ends whose records never come are given up, some in each round. */
static void test_no_records(void **state)
{
	uint64_t before;
	struct fixture f;

	add_many(&f);
	for (uint32_t i = 0; i < MANY; i++)
		hand_exit(&f, FIRST + i, FIRST + i, 0);
	assert_int_equal(followed(&f), 1 + MANY);
	do {
		before = followed(&f);
		turn(&f);
		assert_true(followed(&f) + STEPS >= before);
	} while (followed(&f) > 1);
	assert_true(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

/* Members of a group that was freed, and of one that is freed while they are looked for. */
static void test_purge(void **state)
{
	struct group *other;
	unsigned int n_turns = 0;
	struct fixture f;

	fixture_init(&f, &accounted_group);
	assert_int_equal(group_new(&other, feed_groups(f.feed), &accounted_group, &f), 0);
	scan_many(&f, 0);
	assert_int_equal(feed_scan_apply(f.feed), 0);
	purge(&f);
	f.tick_ns = FEED_SLICE_NS;
	for (uint32_t i = 0; i < MANY; i++)
		hand_fork(&f, LEADER, FIRST + i, FIRST + i);
	group_free(other);
	turn(&f);
	assert_true(feed_wants_round(f.feed));
	f.group = group_free(f.group);
	for (; feed_wants_events(f.feed); n_turns++) {
		uint64_t before = followed(&f);

		assert_true(feed_wants_round(f.feed));
		turn(&f);
		assert_true(followed(&f) + STEPS >= before);
	}
	assert_true(n_turns >= MANY / STEPS);
	assert_int_equal(followed(&f), 0);
	feed_stopped(f.feed);
	fixture_deinit(&f);
}

/* Who comes while a scan is applied was perhaps passed over by it: the next one is for him. */
static void test_newcomers(void **state)
{
	const struct relay_options options = { .pid = 30, .signal = 40, .owner = USER };
	struct group_options late_group = accounted_group;
	struct group *group;
	struct relay *relay;
	struct fixture f;

	fixture_init(&f, &accounted_group);
	f.tick_ns = FEED_SLICE_NS;
	feed_lost(f.feed, 1);
	scan_many(&f, MANY);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(feed_scan_apply(f.feed), FEED_E_MORE);
	late_group.leader = FIRST;
	late_group.start_ticks++;
	assert_int_equal(group_new(&group, feed_groups(f.feed), &late_group, &f), 0);
	assert_int_equal(relay_add(feed_relays(f.feed), &options, NULL, &relay), 0);
	apply(&f);
	assert_false(group_is_ready(group));
	assert_true(feed_wants_scan(f.feed));
	scan_many(&f, MANY);
	apply(&f);
	assert_true(group_is_ready(group) && f.n_found == 2);
	assert_false(feed_wants_scan(f.feed));
	hand_fork(&f, FIRST + MANY - 1, 50000, 50000);
	assert_int_equal(relay_sent(relay), 1);
	relay_stop(relay);
	group_free(group);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),	   cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_chain),	   cmocka_unit_test(test_gone),
		cmocka_unit_test(test_records),	   cmocka_unit_test(test_records_alone),
		cmocka_unit_test(test_no_records), cmocka_unit_test(test_purge),
		cmocka_unit_test(test_newcomers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
