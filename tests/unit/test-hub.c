/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <linux/fanotify.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "include/fsevents_stream.h"
#include "tests/unit/hub-sim.h"

#define ALL WATCH_MASK_ALL

/* What one watch was told, as text: "+name", "-name", "former>name", "~name", "!", "lost under". */
struct told {
	char text[4096];
	size_t n;
	struct change last;
	struct hub_watch *watch;
	struct credential *credential;
};

static struct sim sim;
static struct hub *hub;
static struct credentials *credentials;

static void put(struct told *told, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	told->n +=
		(size_t)vsnprintf(told->text + told->n, sizeof(told->text) - told->n, format, args);
	va_end(args);
	assert_true(told->n < sizeof(told->text));
}

static void on_changed(const struct change *change, void *userdata)
{
	struct told *told = userdata;

	if (told->n > 0)
		put(told, " ");
	if (change->mask & FSEVENTS_MOVE)
		put(told, "%.*s>", (int)change->n_former, change->former);
	else if (change->mask & FSEVENTS_DELETE_SELF)
		put(told, "gone");
	else if (change->mask & FSEVENTS_MOVE_SELF)
		put(told, "moved");
	else
		put(told, "%s",
		    change->mask & FSEVENTS_CREATE   ? "+"
		    : change->mask & FSEVENTS_DELETE ? "-"
						     : "~");
	put(told, "%.*s", (int)change->n_name, change->name);
	if (change->mask & FSEVENTS_DIRECTORY)
		put(told, "/");
	if (change->mask & FSEVENTS_MERGED)
		put(told, "!");
	told->last = *change;
}

static void on_lost(uint64_t count, const char *under, size_t n_under, void *userdata)
{
	struct told *told = userdata;

	assert_int_equal(count, 0);
	put(told, "%slost '%.*s'", told->n > 0 ? " " : "", (int)n_under, under ?: "");
}

static bool on_owner(int32_t pid, uid_t *ret, void *userdata)
{
	*ret = (uid_t)pid + 1000;
	return pid < 3;
}

static const struct hub_ops ops = { on_changed, on_lost, on_owner };

static int begin(bool tree, size_t n_pending_max)
{
	const struct hub_options options = { .tree = tree,
					     .n_nodes_max = 64,
					     .n_pending_max = n_pending_max };

	sim_init(&sim);
	assert_int_equal(credentials_new(&credentials), 0);
	return hub_new(&hub, &options, &ops, NULL);
}

static int setup(void **state)
{
	return begin(true, 0);
}

static int setup_short(void **state)
{
	return begin(true, 4);
}

static int setup_slices(void **state)
{
	const struct hub_options options = { .tree = true, .n_slice = 1000 };

	sim_init(&sim);
	assert_int_equal(credentials_new(&credentials), 0);
	return hub_new(&hub, &options, &ops, NULL);
}

static int setup_spots(void **state)
{
	return begin(false, 0);
}

static int teardown(void **state)
{

	/* What a test that failed left behind would hide why. */
	if (hub_n_watches(hub) > 0)
		return 0;
	hub = hub_free(hub);
	credentials = credentials_free(credentials);
	return 0;
}

static void watch(struct told *told, uint32_t root, uid_t uid, uint32_t mask)
{
	struct handle handle = sim_handle(root);
	struct hub_watch_options options = {
		.root = handle_view(&handle), .is_directory = true, .mask = mask, .userdata = told
	};

	sim_settle(&sim, hub);
	memset(told, 0, sizeof(*told));
	assert_int_equal(credential_get(credentials, uid, NULL, 0, &told->credential), 0);
	options.credential = told->credential;
	assert_int_equal(hub_watch_new(&told->watch, hub, &options), 0);
}

static void unwatch(struct told *told)
{
	told->watch = hub_watch_free(told->watch);
	told->credential = credential_unref(told->credential);
}

static void check(struct told *told, const char *text)
{
	sim_settle(&sim, hub);
	assert_string_equal(told->text, text);
	told->n = 0;
	told->text[0] = '\0';
}

