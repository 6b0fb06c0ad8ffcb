/* SPDX-License-Identifier: GPL-2.0-or-later */

/* File events by inotify, as the kernel tells them of a filesystem without handles. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/wire-inotify.h"
#include "daemon/source/file-events.h"
#include "tests/io/fixture.h"

#define MASK                                                                                       \
	(FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_DELETE_SELF |   \
	 FAN_MOVE_SELF | FAN_ONDIR | FAN_EVENT_ON_CHILD)

/* As many as fs.inotify.max_queued_events is by default, and more. */
#define STORM 20000

struct world {
	struct fixture *fixture;
	struct file_events *events;
	struct file_events_member *member;
	struct mount mount;
	char text[4096]; /* what was told, a line for each */
	size_t n_text;
	unsigned int n_event, n_overflow;
	bool marked;
	int error;
	struct handle root;
};

static struct world world;

static void say_name(const struct file_name *name)
{
	size_t left = sizeof(world.text) - world.n_text;
	int n = snprintf(world.text + world.n_text, left, " %d:%s",
			 name->dir.n > 0 ? inotify_watch(&name->dir) : 0, name->name);

	if (n > 0 && (size_t)n < left)
		world.n_text += (size_t)n;
}

static void on_begin(uint64_t since_us, void *userdata)
{
}

static void on_event(const struct file_event *event, void *userdata)
{
	int n;

	world.n_event++;
	world.n_overflow += event->overflow;
	if (event->overflow || world.n_text > sizeof(world.text) / 2)
		return;
	assert_int_equal(event->pid, 0);
	assert_int_equal(event->target.n, 0);
	n = snprintf(world.text + world.n_text, 16, "%x", event->mask);
	world.n_text += (size_t)n;
	say_name(&event->at);
	say_name(&event->to);
	world.text[world.n_text++] = '\n';
	world.text[world.n_text] = '\0';
}

static void on_end(bool empty, void *userdata)
{
}

static void on_marked(int error, const struct handle_view *handle, const struct handle_view *root,
		      void *userdata)
{
	world.marked = true;
	world.error = error;
	world.root = (struct handle){ .type = root->type, .n = root->n };
	if (root->n > 0)
		memcpy(world.root.bytes, root->bytes, root->n);
}

static const struct file_events_ops ops = {
	.begin = on_begin,
	.event = on_event,
	.end = on_end,
	.marked = on_marked,
};

static int setup(void **state)
{
	if (fixture_setup(state) < 0)
		return -1;
	world = (struct world){ .fixture = *state };
	/* Processes are waited for, which is not what is measured there. */
	meter_stop(&world.fixture->meter);
	make_directory("/mnt/ram");
	assert_return_code(mount("none", "/mnt/ram", "ramfs", 0, "mode=755"), errno);
	make_directory("/mnt/ram/in");
	make_directory("/mnt/ram/out");
	world.mount = mount_of("/mnt/ram");
	assert_return_code(file_events_new(&world.events, world.fixture->loop, world.fixture->pool),
			   0);
	assert_return_code(file_events_member_new(&world.member, world.events, FILE_EVENTS_INOTIFY,
						  &ops, &world),
			   0);
	return 0;
}

static int teardown(void **state)
{
	/* What is watched does not keep it. */
	assert_return_code(umount2("/mnt/ram", UMOUNT_NOFOLLOW), errno);
	world.member = file_events_member_free(world.member);
	world.events = file_events_free(world.events);
	return fixture_teardown(state);
}

/* Return: the number of the watch, or a negative errno. */
static int mark(const char *path)
{
	struct file_events_mark one = {
		.mount = &world.mount,
		.lane = POOL_LANE_LOCAL,
		.lane_key = 1,
		.path = path,
		.mask = MASK,
	};
	struct handle_view root;
	char whole[64];
	struct stat st;

	snprintf(whole, sizeof(whole), "/mnt/ram/%s", path);
	if (stat(whole, &st) == 0)
		one.inode = st.st_ino;
	world.marked = false;
	assert_return_code(file_events_member_mark(world.member, &one), 0);
	assert_true(loop_until(world.fixture->loop, &world.marked, PATIENCE_US));
	if (world.error < 0)
		return world.error;
	root = handle_view(&world.root);
	return inotify_watch(&root);
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_return_code(fd, errno);
	close(fd);
}

static void expect(const char *text)
{
	file_events_member_read(world.member);
	assert_string_equal(world.text, text);
	world.n_text = 0;
	world.text[0] = '\0';
}

static void test_names(void **state)
{
	int in = mark("in"), root, again;

	assert_true(in > 0);
	again = mark("in");
	assert_int_equal(again, in);
	root = mark("");
	assert_true(root > 0 && root != in);
	assert_int_equal(mark("none"), -EXDEV);

	touch("/mnt/ram/in/file");
	expect("100 1:file 0:\n8 1:file 0:\n");
	assert_return_code(rename("/mnt/ram/in/file", "/mnt/ram/in/other"), errno);
	expect("10000000 1:file 1:other\n");
	/* To where somebody watches, to where nobody does, and back. */
	assert_return_code(rename("/mnt/ram/in/other", "/mnt/ram/file"), errno);
	assert_return_code(rename("/mnt/ram/file", "/mnt/ram/out/file"), errno);
	assert_return_code(rename("/mnt/ram/out/file", "/mnt/ram/in/file"), errno);
	expect("10000000 1:other 2:file\n10000000 2:file 0:\n10000000 0: 1:file\n");
	assert_return_code(chmod("/mnt/ram/in", 0700), errno);
	expect("40000004 2:in 0:\n40000004 1: 0:\n");
	assert_return_code(unlink("/mnt/ram/in/file"), errno);
	assert_return_code(rmdir("/mnt/ram/in"), errno);
	expect("200 1:file 0:\n400 1: 0:\n40000200 2:in 0:\n");
}

static void test_unmarked(void **state)
{
	struct file_events_mark one = {
		.mount = &world.mount, .lane = POOL_LANE_LOCAL, .lane_key = 1, .mask = MASK
	};

	assert_int_equal(mark("in"), 1);
	one.handle = handle_view(&world.root);
	assert_return_code(file_events_member_unmark(world.member, &one), 0);
	/* Behind it in the same lane. */
	assert_int_equal(mark("out"), 2);
	touch("/mnt/ram/in/file");
	touch("/mnt/ram/out/file");
	expect("100 2:file 0:\n8 2:file 0:\n");
	/* One that is gone by itself. */
	one.handle = handle_view(&world.root);
	assert_return_code(unlink("/mnt/ram/out/file"), errno);
	assert_return_code(rmdir("/mnt/ram/out"), errno);
	assert_return_code(file_events_member_unmark(world.member, &one), 0);
	assert_int_equal(mark(""), 3);
}

static void test_overflow(void **state)
{
	char path[64];

	assert_true(mark("in") > 0);
	for (unsigned int i = 0; i < STORM; i++) {
		snprintf(path, sizeof(path), "/mnt/ram/in/%u", i);
		touch(path);
	}
	file_events_member_read(world.member);
	print_message("%u events, %u overflows\n", world.n_event, world.n_overflow);
	assert_int_equal(world.n_overflow, 1);
	assert_true(world.n_event < 2 * STORM);
	world.n_text = 0;
	world.text[0] = '\0';
	touch("/mnt/ram/in/last");
	expect("100 1:last 0:\n8 1:last 0:\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_unmarked),
		TEST(test_overflow),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
