/* SPDX-License-Identifier: GPL-2.0-or-later */

/* After a loss nobody knows the uids of a member until a scan has told them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/feed-fixture.h"

#define MEMBER 20
#define CHILD 21

static struct process_scan_entry entry_of_user(uint32_t pid, uint32_t parent, uint32_t uid)
{
	struct process_scan_entry entry = entry_of(pid, parent, 100);

	entry.uid = uid;
	return entry;
}

static void begin(struct fixture *f)
{
	fixture_init(f, &accounted_group);
	hand_fork(f, LEADER, MEMBER, MEMBER);
	assert_int_equal(f->n_events, 1);
}

/* What it executed after the loss may be what its user may not know, and it ended before it was read. */
static void test_not_found(void **state)
{
	struct fixture f;

	begin(&f);
	feed_lost(f.feed, 1);
	hand_exec(&f, MEMBER);
	hand_fork(&f, MEMBER, CHILD, CHILD);
	hand_exec(&f, CHILD);
	hand_record(&f, CHILD, 1000);
	hand_exit(&f, CHILD, CHILD, 0);
	hand_record(&f, MEMBER, 1000);
	hand_exit(&f, MEMBER, MEMBER, 0x100);
	scan(&f, &leader_entry, 1);
	assert_int_equal(f.n_events, 4);
	expect(&f, 1, GROUP_FORK, MEMBER, CHILD, 0);
	expect(&f, 2, GROUP_EXIT, CHILD, MEMBER, 0);
	expect(&f, 3, GROUP_EXIT, MEMBER, LEADER, 0x100);
	assert_int_equal(totals_of(&f).execs, 0);
	assert_int_equal(totals_of(&f).user_us, 0);
	assert_true(totals_of(&f).incomplete);
	fixture_deinit(&f);
}

/* The scan says whose it was all the while, since nothing after the loss says otherwise. */
static void test_found(void **state)
{
	for (uint32_t uid = 0; uid <= USER; uid += USER) {
		const struct process_scan_entry entries[] = { leader_entry,
							      entry_of_user(MEMBER, LEADER, uid) };
		const unsigned int n_execs = uid == USER;
		struct fixture f;

		begin(&f);
		feed_lost(f.feed, 1);
		hand_exec(&f, MEMBER);
		scan(&f, entries, 2);
		assert_int_equal(totals_of(&f).execs, n_execs);
		hand_exec(&f, MEMBER);
		assert_int_equal(totals_of(&f).execs, 2 * n_execs);
		hand_record(&f, MEMBER, 1000);
		hand_exit(&f, MEMBER, MEMBER, 0);
		assert_int_equal(totals_of(&f).user_us, 1000 * n_execs);
		fixture_deinit(&f);
	}
}

/* One of whom nothing is known forked it; what the scan says of it itself holds. */
static void test_child_found(void **state)
{
	for (uint32_t uid = 0; uid <= USER; uid += USER) {
		const struct process_scan_entry entries[] = { leader_entry,
							      entry_of_user(CHILD, 1, uid) };
		struct fixture f;

		begin(&f);
		feed_lost(f.feed, 1);
		hand_fork(&f, MEMBER, CHILD, CHILD);
		hand_exec(&f, CHILD);
		hand_exit(&f, MEMBER, MEMBER, 0);
		scan(&f, entries, 2);
		assert_int_equal(totals_of(&f).live, 2);
		assert_int_equal(totals_of(&f).execs, uid == USER);
		hand_fork(&f, CHILD, CHILD + 1, CHILD + 1);
		hand_exec(&f, CHILD + 1);
		assert_int_equal(totals_of(&f).execs, 2 * (uid == USER));
		fixture_deinit(&f);
	}
}

/* Likewise, but it became its user's only after it executed something, and before it was read. */
static void test_child_changed(void **state)
{
	struct process_scan_entry entries[] = { leader_entry, entry_of(CHILD, 1, 100) };
	struct fixture f;

	begin(&f);
	feed_lost(f.feed, 1);
	hand_fork(&f, MEMBER, CHILD, CHILD);
	hand_exec(&f, CHILD);
	hand_exit(&f, MEMBER, MEMBER, 0);
	hand_uid(&f, CHILD, CHILD, USER, USER);
	entries[1].read_ns = f.now_ns + 1;
	hand_exec(&f, CHILD);
	scan(&f, entries, 2);
	/* the first as whoever it was */
	assert_int_equal(totals_of(&f).execs, 1);
	hand_record(&f, CHILD, 1000);
	hand_exit(&f, CHILD, CHILD, 0);
	assert_int_equal(totals_of(&f).user_us, 0);
	fixture_deinit(&f);
}

