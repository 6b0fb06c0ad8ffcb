/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/hub-fixture.h"

#define HEAT 8

static struct told told;

static int setup_heat(void **state)
{
	const struct hub_options options = { .tree = true, .n_ignore_heat = HEAT };

	sim_init(&sim);
	assert_int_equal(credentials_new(&credentials), 0);
	return hub_new(&hub, &options, &ops, NULL);
}

/* So much happens in @dir that it is to be ignored. */
static void heat(uint32_t dir, unsigned int n)
{
	static unsigned int number;
	char name[16];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%u", number++);
		touch(dir, name);
		sim_settle(&sim, hub);
	}
}

static struct hub_statistics statistics(void)
{
	struct hub_statistics statistics;

	hub_statistics(hub, &statistics);
	return statistics;
}

/* It is asked for, marked and heard of. */
static void ignore(uint32_t dir)
{
	heat(dir, HEAT + 1);
	for (unsigned int i = 0; i < 3; i++)
		sim_ignore(&sim, hub);
	assert_true(sim.inodes[dir].ignored);
}

/* Nothing but directories and renames comes through. */
static void test_outside(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out");
	uint64_t events;

	forget();
	watch(&told, in, 0, ALL);
	heat(out, HEAT);
	sim_ignore(&sim, hub);
	/* The first one was not known to be outside. */
	assert_int_equal(sim.marking, 0);
	assert_int_equal(statistics().n_ignored, 0);
	ignore(out);
	assert_int_equal(statistics().ignored, 1);
	assert_int_equal(statistics().n_ignored, 1);
	events = statistics().events;
	heat(out, HEAT + 20);
	assert_int_equal(statistics().events, events);

	touch(out, "f");
	make(out, "d");
	assert_true(sim_rename(&sim, 9, out, "f", in, "f"));
	check(&told, "+f");
	touch(in, "g");
	check(&told, "+g");
	assert_int_equal(sim.n_heeded, 0);
	unwatch(&told);
}

/* What is inside is not ignored, whatever happens there, nor what is above it. */
static void test_inside(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), d = make(in, "d");

	forget();
	watch(&told, in, 0, FSEVENTS_DELETE);
	heat(in, 3 * HEAT);
	heat(d, 3 * HEAT);
	sim_ignore(&sim, hub);
	assert_int_equal(sim.marking, 0);
	assert_int_equal(statistics().outside, 0);
	unwatch(&told);
}

/* With a directory above it, too. What it did not tell is told as a loss. */
static void test_brought_in(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), d = make(out, "d");

	forget();
	watch(&told, in, 0, ALL);
	ignore(d);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "out", SIM_ROOT, "elsewhere"));
	check(&told, "");
	assert_int_equal(sim.n_heeded, 0);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "elsewhere", in, "here"));
	touch(d, "missed");
	check(&told, "+here/ lost 'here'");
	assert_int_equal(sim.n_heeded, 1);
	touch(d, "seen");
	check(&told, "+here/d/seen");
	unwatch(&told);
}

/* Where it is now is not certain, but that it is outside is, also of who never heard of anything. */
static void test_moved_outside(void **state)
{
	const struct file_event overflow = { .overflow = true };
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), d = make(out, "d");

	forget();
	watch(&told, in, 0, ALL);
	for (unsigned int i = 1; i <= 2; i++) {
		ignore(d);
		assert_true(sim_rename(&sim, 9, out, "d", out, "e"));
		assert_true(sim_rename(&sim, 9, out, "e", out, "d"));
		check(&told, "");
		assert_int_equal(sim.n_heeded, i);
		hub_feed(hub, &overflow, 1);
		check(&told, "lost ''");
	}
	touch(in, "f");
	check(&told, "+f");
	unwatch(&told);
}

/* With what it was somewhere below, before that was read. */
static void test_moved_and_brought_in(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), d = make(out, "d");

	forget();
	watch(&told, in, 0, ALL);
	touch(in, "first");
	check(&told, "+first");
	ignore(d);
	assert_true(sim_rename(&sim, 9, out, "d", out, "e"));
	assert_true(sim_rename(&sim, 9, out, "e", out, "d"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "out", in, "out"));
	touch(d, "missed");
	check(&told, "+out/ lost 'out'");
	assert_int_equal(sim.n_heeded, 1);
	touch(d, "seen");
	check(&told, "+out/d/seen");
	unwatch(&told);
}

