/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/hub-fixture.h"

static void test_exchange(void **state)
{
	uint32_t a = make(SIM_ROOT, "a"), b = make(SIM_ROOT, "b");
	struct told told, in_a;
	uint64_t cookie;

	touch(a, "f");
	touch(b, "g");
	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	watch(&in_a, a, 0, ALL);
	assert_true(sim_exchange(&sim, 9, a, "f", b, "g"));
	check(&told, "a/f>b/g b/g>a/f");
	assert_int_not_equal(told.last.cookie, 0);
	cookie = told.last.cookie;
	check(&in_a, "-f +f");
	assert_int_equal(in_a.last.cookie, 0);
	assert_true(sim_exchange(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	touch(a, "x");
	check(&told, "a>b/ b>a/ +b/x");
	check(&in_a, "moved/ +x");
	assert_true(sim_rename(&sim, 9, b, "g", b, "h"));
	check(&told, "a/g>a/h");
	assert_int_equal(told.last.cookie, 0);
	assert_int_not_equal(cookie, 0);
	unwatch(&told);
	unwatch(&in_a);
}

/* Bits of one record have no order: what is there is asked, where it matters. */
static void test_merged(void **state)
{
	struct hub_statistics before, after;
	struct told told;

	watch(&told, SIM_ROOT, 0, ALL);
	touch(SIM_ROOT, "known");
	check(&told, "+known");
	hub_statistics(hub, &before);
	for (unsigned int i = 0; i < 3; i++) {
		touch(SIM_ROOT, "f");
		assert_true(sim_remove(&sim, 9, SIM_ROOT, "f"));
	}
	check(&told, "-f! -f! -f!");
	hub_statistics(hub, &after);
	assert_int_equal(before.questions, after.questions);

	/* by its links: it is alive, and may be there or not */
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(sim_link(&sim, 9, sim_find(&sim, SIM_ROOT, "known")->target, SIM_ROOT,
				     "l"));
		if (i == 1)
			sim_settle(&sim, hub);
		assert_true(sim_remove(&sim, 9, SIM_ROOT, "l"));
		if (i == 0)
			sim_settle(&sim, hub);
	}
	check(&told, "-l! +l -l!");
	unwatch(&told);
}

static void test_circle(void **state)
{
	struct told told;

	touch(SIM_ROOT, "a");
	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "b", SIM_ROOT, "a"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	check(&told, "a>b +b! -a!");
	unwatch(&told);
}

/* A directory is back at a name that it left, and another one that it had is below itself now. */
static void test_returned(void **state)
{
	uint32_t d = make(SIM_ROOT, "c"), x = make(SIM_ROOT, "x");
	struct told told;

	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "c", x, "n"));
	assert_true(sim_rename(&sim, 9, x, "n", SIM_ROOT, "b"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "x", d, "x"));
	touch(x, "n");
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "b", SIM_ROOT, "a"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	/* What is told of that one is called as before the directory went. */
	check(&told, "c>x/n/ x/n>b/ x>b/x/ +b/x/n b>a/ +a/x/n! -c/! -a/! +b/!");
	unwatch(&told);
}

/*
 * Its removal is in the record of its making, and it was out of sight meanwhile: where
 * what happens in it belongs, nobody can say any more.
 */
static void test_brought_back(void **state)
{
	uint32_t w = make(SIM_ROOT, "w"), o = make(SIM_ROOT, "o"), d, e;
	struct told told;

	forget();
	watch(&told, w, 0, ALL);
	d = sim_make(&sim, 2, w, "d", true);
	assert_true(sim_rename(&sim, 1, w, "d", o, "1"));
	assert_true(sim_rename(&sim, 1, o, "1", w, "d"));
	assert_int_not_equal(sim_make(&sim, 1, d, "f", false), 0);
	e = sim_make(&sim, 3, d, "e", true);
	assert_int_not_equal(sim_make(&sim, 3, e, "g", false), 0);
	assert_true(sim_close(&sim, 1, d, "f"));
	assert_true(sim_remove(&sim, 2, e, "g"));
	assert_true(sim_remove(&sim, 2, d, "e"));
	assert_true(sim_remove(&sim, 2, d, "f"));
	assert_true(sim_remove(&sim, 2, w, "d"));
	check(&told, "-d/! -d/! -d/! lost '' lost '' lost '' lost '' lost '' lost ''");
	unwatch(&told);
}

