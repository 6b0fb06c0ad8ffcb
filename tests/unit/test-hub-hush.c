/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/hub-fixture.h"

#define HEAT 4
#define SECOND 8
#define WANTED (ALL & ~FSEVENTS_ATTRIB)

static struct told told;
static uint32_t in, out;

static int setup_heat(void **state)
{
	const struct hub_options options = { .tree = true,
					     .n_ignore_heat = HEAT,
					     .second_us = SECOND };

	sim_init(&sim);
	assert_int_equal(credentials_new(&credentials), 0);
	in = make(SIM_ROOT, "in");
	out = make(SIM_ROOT, "out");
	forget();
	return hub_new(&hub, &options, &ops, NULL);
}

static void step(void)
{
	sim_settle(&sim, hub);
	sim_ignore(&sim, hub);
	sim_hush(&sim, hub);
}

static void heat(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		touch(out, "hot");
		assert_true(sim_remove(&sim, 9, out, "hot"));
		step();
	}
}

/* Nothing is heard of what happens to files in @out, nor of their renames. */
static void hush(void)
{
	for (unsigned int i = 0; i < 100 && !(sim.hushed && sim.inodes[out].silent); i++)
		heat(1);
	assert_true(sim.hushed && sim.inodes[out].silent);
	assert_true(hub_is_hushed(hub));
}

static uint64_t events(void)
{
	struct hub_statistics statistics;

	hub_statistics(hub, &statistics);
	return statistics.events;
}

static void test_silent(void **state)
{
	uint64_t before;

	watch(&told, in, 0, WANTED);
	hush();
	before = events();
	heat(10);
	touch(out, "f");
	assert_true(sim_rename(&sim, 9, out, "f", out, "g"));
	check(&told, "");
	assert_int_equal(events(), before);
	unwatch(&told);
}

/* By the half of the rename that is told. */
static void test_between(void **state)
{
	touch(in, "mine");
	touch(in, "both");
	forget();
	watch(&told, in, 0, WANTED);
	hush();
	touch(out, "f");
	touch(out, "g");
	assert_true(sim_rename(&sim, 9, out, "f", in, "f"));
	check(&told, "+f!");
	assert_int_equal(told.last.inode, sim_find(&sim, in, "f")->target);
	hush();
	assert_true(sim_rename(&sim, 9, in, "mine", out, "mine"));
	check(&told, "-mine!");
	hush();
	assert_true(sim_exchange(&sim, 9, in, "both", out, "g"));
	check(&told, "+both! +both!");
	assert_int_equal(told.last.inode, sim_find(&sim, in, "both")->target);
	unwatch(&told);
}

/* Renames where nothing is ignored are told once, as they are, and so are those of directories. */
static void test_inside(void **state)
{
	uint32_t d = make(in, "d");

	touch(in, "f");
	touch(in, "g");
	forget();
	watch(&told, in, 0, WANTED);
	hush();
	assert_true(sim_rename(&sim, 9, in, "f", d, "h"));
	check(&told, "f>d/h");
	assert_true(sim_exchange(&sim, 9, in, "g", d, "h"));
	assert_true(sim_rename(&sim, 9, in, "d", in, "e"));
	check(&told, "g>d/h d/h>g d>e/");
	hush();
	assert_true(sim_rename(&sim, 9, in, "e", out, "e"));
	check(&told, "-e/");
	unwatch(&told);
}

/* That a directory was removed is told with half of its rename, before what was done in it. */
static void test_removed(void **state)
{
	uint32_t d = make(in, "d");

	touch(d, "f");
	touch(d, "g");
	forget();
	watch(&told, in, 0, WANTED);
	hush();
	assert_true(sim_rename(&sim, 8, in, "d", in, "e"));
	assert_true(sim_rename(&sim, 9, d, "f", in, "f"));
	assert_true(sim_remove(&sim, 9, d, "g"));
	assert_true(sim_remove(&sim, 8, in, "e"));
	check(&told, "d>e/ -e/! e/f>f -e/g");
	/* By somebody else it is told in its place. */
	d = make(in, "d");
	touch(d, "f");
	check(&told, "+d/ +d/f");
	hush();
	assert_true(sim_rename(&sim, 8, in, "d", in, "e"));
	assert_true(sim_rename(&sim, 9, d, "f", in, "h"));
	assert_true(sim_remove(&sim, 9, in, "e"));
	check(&told, "d>e/ e/f>h -e/");
	unwatch(&told);
}

