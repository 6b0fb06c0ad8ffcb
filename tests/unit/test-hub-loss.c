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
	sim_ask(&sim, hub, NULL, NULL);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_slices, setup_slices, teardown),
		HUB_TEST(test_overflow),
		cmocka_unit_test_setup_teardown(test_row_is_full, setup_short, teardown),
		HUB_TEST(test_questions_fail),
		HUB_TEST(test_evicted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