/* Of a directory that another one took the place of no record says where it was. */
static void test_replaced(void **state)
{
	uint32_t w = make(SIM_ROOT, "w"), d = make(w, "d"), h = make(d, "h");
	struct told told, written;

	make(w, "e");
	touch(h, "f");
	forget();
	watch(&told, w, 0, ALL);
	watch(&written, w, 0, FSEVENTS_CLOSE_WRITE);
	assert_true(sim_close(&sim, 1, h, "f"));
	assert_true(sim_remove(&sim, 2, h, "f"));
	assert_true(sim_remove(&sim, 2, d, "h"));
	assert_true(sim_rename(&sim, 2, w, "e", w, "d"));
	check(&told, "lost '' lost '' lost '' e>d/");
	check(&written, "lost '' lost '' lost ''");
	unwatch(&told);
	unwatch(&written);
}

/* Made and removed by one process, which a watch of what is written need not know. */
static void test_written_and_gone(void **state)
{
	uint32_t w = make(SIM_ROOT, "w"), p = make(w, "p"), d;
	struct told told;

	forget();
	watch(&told, w, 0, FSEVENTS_CLOSE_WRITE);
	d = make(p, "d");
	touch(d, "f");
	assert_true(sim_close(&sim, 9, d, "f"));
	assert_true(sim_remove(&sim, 9, d, "f"));
	assert_true(sim_remove(&sim, 9, p, "d"));
	check(&told, "~p/d/f!");
	unwatch(&told);
}

/* Too many others came before what was closed there, so that its place is not known any more. */
static void test_written_and_forgotten(void **state)
{
	uint32_t w = make(SIM_ROOT, "w"), d;
	struct told told;
	char name[8];

	forget();
	watch(&told, w, 0, FSEVENTS_CLOSE_WRITE);
	d = sim_make(&sim, 2, w, "d", true);
	assert_int_not_equal(sim_make(&sim, 2, d, "f", false), 0);
	for (unsigned int i = 0; i < 80; i++) {
		snprintf(name, sizeof(name), "%u", i);
		make(w, name);
		assert_true(sim_remove(&sim, 9, w, name));
	}
	assert_true(sim_close(&sim, 3, d, "f"));
	assert_true(sim_remove(&sim, 2, d, "f"));
	assert_true(sim_remove(&sim, 2, w, "d"));
	check(&told, "lost ''");
	touch(w, "g");
	assert_true(sim_close(&sim, 9, w, "g"));
	check(&told, "~g");
	unwatch(&told);
}

/* What is closed in a removed directory has no name, and what no mount reaches is nobody's: no losses. */
static void test_closed_later(void **state)
{
	uint32_t w = make(SIM_ROOT, "w"), d = make(w, "d"), f, o = make(SIM_ROOT, "o");
	struct sim_event closed = { .mask = FAN_CLOSE_WRITE, .pid = 9, .at = d };
	struct told told;

	f = sim_make(&sim, 1, d, "f", false);
	forget();
	watch(&told, w, 0, ALL);
	assert_true(sim_remove(&sim, 2, d, "f"));
	assert_true(sim_remove(&sim, 2, w, "d"));
	closed.target = f;
	snprintf(closed.at_name, sizeof(closed.at_name), "f");
	sim_event(&sim, &closed);
	check(&told, "-d/f -d/");
	sim.error = -EXDEV;
	touch(o, "f");
	check(&told, "");
	sim.error = 0;
	unwatch(&told);
}

/* A name that was there before its directory went, while another one has its place. */
static void test_doubted_in_removed(void **state)
{
	uint32_t d = make(SIM_ROOT, "d"), c = make(d, "c");
	struct told told;

	make(SIM_ROOT, "e");
	touch(SIM_ROOT, "a");
	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	touch(c, "x");
	check(&told, "+d/c/x");
	assert_true(sim_remove(&sim, 9, c, "x"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "a", d, "f"));
	assert_true(sim_rename(&sim, 9, d, "f", SIM_ROOT, "b"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "e", d, "c"));
	assert_true(sim_remove(&sim, 9, d, "c"));
	assert_true(sim_remove(&sim, 9, SIM_ROOT, "d"));
	touch(make(SIM_ROOT, "d"), "f");
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "b", SIM_ROOT, "a"));
	check(&told, "-d/c/x a>d/f d/f>b e>d/c/ ~d/c/ -d/c/ -d/ +d/ +d/f -b! +a!");
	unwatch(&told);
}