/* A name that was left may have come back by a link, of which nothing is told. */
static void test_links(void **state)
{
	watch(&told, in, 0, WANTED);
	hush();
	touch(in, "a");
	assert_true(sim_rename(&sim, 8, in, "a", in, "b"));
	assert_true(sim_link(&sim, 9, sim_find(&sim, in, "b")->target, in, "a"));
	check(&told, "+a +a! +b!");
	hush();
	touch(in, "gone");
	assert_true(sim_remove(&sim, 9, in, "gone"));
	check(&told, "-gone!");
	unwatch(&told);
}

/* What happens inside ends it. */
static void test_ends(void **state)
{
	watch(&told, in, 0, WANTED);
	hush();
	touch(in, "f");
	check(&told, "+f");
	for (unsigned int i = 0; i < 3; i++)
		step();
	assert_false(sim.hushed || sim.inodes[out].silent || hub_is_hushed(hub));
	/* What waits when it ends is of before. */
	touch(in, "a");
	step();
	assert_true(sim_rename(&sim, 9, in, "a", in, "b"));
	check(&told, "+a a>b");
	unwatch(&told);
}

/* Records of before wait, though it has ended. */
static void test_ends_late(void **state)
{
	watch(&told, in, 0, WANTED);
	hush();
	touch(in, "f");
	check(&told, "+f");
	touch(in, "a");
	assert_true(sim_rename(&sim, 9, in, "a", in, "b"));
	assert_true(sim_link(&sim, 9, sim_find(&sim, in, "b")->target, in, "a"));
	for (unsigned int i = 0; i < 6; i++) {
		sim_ignore(&sim, hub);
		sim_hush(&sim, hub);
	}
	assert_false(sim.hushed);
	check(&told, "+a! +a! +b!");
	unwatch(&told);
}

static void test_refused(void **state)
{
	bool hush;

	watch(&told, in, 0, WANTED);
	for (unsigned int i = 0; i < 100 && sim.n_hush == 0; i++)
		heat(1);
	assert_int_equal(sim.n_hush, 1);
	hub_hushed(hub, HUB_IGNORED_NEVER);
	sim.n_hush = 0;
	heat(20);
	assert_false(hub_hushable(hub, &hush));
	assert_int_equal(sim.n_hushed, 0);
	unwatch(&told);
}

/* Who was asked did not say what became of it: nothing is ignored before it has ended certainly. */
static void test_perhaps(void **state)
{
	struct handle_view handle;
	bool hush = true;

	watch(&told, in, 0, WANTED);
	for (unsigned int i = 0; i < 100 && sim.n_hush == 0; i++)
		heat(1);
	assert_int_equal(sim.n_hush, 1);
	hub_hushed(hub, HUB_IGNORED_PERHAPS);
	sim.n_hush = 0;
	touch(out, "f");
	sim_settle(&sim, hub);
	assert_false(hub_ignorable(hub, &handle));
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(hub_hushable(hub, &hush));
		assert_false(hush);
		hub_hushed(hub, i < 2 ? HUB_IGNORED_PERHAPS : HUB_IGNORED);
	}
	assert_false(hub_is_hushed(hub));
	unwatch(&told);
}

/* Who wants attributes of files has it ended. */
static void test_attributes(void **state)
{
	watch(&told, in, 0, ALL);
	heat(40);
	assert_int_equal(sim.n_hushed, 0);
	hub_watch_set_mask(told.watch, WANTED);
	assert_true(hub_unhush(hub));
	hush();
	assert_false(hub_unhush(hub));
	for (unsigned int i = 0; i < 3; i++)
		step();
	assert_true(hub_unhush(hub));
	for (unsigned int i = 0; i < 3; i++)
		step();
	assert_false(sim.hushed);
	hush();
	hub_watch_set_mask(told.watch, ALL);
	for (unsigned int i = 0; i < 3; i++)
		step();
	assert_false(sim.hushed);
	unwatch(&told);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_heat, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_silent),     TEST(test_between), TEST(test_inside),	 TEST(test_removed),
		TEST(test_links),      TEST(test_ends),	   TEST(test_ends_late), TEST(test_refused),
		TEST(test_attributes), TEST(test_perhaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
