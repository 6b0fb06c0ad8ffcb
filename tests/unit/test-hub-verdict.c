/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/hub-fixture.h"

static void test_verdict(void **state)
{
	uint32_t open = make(SIM_ROOT, "open"), closed = make(SIM_ROOT, "closed");
	uint32_t through = make(SIM_ROOT, "through"), below = make(through, "below");
	struct hub_statistics statistics;
	struct told told, other;

	sim.inodes[closed].mode[0] = 0;
	sim.inodes[through].mode[0] = 1; /* 711: may be passed, not listed */
	forget();
	watch(&told, SIM_ROOT, 1000, ALL);
	watch(&other, SIM_ROOT, 1001, ALL);
	touch(open, "f");
	touch(closed, "g");
	touch(through, "h");
	touch(below, "i");
	check(&told, "+open/f");
	check(&other, "+open/f +closed/g +through/h +through/below/i");
	hub_statistics(hub, &statistics);
	assert_int_equal(statistics.denied, 3);

	/* between what it may see and what it may not */
	assert_true(sim_rename(&sim, 9, open, "f", closed, "f"));
	assert_true(sim_rename(&sim, 9, closed, "g", open, "g"));
	assert_true(sim_rename(&sim, 9, through, "h", closed, "h"));
	check(&told, "-open/f +open/g");
	check(&other, "open/f>closed/f closed/g>open/g through/h>closed/h");
	unwatch(&told);
	unwatch(&other);
}

static void test_chmod(void **state)
{
	uint32_t d = make(SIM_ROOT, "d");
	struct told told;

	forget();
	watch(&told, SIM_ROOT, 1000, ALL);
	touch(d, "a");
	check(&told, "+d/a");
	touch(d, "b");
	assert_true(sim_chmod(&sim, 9, d, 0, 0));
	touch(d, "c");
	/* what is known holds for what came before the change */
	check(&told, "+d/b ~d/");
	assert_true(sim_chmod(&sim, 9, d, 0, 5));
	touch(d, "e");
	check(&told, "~d/ +d/e");
	unwatch(&told);
}

static void close_it(struct sim *ours, void *userdata)
{
	assert_true(sim_chmod(ours, 9, *(uint32_t *)userdata, 0, 0));
}

/* The answer was found before the change, and is given after it. */
static void test_chmod_overtakes(void **state)
{
	uint32_t d = make(SIM_ROOT, "d");
	struct told told;

	forget();
	watch(&told, d, 1000, ALL);
	touch(d, "a");
	sim_feed(&sim, hub, UINT32_MAX);
	assert_true(sim_ask(&sim, hub, NULL, NULL)); /* where it is */
	assert_true(sim_ask(&sim, hub, close_it, &d));
	touch(d, "b");
	check(&told, "+a ~/");
	unwatch(&told);
}

/* A directory whose names it may read, but into which it may not go. */
static void test_split(void **state)
{
	uint32_t a = make(SIM_ROOT, "a"), b = make(SIM_ROOT, "b"), d = make(a, "d");
	struct told told;

	sim.inodes[b].mode[0] = 4;
	forget();
	watch(&told, SIM_ROOT, 1000, ALL);
	touch(d, "f");
	assert_true(sim_rename(&sim, 9, a, "d", b, "e"));
	touch(d, "g");
	assert_true(sim_rename(&sim, 9, b, "e", a, "h"));
	touch(d, "i");
	check(&told, "+a/d/f -a/d/ +b/e/ -b/e/ +a/h/ +a/h/i");
	unwatch(&told);
}

/* It was closed, and gone before anybody asked: who could look below it then is not known any more. */
static void test_closed_and_gone(void **state)
{
	uint32_t a = make(SIM_ROOT, "a"), d = make(a, "d");
	struct told told;

	forget();
	watch(&told, SIM_ROOT, 1000, ALL);
	touch(d, "f");
	check(&told, "+a/d/f");
	assert_true(sim_chmod(&sim, 9, a, 0, 4));
	check(&told, "~a/");
	touch(d, "g");
	assert_true(sim_rename(&sim, 9, a, "d", SIM_ROOT, "e"));
	assert_true(sim_remove(&sim, 9, SIM_ROOT, "a"));
	check(&told, "+a/d/g -a/d/ +e/ -a/");
	unwatch(&told);
}

static void test_pids(void **state)
{
	struct told root, one, two;

	watch(&root, SIM_ROOT, 0, ALL);
	watch(&one, SIM_ROOT, 1001, ALL);
	watch(&two, SIM_ROOT, 1002, ALL);
	assert_int_not_equal(sim_make(&sim, 1, SIM_ROOT, "f", false), 0);
	check(&root, "+f");
	assert_int_equal(root.last.pid, 1);
	assert_int_equal(one.last.pid, 1);
	assert_int_equal(two.last.pid, 0);
	assert_int_not_equal(sim_make(&sim, 3, SIM_ROOT, "g", false), 0);
	check(&root, "+g");
	assert_int_equal(root.last.pid, 3);
	assert_int_equal(one.last.pid, 0);
	unwatch(&root);
	unwatch(&one);
	unwatch(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HUB_TEST(test_verdict),		HUB_TEST(test_chmod),
		HUB_TEST(test_chmod_overtakes), HUB_TEST(test_split),
		HUB_TEST(test_closed_and_gone), HUB_TEST(test_pids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