/* The link is in the record of the creation, before the rename. */
static void test_hidden_link(void **state)
{
	struct told told;

	watch(&told, SIM_ROOT, 0, ALL);
	touch(SIM_ROOT, "a");
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	assert_true(sim_link(&sim, 9, sim_find(&sim, SIM_ROOT, "b")->target, SIM_ROOT, "a"));
	check(&told, "+a a>b +b! +a!");

	/* as everybody does it: nothing is asked */
	sim.n_questions = 0;
	touch(SIM_ROOT, "x");
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "x", SIM_ROOT, "y"));
	assert_true(sim_remove(&sim, 9, SIM_ROOT, "y"));
	check(&told, "+x x>y -y");
	assert_int_equal(sim.n_questions, 0);
	unwatch(&told);
}

/* A name that is asked for is told as it is then: an exchange that was read later, told after it, would swap it back. */
static void test_exchange_behind_an_answer(void **state)
{
	uint32_t a = make(SIM_ROOT, "a"), b = make(SIM_ROOT, "b");
	struct told told, moves;

	touch(a, "in-a");
	touch(b, "in-b");
	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	watch(&moves, SIM_ROOT, 0, FSEVENTS_MOVE);
	/* Twice in what waits in the kernel: there the second one is in doubt. */
	assert_true(sim_exchange(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	assert_true(sim_exchange(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	sim_feed(&sim, hub, UINT32_MAX);
	/* Read later, but done before anybody looked. */
	assert_true(sim_exchange(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	check(&told, "a>b/ b>a/ +a/! +b/! +b/! +a/! +a/! +b/! +b/! +a/!");
	check(&moves, "a>b/ b>a/ a>b/ b>a/");
	/* What was done after it is news. */
	assert_true(sim_exchange(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	check(&told, "a>b/ b>a/");
	unwatch(&told);
	unwatch(&moves);
}

/* The second half of an exchange is in doubt, and so is a name below what the first one would have replaced. */
static void test_doubted_exchange(void **state)
{
	uint32_t back = make(SIM_ROOT, "a"), in = make(SIM_ROOT, "in");
	struct told told, self;

	make(SIM_ROOT, "c");
	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	watch(&self, back, 0, FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "a", in, "was"));
	assert_true(sim_rename(&sim, 9, in, "was", SIM_ROOT, "b"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "in", back, "in"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "c", SIM_ROOT, "a"));
	assert_true(sim_exchange(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	touch(in, "was");
	check(&told, "a>in/was/ in/was>b/ in>b/in/ c>a/ +a/! +b/! +b/in/was! +b/! +a/! +a/in/was!");
	check(&self, "moved/ moved/ moved/");
	unwatch(&told);
	unwatch(&self);
}

/* What was in a directory that another one took the place of is not told by the name of that one. */
static void test_doubted_in_replaced(void **state)
{
	uint32_t d = make(SIM_ROOT, "d"), e = make(SIM_ROOT, "e");
	struct told told;

	touch(d, "f");
	forget();
	watch(&told, SIM_ROOT, 0, ALL & ~FSEVENTS_ATTRIB);
	touch(e, "x");
	check(&told, "+e/x");
	assert_true(sim_remove(&sim, 9, e, "x"));
	touch(e, "f");
	assert_true(sim_rename(&sim, 9, e, "f", SIM_ROOT, "g"));
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "d", SIM_ROOT, "e"));
	assert_true(sim_link(&sim, 9, sim_find(&sim, SIM_ROOT, "g")->target, SIM_ROOT, "h"));
	check(&told, "-e/x +e/f e/f>g d>e/ +g! +h!");
	unwatch(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HUB_TEST(test_exchange),
		HUB_TEST(test_merged),
		HUB_TEST(test_circle),
		HUB_TEST(test_returned),
		HUB_TEST(test_brought_back),
		HUB_TEST(test_replaced),
		HUB_TEST(test_written_and_gone),
		HUB_TEST(test_written_and_forgotten),
		HUB_TEST(test_closed_later),
		HUB_TEST(test_doubted_in_removed),
		HUB_TEST(test_doubted_in_replaced),
		HUB_TEST(test_hidden_link),
		HUB_TEST(test_exchange_behind_an_answer),
		HUB_TEST(test_doubted_exchange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
