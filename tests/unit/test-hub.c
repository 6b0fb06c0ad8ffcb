/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/hub-fixture.h"

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

static void spot_rename(uint32_t at, const char *former, uint32_t to, const char *name)
{
	struct sim_event event = { .mask = FAN_RENAME, .at = at, .to = to };

	snprintf(event.at_name, sizeof(event.at_name), "%s", former);
	snprintf(event.to_name, sizeof(event.to_name), "%s", name);
	sim_event(&sim, &event);
}

static void forget_targets(void)
{
	for (size_t i = 0; i < sim.n_events; i++)
		sim.events[i].target = 0;
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

/* As inotify has it, which does not tell what changed places from what went and came back. */
static void test_spots_without_targets(void **state)
{
	uint32_t d = make(SIM_ROOT, "d"), e = make(SIM_ROOT, "e");
	struct told one, other;

	touch(d, "a");
	make(e, "b");
	forget();
	watch(&one, d, 1000, ALL);
	watch(&other, e, 1000, FSEVENTS_CREATE | FSEVENTS_DELETE);
	assert_true(sim_exchange(&sim, 9, d, "a", e, "b"));
	forget_targets();
	check(&one, "+a/! +a/!");
	check(&other, "+b! +b!");
	/* With something between, and the first one told already. */
	assert_true(sim_rename(&sim, 9, d, "a", d, "c"));
	forget_targets();
	check(&one, "a>c/");
	touch(d, "x");
	assert_true(sim_rename(&sim, 9, d, "c", d, "a"));
	forget_targets();
	check(&one, "+x -c/! +a/!");
	/* Of one that came and went, or changed places with one outside of all watches. */
	spot_rename(0, "", d, "n");
	spot_rename(d, "n", 0, "");
	check(&one, "-n! -n!");
	spot_rename(d, "x", 0, "");
	spot_rename(0, "", d, "x");
	check(&one, "-x +x");
	/* Others are certain. */
	assert_true(sim_rename(&sim, 9, d, "x", d, "y"));
	assert_true(sim_rename(&sim, 9, d, "a", d, "c"));
	forget_targets();
	check(&one, "x>y a>c/");
	unwatch(&one);
	unwatch(&other);
}

/* Two marks that tell of one change, each to who has it. */
static void feed_of(enum file_event_of of, uint32_t mask, uint32_t dir, uint32_t target)
{
	const struct handle at = sim_handle(dir), inode = sim_handle(target);
	struct file_event event = {
		.mask = mask, .pid = 9, .of = of, .at = { .name = "" }, .to = { .name = "" }
	};

	if (mask & FAN_ONDIR)
		event.at.dir = handle_view(&inode);
	else
		event.at = (struct file_name){ handle_view(&at), "f", 1 };
	if (!(mask & FAN_ONDIR))
		event.target = handle_view(&inode);
	hub_feed(hub, &event, 5);
	sim_settle(&sim, hub);
}

static void test_spots_apart(void **state)
{
	uint32_t d = make(SIM_ROOT, "d"), e = make(d, "e");
	uint32_t f = sim_make(&sim, 9, d, "f", false);
	struct told dir, inner, file;

	forget();
	watch(&dir, d, 1000, ALL);
	watch(&inner, e, 1000, ALL);
	watch(&file, f, 1000, ALL);
	feed_of(FILE_EVENT_OF_NAMES, FAN_MODIFY, d, f);
	check(&dir, "~f");
	check(&file, "");
	feed_of(FILE_EVENT_OF_TARGET, FAN_MODIFY, d, f);
	check(&dir, "");
	check(&file, "~");
	feed_of(FILE_EVENT_OF_NAMES, FAN_ATTRIB | FAN_ONDIR, d, e);
	check(&dir, "~e/");
	check(&inner, "");
	feed_of(FILE_EVENT_OF_TARGET, FAN_ATTRIB | FAN_ONDIR, d, e);
	check(&dir, "");
	check(&inner, "~/");
	unwatch(&dir);
	unwatch(&inner);
	unwatch(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HUB_TEST(test_names),
		HUB_TEST(test_moves),
		HUB_TEST(test_late),
		HUB_TEST(test_answer_overtaken),
		HUB_TEST(test_removed_tree),
		HUB_TEST(test_made_tree),
		HUB_TEST(test_self),
		HUB_TEST(test_prefix),
		HUB_TEST(test_nameless),
		HUB_TEST(test_watch_comes_and_goes),
		cmocka_unit_test_setup_teardown(test_spots, setup_spots, teardown),
		cmocka_unit_test_setup_teardown(test_spots_without_targets, setup_spots, teardown),
		cmocka_unit_test_setup_teardown(test_spots_apart, setup_spots, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