static uint32_t make(uint32_t dir, const char *name)
{
	uint32_t made = sim_make(&sim, 9, dir, name, true);

	assert_int_not_equal(made, 0);
	return made;
}

static void touch(uint32_t dir, const char *name)
{
	assert_int_not_equal(sim_make(&sim, 9, dir, name, false), 0);
}

/* Known, and all that led to it told. */
static void forget(void)
{
	sim.n_events = 0;
}

static void test_names(void **state)
{
	struct told told;
	uint32_t d = make(SIM_ROOT, "d"), file;

	forget();
	watch(&told, d, 0, ALL);
	file = sim_make(&sim, 9, d, "f", false);
	check(&told, "+f");
	assert_int_equal(told.last.inode, file);
	assert_int_equal(told.last.pid, 9);
	make(d, "e");
	check(&told, "+e/");
	assert_true(sim_close(&sim, 9, d, "f"));
	check(&told, "~f");
	assert_true(sim_rename(&sim, 9, d, "f", d, "g"));
	check(&told, "f>g");
	touch(d, "h");
	assert_true(sim_rename(&sim, 9, d, "h", d, "g"));
	check(&told, "+h h>g");
	assert_true(sim_remove(&sim, 9, d, "g"));
	assert_true(sim_remove(&sim, 9, d, "e"));
	check(&told, "-g -e/");
	touch(SIM_ROOT, "elsewhere");
	check(&told, "");
	unwatch(&told);
}

/* In, out and within. */
static void test_moves(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), d;
	struct told told, all, few;

	forget();
	watch(&told, in, 0, ALL);
	watch(&all, SIM_ROOT, 0, ALL);
	watch(&few, in, 0, FSEVENTS_CREATE | FSEVENTS_DELETE);
	d = make(out, "d");
	touch(d, "f");
	assert_true(sim_rename(&sim, 9, out, "d", in, "e"));
	touch(d, "g");
	assert_true(sim_rename(&sim, 9, in, "e", in, "x"));
	touch(d, "h");
	assert_true(sim_rename(&sim, 9, in, "x", out, "y"));
	touch(d, "i");
	check(&told, "+e/ +e/g e>x/ +x/h -x/");
	check(&few, "+e/ +e/g -e/ +x/ +x/h -x/");
	check(&all, "+out/d/ +out/d/f out/d>in/e/ +in/e/g in/e>in/x/ +in/x/h in/x>out/y/ +out/y/i");
	unwatch(&told);
	unwatch(&all);
	unwatch(&few);
}

/* What is answered is where it is by then; what is told is where it was. */
static void test_late(void **state)
{
	uint32_t in = make(SIM_ROOT, "in"), out = make(SIM_ROOT, "out"), q = make(out, "q");
	struct told told, all;

	forget();
	watch(&told, in, 0, ALL);
	watch(&all, SIM_ROOT, 0, ALL);
	touch(q, "f");
	assert_true(sim_rename(&sim, 9, out, "q", in, "q"));
	touch(q, "g");
	check(&told, "+q/ +q/g");
	check(&all, "+out/q/f out/q>in/q/ +in/q/g");
	unwatch(&told);
	unwatch(&all);
}

static void rename_twice(struct sim *ours, void *userdata)
{
	const uint32_t *dirs = userdata;

	assert_true(sim_rename(ours, 9, dirs[0], "q", dirs[1], "r"));
	assert_true(sim_rename(ours, 9, dirs[1], "r", dirs[2], "s"));
}

/* The answer was right when it was found, and is not any more when it is given. */
static void test_answer_overtaken(void **state)
{
	uint32_t dirs[3] = { make(SIM_ROOT, "a"), make(SIM_ROOT, "b"), make(SIM_ROOT, "c") };
	uint32_t q = make(dirs[0], "q");
	struct told told;

	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	touch(q, "f");
	sim_feed(&sim, hub, UINT32_MAX);
	assert_true(sim_ask(&sim, hub, rename_twice, dirs));
	touch(q, "g");
	check(&told, "+a/q/f a/q>b/r/ b/r>c/s/ +c/s/g");
	unwatch(&told);
}

