/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/hub-fixture.h"

static size_t n_told(const struct told *told)
{
	size_t n = 0;

	for (size_t i = 0; i < told->n; i++)
		n += told->text[i] == '+';
	return n;
}

/* More than one turn of the loop may take: nothing is lost, nothing out of order. */
static void test_slices(void **state)
{
	const struct hub_question *questions;
	struct told told[4];
	unsigned int n_turns = 0;
	char name[8];

	for (size_t i = 0; i < 4; i++)
		watch(&told[i], SIM_ROOT, 0, ALL);
	for (unsigned int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "%u", i);
		touch(SIM_ROOT, name);
	}
	sim_feed(&sim, hub, UINT32_MAX);
	assert_true(n_told(&told[0]) < 40);
	for (; hub_is_behind(hub); n_turns++) {
		size_t n = n_told(&told[0]);

		assert_int_equal(hub_questions(hub, &questions), 0);
		assert_true(n_told(&told[0]) > n);
	}
	assert_true(n_turns > 2);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(n_told(&told[i]), 40);
		assert_non_null(strstr(told[i].text, "+9 +10 +11 +12"));
		unwatch(&told[i]);
	}
}

static void test_overflow(void **state)
{
	uint32_t d = make(SIM_ROOT, "d");
	const struct file_event overflow = { .overflow = true };
	struct told told;

	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	touch(d, "f");
	sim_feed(&sim, hub, UINT32_MAX);
	hub_feed(hub, &overflow, 0);
	check(&told, "lost ''");
	touch(d, "g");
	check(&told, "+d/g");
	unwatch(&told);
}

static void test_row_is_full(void **state)
{
	uint32_t d = make(SIM_ROOT, "d");
	struct hub_statistics statistics;
	struct told told;

	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	for (unsigned int i = 0; i < 5; i++) {
		char name[] = { (char)('a' + i), '\0' };

		touch(d, name);
	}
	check(&told, "lost ''");
	hub_statistics(hub, &statistics);
	assert_int_equal(statistics.n_pending, 0);
	touch(d, "x");
	check(&told, "+d/x");
	unwatch(&told);
}

/* Nothing can be asked: that is a loss, and not for ever. */
static void test_questions_fail(void **state)
{
	uint32_t d = make(SIM_ROOT, "d");
	struct told told, user;

	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	sim.error = -EIO;
	touch(d, "f");
	check(&told, "lost ''");
	sim.error = 0;
	touch(d, "g");
	check(&told, "+d/g");

	watch(&user, d, 1000, ALL);
	sim.error = -EIO;
	touch(d, "h");
	check(&told, "+d/h");
	check(&user, "lost ''");
	sim.error = 0;
	touch(d, "i");
	check(&user, "+i");
	unwatch(&told);
	unwatch(&user);
}

/* More directories than are kept. */
static void test_evicted(void **state)
{
	struct hub_statistics statistics;
	struct told told;
	uint32_t dirs[100];

	for (uint32_t i = 0; i < 100; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d%u", i);
		dirs[i] = make(SIM_ROOT, name);
	}
	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 100; i++)
			touch(dirs[i], round == 0 ? "a" : round == 1 ? "b" : "c");
		sim_settle(&sim, hub);
		told.n = 0;
	}
	hub_statistics(hub, &statistics);
	assert_true(statistics.n_nodes <= 64);
	assert_true(statistics.evicted >= 200);
	assert_int_equal(statistics.delivered, 300);
	assert_int_equal(statistics.lost, 0);
	unwatch(&told);
}

/* It comes back to where it was, takes another one along, and both are gone before anybody asks. */
static void turn(uint32_t where)
{
	uint32_t a = make(where, "a"), b = make(a, "b");

	assert_true(sim_rename(&sim, 9, where, "a", where, "c"));
	assert_true(sim_rename(&sim, 9, a, "b", where, "d"));
	touch(b, "f");
	assert_true(sim_rename(&sim, 9, where, "c", where, "a"));
	assert_true(sim_rename(&sim, 9, where, "d", a, "b"));
	assert_true(sim_remove(&sim, 9, b, "f"));
	assert_true(sim_remove(&sim, 9, a, "b"));
	assert_true(sim_remove(&sim, 9, where, "a"));
}

/* What cannot be found out concerns who watches there, and needs no questions where nobody does. */
static void test_lost_where_it_was(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), below = make(out, "below");
	struct told told, other, above;
	size_t n_questions;

	forget();
	watch(&told, in, 1001, ALL);
	touch(in, "f");
	check(&told, "+f");
	turn(out);
	touch(in, "g");
	check(&told, "+g");
	n_questions = sim.n_questions;
	for (unsigned int i = 0; i < 20; i++) {
		turn(out);
		sim_settle(&sim, hub);
	}
	assert_int_equal(sim.n_questions, n_questions);
	check(&told, "");

	watch(&other, below, 0, ALL);
	watch(&above, out, 0, FSEVENTS_CLOSE_WRITE);
	touch(below, "known");
	check(&other, "+known");
	sim.error = -EIO;
	turn(below);
	sim_settle(&sim, hub);
	sim.error = 0;
	check(&told, "");
	assert_non_null(strstr(other.text, "lost ''"));
	unwatch(&above);
	unwatch(&other);
	unwatch(&told);
}

/* What it may have been taken to counts, too. */
static void test_lost_where_it_may_be(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"),
		 third = make(SIM_ROOT, "third");
	struct told told, other;
	uint32_t d;

	forget();
	watch(&told, in, 0, ALL);
	watch(&other, third, 0, ALL);
	d = make(out, "d");
	assert_true(sim_rename(&sim, 9, out, "d", in, "d"));
	assert_true(sim_rename(&sim, 9, in, "d", out, "d"));
	assert_true(sim_rename(&sim, 9, out, "d", in, "d"));
	sim.error = -EIO;
	touch(d, "f");
	sim_settle(&sim, hub);
	sim.error = 0;
	assert_non_null(strstr(told.text, "lost ''"));
	unwatch(&other);
	unwatch(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_slices, setup_slices, teardown),
		HUB_TEST(test_overflow),
		cmocka_unit_test_setup_teardown(test_row_is_full, setup_short, teardown),
		HUB_TEST(test_questions_fail),
		HUB_TEST(test_evicted),
		HUB_TEST(test_lost_where_it_was),
		HUB_TEST(test_lost_where_it_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