/* One that is busy and one that is idle come in: who may not list them is told the same of both. */
static void test_brought_in_hidden(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), busy = make(SIM_ROOT, "busy");
	uint32_t idle = make(SIM_ROOT, "idle");
	struct told root, open;

	sim.inodes[busy].mode[1] = sim.inodes[idle].mode[1] = 0;
	forget();
	watch(&told, in, 1001, ALL);
	watch(&root, in, 0, ALL);
	watch(&open, in, 1002, ALL);
	ignore(busy);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "idle", in, "d"));
	check(&told, "+d/");
	check(&root, "+d/");
	check(&open, "+d/");
	assert_true(sim_rename(&sim, 9, in, "d", SIM_ROOT, "idle"));
	check(&told, "-d/");
	check(&root, "-d/");
	check(&open, "-d/");
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "busy", in, "d"));
	touch(busy, "missed");
	touch(in, "f");
	check(&told, "+d/ +f");
	check(&root, "+d/ lost 'd' +f");
	check(&open, "+d/ lost 'd' +f");
	assert_int_equal(sim.n_heeded, 1);
	touch(busy, "seen");
	check(&told, "");
	check(&root, "+d/seen");
	unwatch(&told);
	unwatch(&root);
	unwatch(&open);
}

/* The one above it may be listed; that it was busy is not to be known from that either. */
static void test_brought_in_with_hidden(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), d = make(out, "d");
	struct told root;

	sim.inodes[d].mode[1] = 0;
	forget();
	watch(&told, in, 1001, ALL);
	watch(&root, in, 0, ALL);
	ignore(d);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "out", in, "here"));
	touch(d, "missed");
	check(&told, "+here/");
	check(&root, "+here/ lost 'here'");
	unwatch(&told);
	unwatch(&root);
}

/* Removed before anybody could ask who might list it: as one of those above it. */
static void test_brought_in_and_removed(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), d = make(SIM_ROOT, "d");

	forget();
	watch(&told, in, 1001, ALL);
	touch(in, "f");
	check(&told, "+f");
	ignore(d);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "d", in, "d"));
	sim.inodes[d].exists = false;
	check(&told, "+d/ lost 'd'");
	unwatch(&told);
}

/* Who may not list where it came to hears nothing of it. */
static void test_brought_in_below_hidden(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), closed = make(in, "closed"), d = make(SIM_ROOT, "d");
	struct told root;

	sim.inodes[closed].mode[1] = 0;
	forget();
	watch(&told, in, 1001, ALL);
	watch(&root, in, 0, ALL);
	ignore(d);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "d", closed, "d"));
	check(&told, "");
	check(&root, "+closed/d/ lost 'closed/d'");
	assert_int_equal(sim.n_heeded, 1);
	unwatch(&told);
	unwatch(&root);
}

/* It is marked only after it came. */
static void test_marked_late(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), d = make(SIM_ROOT, "d");

	forget();
	watch(&told, in, 0, ALL);
	heat(d, HEAT + 1);
	sim_ignore(&sim, hub);
	assert_int_equal(sim.marking, d);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "d", in, "d"));
	check(&told, "+d/ lost 'd'");
	sim_ignore(&sim, hub);
	assert_true(sim.inodes[d].ignored);
	touch(d, "missed");
	check(&told, "");
	sim_ignore(&sim, hub);
	assert_false(sim.inodes[d].ignored);
	check(&told, "lost 'd'");
	touch(d, "seen");
	check(&told, "+d/seen");
	unwatch(&told);
}

/* Likewise, and who may not list it hears nothing of that. */
static void test_marked_late_hidden(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), d = make(SIM_ROOT, "d");
	struct told root;

	sim.inodes[d].mode[1] = 0;
	forget();
	watch(&told, in, 1001, ALL);
	watch(&root, in, 0, ALL);
	heat(d, HEAT + 1);
	sim_ignore(&sim, hub);
	assert_int_equal(sim.marking, d);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "d", in, "d"));
	check(&told, "+d/");
	sim_ignore(&sim, hub);
	assert_true(sim_chmod(&sim, 9, d, 0, 4));
	check(&told, "~d/");
	check(&root, "+d/ lost 'd' ~d/");
	sim_ignore(&sim, hub);
	assert_false(sim.inodes[d].ignored);
	check(&told, "");
	check(&root, "lost 'd'");
	unwatch(&told);
	unwatch(&root);
}