/* rm -r of what was never seen: nobody can be asked where it was. */
static void test_removed_tree(void **state)
{
	uint32_t a = make(SIM_ROOT, "a"), b = make(a, "b"), c = make(b, "c");
	struct told told;

	touch(c, "f");
	touch(b, "g");
	forget();
	watch(&told, SIM_ROOT, 0, ALL);
	assert_true(sim_remove(&sim, 9, c, "f"));
	assert_true(sim_remove(&sim, 9, b, "c"));
	assert_true(sim_remove(&sim, 9, b, "g"));
	assert_true(sim_remove(&sim, 9, a, "b"));
	assert_true(sim_remove(&sim, 9, SIM_ROOT, "a"));
	check(&told, "-a/b/c/f -a/b/c/ -a/b/g -a/b/ -a/");
	unwatch(&told);
}

/* mkdir -p and what is in it at once: told without a question. */
static void test_made_tree(void **state)
{
	struct hub_statistics before, after;
	struct told told;
	uint32_t dir = SIM_ROOT;

	watch(&told, SIM_ROOT, 0, ALL);
	touch(SIM_ROOT, "first");
	check(&told, "+first");
	hub_statistics(hub, &before);
	for (unsigned int i = 0; i < 4; i++)
		dir = make(dir, "d");
	touch(dir, "f");
	check(&told, "+d/ +d/d/ +d/d/d/ +d/d/d/d/ +d/d/d/d/f");
	hub_statistics(hub, &after);
	assert_int_equal(after.questions, before.questions);
	assert_int_equal(after.delivered, before.delivered + 5);
	unwatch(&told);
}

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