/* Between two losses: no scan will ever tell. Then one does, for what comes after. */
static void test_two_losses(void **state)
{
	struct fixture f;

	begin(&f);
	feed_lost(f.feed, 1);
	hand_exec(&f, LEADER);
	hand_fork(&f, LEADER, CHILD, CHILD);
	hand_record(&f, CHILD, 1000);
	hand_exit(&f, CHILD, CHILD, 0);
	feed_lost(f.feed, 1);
	hand_exec(&f, LEADER);
	assert_int_equal(f.n_events, 3);
	expect(&f, 1, GROUP_FORK, LEADER, CHILD, 0);
	expect(&f, 2, GROUP_EXIT, CHILD, LEADER, 0);
	assert_int_equal(totals_of(&f).user_us, 0);
	scan(&f, &leader_entry, 1);
	assert_int_equal(totals_of(&f).execs, 1);
	hand_exec(&f, LEADER);
	assert_int_equal(totals_of(&f).execs, 2);
	hand_record(&f, LEADER, 1000);
	hand_exit(&f, LEADER, LEADER, 0);
	assert_int_equal(totals_of(&f).user_us, 1000);
	fixture_deinit(&f);
}

/* Nothing happens from the second one until a scan has told: what comes then is known again. */
static void test_silence(void **state)
{
	struct fixture f;

	begin(&f);
	feed_lost(f.feed, 1);
	hand_exec(&f, LEADER);
	feed_lost(f.feed, 0);
	scan(&f, &leader_entry, 1);
	assert_int_equal(totals_of(&f).execs, 0);
	hand_exec(&f, LEADER);
	assert_int_equal(totals_of(&f).execs, 1);
	fixture_deinit(&f);
}

/* What waited for a scan when the first one came is older than any loss. */
static void test_before_the_loss(void **state)
{
	struct fixture f;

	begin(&f);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	hand_exec(&f, MEMBER);
	hand_exec(&f, LEADER);
	assert_int_equal(totals_of(&f).execs, 0);
	feed_lost(f.feed, 1);
	assert_int_equal(totals_of(&f).execs, 2);
	hand_exec(&f, LEADER);
	feed_lost(f.feed, 1);
	assert_int_equal(totals_of(&f).execs, 2);
	scan(&f, &leader_entry, 1);
	assert_int_equal(totals_of(&f).execs, 2);
	fixture_deinit(&f);
}

/* A scan that is half applied says of nobody what he was when that happened. */
static void test_half_applied(void **state)
{
	struct process_scan_entry entry;
	struct fixture f;

	begin(&f);
	assert_int_equal(feed_scan_begin(f.feed), 0);
	hand_exec(&f, MEMBER);
	assert_int_equal(feed_scan_add(f.feed, &leader_entry), 0);
	for (uint32_t i = 0; i < 1000; i++) {
		entry = entry_of(1000 + i, LEADER, 100);
		assert_int_equal(feed_scan_add(f.feed, &entry), 0);
	}
	read_scan(&f);
	f.tick_ns = FEED_SLICE_NS;
	assert_int_equal(feed_scan_apply(f.feed), FEED_E_MORE);
	assert_in_range(totals_of(&f).live, 3, 1000);
	feed_lost(f.feed, 1);
	assert_int_equal(feed_scan_apply(f.feed), -EAGAIN);
	assert_int_equal(totals_of(&f).execs, 0);
	f.tick_ns = 0;
	scan(&f, &leader_entry, 1);
	assert_int_equal(totals_of(&f).live, 1);
	assert_int_equal(f.n_lost, 1);
	fixture_deinit(&f);
}

/* Who forks may be another's by now: not relayed, and counted. */
static void test_relay(void **state)
{
	const struct relay_options options = { .pid = 30, .signal = 40, .owner = USER };
	const struct process_scan_entry entries[] = { leader_entry, entry_of(MEMBER, LEADER, 100) };
	struct fixture f;
	struct relay *relay;
	uint64_t lost;

	begin(&f);
	assert_int_equal(relay_add(feed_relays(f.feed), &options, NULL, &relay), 0);
	scan(&f, entries, 2);
	hand_fork(&f, LEADER, 40, 40);
	assert_int_equal(relay_sent(relay), 1);
	feed_lost(f.feed, 1);
	hand_fork(&f, MEMBER, 41, 41);
	hand_fork(&f, LEADER, 42, 42);
	lost = relay_lost(relay);
	scan(&f, entries, 1);
	assert_int_equal(relay_sent(relay), 2);
	assert_int_equal(relay_lost(relay), lost + 1);
	relay_stop(relay);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_found),	cmocka_unit_test(test_found),
		cmocka_unit_test(test_child_found),	cmocka_unit_test(test_child_changed),
		cmocka_unit_test(test_two_losses),	cmocka_unit_test(test_silence),
		cmocka_unit_test(test_before_the_loss), cmocka_unit_test(test_half_applied),
		cmocka_unit_test(test_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