static void test_watch_comes(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), d = make(out, "d");
	struct told other;

	forget();
	watch(&told, in, 0, ALL);
	ignore(d);
	watch(&other, out, 0, ALL);
	assert_int_equal(sim.n_heeded, 1);
	touch(d, "f");
	check(&other, "+d/f");
	heat(d, 3 * HEAT);
	sim_ignore(&sim, hub);
	assert_int_equal(sim.marking, 0);
	unwatch(&other);
	unwatch(&told);
}

/* What brought it in was not read when all were given up for another reason. */
static void test_brought_in_unread(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), d = make(SIM_ROOT, "d"), e = make(SIM_ROOT, "e");

	forget();
	watch(&told, in, 0, ALL);
	ignore(d);
	ignore(e);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "d", in, "d"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "e", in, "e"));
	touch(e, "missed");
	check(&told, "+d/ lost 'd' +e/ lost 'e'");
	assert_int_equal(sim.n_heeded, 1);
	touch(e, "seen");
	check(&told, "+e/seen");
	unwatch(&told);
}

static void test_overflow(void **state)
{
	const struct file_event overflow = { .overflow = true };
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out");

	forget();
	watch(&told, in, 0, ALL);
	ignore(out);
	hub_feed(hub, &overflow, 1);
	assert_int_equal(sim.n_heeded, 1);
	check(&told, "lost ''");
	ignore(out);
	assert_int_equal(statistics().ignored, 2);
	unwatch(&told);
}

/* Whoever was to mark it died; whether he did is not known. */
static void test_perhaps(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out");
	struct handle_view handle;

	forget();
	watch(&told, in, 0, ALL);
	heat(out, HEAT + 1);
	assert_true(hub_ignorable(hub, &handle));
	hub_ignored(hub, HUB_IGNORED_PERHAPS);
	assert_int_equal(sim.n_heeded, 1);
	touch(in, "f");
	check(&told, "+f");
	unwatch(&told);
}

static void test_refused(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out");
	struct handle_view handle;

	forget();
	watch(&told, in, 0, ALL);
	heat(out, HEAT + 1);
	assert_true(hub_ignorable(hub, &handle));
	hub_ignored(hub, HUB_IGNORED_NEVER);
	for (unsigned int i = 0; i < 3; i++) {
		heat(out, HEAT + 1);
		assert_false(hub_ignorable(hub, &handle));
		unwatch(&told);
		watch(&told, in, 0, ALL);
	}
	unwatch(&told);
}

/* More than can be kept in mind are begun with again. */
static void test_many(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out[5];
	char name[16];

	for (size_t i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "out%zu", i);
		out[i] = make(SIM_ROOT, name);
	}
	forget();
	watch(&told, in, 0, ALL);
	for (size_t i = 0; i < 4; i++)
		ignore(out[i]);
	assert_int_equal(sim.n_heeded, 0);
	heat(out[4], HEAT + 1);
	assert_int_equal(sim.n_heeded, 1);
	for (size_t i = 0; i < 4; i++)
		ignore(out[i]);
	assert_int_equal(statistics().ignored, 8);
	assert_int_equal(sim.n_heeded, 1);
	touch(in, "f");
	check(&told, "+f");
	unwatch(&told);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_heat, teardown)

static int setup_few(void **state)
{
	const struct hub_options options = { .tree = true,
					     .n_nodes_max = 64,
					     .n_ignore_heat = HEAT };

	sim_init(&sim);
	assert_int_equal(credentials_new(&credentials), 0);
	return hub_new(&hub, &options, &ops, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_outside),
		TEST(test_inside),
		TEST(test_brought_in),
		TEST(test_moved_outside),
		TEST(test_moved_and_brought_in),
		TEST(test_brought_in_hidden),
		TEST(test_brought_in_with_hidden),
		TEST(test_brought_in_and_removed),
		TEST(test_brought_in_below_hidden),
		TEST(test_marked_late),
		TEST(test_marked_late_hidden),
		TEST(test_watch_comes),
		TEST(test_brought_in_unread),
		TEST(test_overflow),
		TEST(test_perhaps),
		TEST(test_refused),
		cmocka_unit_test_setup_teardown(test_many, setup_few, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