static void test_self(void **state)
{
	uint32_t a = make(SIM_ROOT, "a"), w = make(a, "w"), x = make(a, "x");
	struct told told, replaced;

	make(w, "d");
	forget();
	watch(&told, w, 1000, ALL);
	watch(&replaced, x, 0, ALL);
	assert_true(sim_rename(&sim, 9, SIM_ROOT, "a", SIM_ROOT, "b"));
	assert_true(sim_rename(&sim, 9, a, "w", SIM_ROOT, "w"));
	assert_true(sim_chmod(&sim, 9, w, 1, 0));
	touch(w, "f");
	check(&told, "moved/ ~/ +f");
	assert_true(sim_remove(&sim, 9, w, "f"));
	assert_true(sim_remove(&sim, 9, w, "d"));
	assert_true(sim_remove(&sim, 9, SIM_ROOT, "w"));
	check(&told, "-f -d/ gone/");
	make(a, "y");
	assert_true(sim_rename(&sim, 9, a, "y", a, "x"));
	check(&replaced, "gone/");
	unwatch(&told);
	unwatch(&replaced);
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

static void test_prefix(void **state)
{
	uint32_t d = make(SIM_ROOT, "d");
	struct handle handle = sim_handle(SIM_ROOT);
	struct told told;
	struct hub_watch_options options = { .root = handle_view(&handle),
					     .is_directory = true,
					     .mask = ALL,
					     .prefix = "mnt/usb",
					     .userdata = &told };

	forget();
	memset(&told, 0, sizeof(told));
	assert_int_equal(credential_get(credentials, 0, NULL, 0, &told.credential), 0);
	options.credential = told.credential;
	assert_int_equal(hub_watch_new(&told.watch, hub, &options), 0);
	touch(d, "f");
	assert_true(sim_rename(&sim, 9, d, "f", SIM_ROOT, "g"));
	check(&told, "+mnt/usb/d/f mnt/usb/d/f>mnt/usb/g");
	unwatch(&told);
}

/* O_TMPFILE: a name that nobody ever had. */
static void test_nameless(void **state)
{
	struct sim_event event = {
		.mask = FAN_CLOSE_WRITE, .pid = 9, .at = SIM_ROOT, .target = 77, .at_name = "#77"
	};
	struct told told;

	watch(&told, SIM_ROOT, 0, ALL);
	sim_event(&sim, &event);
	check(&told, "");
	event.target = 78;
	sim_event(&sim, &event);
	check(&told, "~#77");
	unwatch(&told);
}

static void test_watch_comes_and_goes(void **state)
{
	uint32_t d = make(SIM_ROOT, "d");
	struct told told, late;

	forget();
	watch(&told, SIM_ROOT, 0, FSEVENTS_CREATE);
	assert_int_equal(hub_mask(hub), FSEVENTS_CREATE);
	touch(d, "f");
	sim_feed(&sim, hub, UINT32_MAX);
	{
		struct handle handle = sim_handle(d);
		struct hub_watch_options options = { .root = handle_view(&handle),
						     .is_directory = true,
						     .mask = ALL,
						     .credential = told.credential,
						     .userdata = &late };

		memset(&late, 0, sizeof(late));
		assert_int_equal(hub_watch_new(&late.watch, hub, &options), 0);
	}
	touch(d, "g");
	check(&told, "+d/f +d/g");
	check(&late, "+g");
	hub_watch_set_mask(late.watch, FSEVENTS_DELETE);
	assert_int_equal(hub_mask(hub), FSEVENTS_CREATE | FSEVENTS_DELETE);
	late.watch = hub_watch_free(late.watch);
	assert_int_equal(hub_n_watches(hub), 1);
	unwatch(&told);
}

static void spot_event(uint32_t mask, uint32_t at, const char *name, uint32_t target)
{
	struct sim_event event = { .mask = mask, .pid = 9, .at = at, .target = target };

	snprintf(event.at_name, sizeof(event.at_name), "%s", name);
	sim_event(&sim, &event);
}

static void test_spots(void **state)
{
	uint32_t d = make(SIM_ROOT, "d"), e = make(d, "e");
	uint32_t f = sim_make(&sim, 9, d, "f", false);
	struct sim_event in = {
		.mask = FAN_RENAME, .pid = 9, .to = d, .target = 99, .to_name = "in"
	};
	struct told dir, file;

	forget();
	watch(&dir, d, 1000, ALL);
	watch(&file, f, 1000, ALL);
	touch(d, "g");
	spot_event(FAN_MODIFY, d, "f", f);
	check(&file, "~");
	check(&dir, "+g ~f");
	spot_event(FAN_RENAME, d, "g", 88);
	sim_event(&sim, &in);
	check(&dir, "-g +in");
	spot_event(FAN_MODIFY, SIM_ROOT, "x", 87);
	/* of a directory in it comes no name */
	assert_true(sim_chmod(&sim, 9, e, 1, 0));
	check(&dir, "~e/");
	assert_true(sim_chmod(&sim, 9, d, 1, 0));
	check(&dir, "~/");
	spot_event(FAN_MOVE_SELF, 0, "", f);
	spot_event(FAN_ATTRIB | FAN_DELETE_SELF, 0, "", f);
	sim.inodes[f].exists = false;
	check(&file, "gone");
	spot_event(FAN_DELETE_SELF | FAN_ONDIR, d, "", 0);
	check(&dir, "gone/");
	unwatch(&dir);
	unwatch(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
		TEST(test_names),
		TEST(test_moves),
		TEST(test_late),
		TEST(test_answer_overtaken),
		TEST(test_removed_tree),
		TEST(test_made_tree),
		TEST(test_exchange),
		TEST(test_merged),
		TEST(test_circle),
		TEST(test_returned),
		TEST(test_brought_back),
		TEST(test_replaced),
		TEST(test_written_and_gone),
		TEST(test_written_and_forgotten),
		TEST(test_closed_later),
		TEST(test_doubted_in_removed),
		cmocka_unit_test_setup_teardown(test_slices, setup_slices, teardown),
		TEST(test_hidden_link),
		TEST(test_verdict),
		TEST(test_chmod),
		TEST(test_chmod_overtakes),
		TEST(test_split),
		TEST(test_pids),
		TEST(test_self),
		TEST(test_overflow),
		cmocka_unit_test_setup_teardown(test_row_is_full, setup_short, teardown),
		TEST(test_questions_fail),
		TEST(test_evicted),
		TEST(test_prefix),
		TEST(test_nameless),
		TEST(test_watch_comes_and_goes),
		cmocka_unit_test_setup_teardown(test_spots, setup_spots, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
