/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the kernel tells of each change, asserted as the header of the decoder
 * has it, and the source that reads it.
 */

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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/file-events.h"
#include "daemon/worker/reach.h"
#include "tests/io/fixture.h"

#define NAMES_MASK                                                                                 \
	((uint64_t)(FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_ONDIR |                \
		    FAN_CLOSE_WRITE | FAN_DELETE_SELF))
#define INODE_MASK                                                                                 \
	(NAMES_MASK | (uint64_t)(FAN_MODIFY | FAN_OPEN | FAN_EVENT_ON_CHILD | FAN_MOVE_SELF))

/* Inodes of this run, each by the letter or word that the test gave it. */
struct known {
	char name[16];
	struct handle handle;
};

struct watched {
	struct file_events_member *member;
	struct mount mount;
	char where[64];
	char text[65536]; /* what was told, a line for each */
	size_t n_text;
	struct known known[64];
	size_t n_known;
	unsigned int n_begin, n_end, n_overflow, n_event;
	bool in_batch, empty, told, marked;
	int error;
	unsigned int n_marked;
	struct handle root;
	int32_t pid;
	bool free_in_event, free_in_begin, free_in_end;
};

static struct file_events *events;
static struct watched watched;

static void say(const char *format, ...)
{
	size_t left = sizeof(watched.text) - watched.n_text;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(watched.text + watched.n_text, left, format, ap);
	va_end(ap);
	/* A storm is counted, not read. */
	if (n > 0 && (size_t)n < left)
		watched.n_text += (size_t)n;
}

static const char *known_name(const struct handle_view *handle)
{
	if (handle->n == 0)
		return "-";
	for (size_t i = watched.n_known; i-- > 0;) {
		const struct handle_view view = handle_view(&watched.known[i].handle);

		if (handle_equal(&view, handle))
			return watched.known[i].name;
	}
	return "?";
}

static void know(const char *name, const char *path)
{
	struct known *known = &watched.known[watched.n_known++];
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	assert_true(watched.n_known <= sizeof(watched.known) / sizeof(*known));
	snprintf(known->name, sizeof(known->name), "%s", name);
	assert_return_code(fd, errno);
	assert_return_code(handle_of(fd, &known->handle), 0);
	close(fd);
}

static void say_mask(uint32_t mask)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{ FAN_MODIFY, "MODIFY" },	{ FAN_ATTRIB, "ATTRIB" },
		{ FAN_CLOSE_WRITE, "CLOSE" },	{ FAN_OPEN, "OPEN" },
		{ FAN_CREATE, "CREATE" },	{ FAN_DELETE, "DELETE" },
		{ FAN_DELETE_SELF, "DELSELF" }, { FAN_MOVE_SELF, "MOVESELF" },
		{ FAN_RENAME, "RENAME" },	{ FAN_MOVED_FROM, "FROM" },
		{ FAN_MOVED_TO, "TO" },		{ FAN_ONDIR, "ONDIR" },
	};
	bool first = true;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(mask & names[i].bit))
			continue;
		say("%s%s", first ? "" : "|", names[i].name);
		first = false;
		mask &= ~names[i].bit;
	}
	if (mask)
		say("|%x", mask);
}

static void free_now(void)
{
	watched.member = file_events_member_free(watched.member);
}

static void on_begin(uint64_t since_us, void *userdata)
{
	assert_ptr_equal(userdata, &watched);
	assert_false(watched.in_batch);
	watched.in_batch = true;
	watched.n_begin++;
	if (watched.free_in_begin)
		free_now();
}

static void on_event(const struct file_event *event, void *userdata)
{
	assert_true(watched.in_batch);
	watched.n_event++;
	watched.told = true;
	if (event->overflow) {
		watched.n_overflow++;
		say("overflow\n");
	} else {
		watched.pid = event->pid;
		say_mask(event->mask);
		say(" %s:%s %s:%s %s\n", known_name(&event->at.dir), event->at.name,
		    known_name(&event->to.dir), event->to.name, known_name(&event->target));
	}
	if (watched.free_in_event)
		free_now();
}

static void on_end(bool empty, void *userdata)
{
	assert_true(watched.in_batch);
	watched.in_batch = false;
	watched.empty = empty;
	watched.n_end++;
	if (watched.free_in_end)
		free_now();
}

static void on_marked(int error, const struct handle_view *handle, const struct handle_view *root,
		      void *userdata)
{
	assert_false(watched.in_batch);
	watched.marked = true;
	watched.n_marked++;
	watched.error = error;
	watched.root = (struct handle){ .type = root->type, .n = root->n };
	if (root->n > 0)
		memcpy(watched.root.bytes, root->bytes, root->n);
}

static void on_ignored(int error, void *userdata)
{
	watched.marked = true;
	watched.error = error;
}

static const struct file_events_ops ops = {
	.begin = on_begin,
	.event = on_event,
	.end = on_end,
	.marked = on_marked,
	.ignored = on_ignored,
};

static int setup(void **state)
{
	struct fixture *fixture;

	if (fixture_setup(state) < 0)
		return -1;
	fixture = *state;
	/* What the test itself waits for is not the loop's doing. */
	meter_stop(&fixture->meter);
	assert_return_code(file_events_new(&events, fixture->loop, fixture->pool), 0);
	return 0;
}

static int teardown(void **state)
{
	watched.member = file_events_member_free(watched.member);
	events = file_events_free(events);
	return chdir("/") < 0 ? -1 : fixture_teardown(state);
}

static void watch_begin(const char *where)
{
	file_events_member_free(watched.member);
	watched = (struct watched){};
	snprintf(watched.where, sizeof(watched.where), "%s", where);
	watched.mount = mount_of(watched.where);
	assert_return_code(file_events_member_new(&watched.member, events, FILE_EVENTS_FANOTIFY,
						  &ops, &watched),
			   0);
	assert_return_code(chdir(where), errno);
	know("root", ".");
}

static struct file_events_mark mark_of(uint64_t mask, bool btrfs)
{
	return (struct file_events_mark){
		.mount = &watched.mount,
		.btrfs = btrfs,
		.lane = POOL_LANE_LOCAL,
		.lane_key = 1,
		.mask = mask,
	};
}

static int mark(struct fixture *fixture, const struct file_events_mark *one)
{
	watched.marked = false;
	assert_return_code(file_events_member_mark(watched.member, one), 0);
	assert_false(watched.marked);
	assert_true(loop_until(fixture->loop, &watched.marked, PATIENCE_US));
	return watched.error;
}

static void mark_filesystem(struct fixture *fixture)
{
	const struct file_events_mark one = mark_of(NAMES_MASK, false);

	assert_int_equal(mark(fixture, &one), 0);
	assert_int_equal(watched.root.n, watched.known[0].handle.n);
	assert_memory_equal(watched.root.bytes, watched.known[0].handle.bytes, watched.root.n);
}

static int mark_inode(struct fixture *fixture, const char *name)
{
	struct file_events_mark one = mark_of(INODE_MASK, false);

	for (size_t i = 0; i < watched.n_known; i++)
		if (strcmp(watched.known[i].name, name) == 0)
			one.handle = handle_view(&watched.known[i].handle);
	assert_true(one.handle.n > 0);
	return mark(fixture, &one);
}

/* In a process of its own, since what the daemon does is not told. */
static void act(const char *command)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		execlp("sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status != 0)
		print_error("%s\n", command);
	assert_int_equal(status, 0);
}

static void act_call(bool (*call)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(call() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* All that was told since the last time, in the order of the kernel. */
static void expect(const char *text)
{
	file_events_member_read(watched.member);
	assert_true(watched.empty);
	assert_int_equal(watched.n_begin, watched.n_end);
	assert_string_equal(watched.text, text);
	watched.n_text = 0;
	watched.text[0] = '\0';
}

static bool exchange(void)
{
	return syscall(SYS_renameat2, AT_FDCWD, "d/a", AT_FDCWD, "e/b", RENAME_EXCHANGE) == 0;
}

static bool name_temporary(void)
{
	char link[64];
	int fd = open("d", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return fd >= 0 && linkat(AT_FDCWD, link, AT_FDCWD, "d/t", AT_SYMLINK_FOLLOW) == 0 &&
	       close(fd) == 0;
}

static bool change_removed(void)
{
	int fd = open("r", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && rmdir("r") == 0 && fchmod(fd, 0700) == 0 && close(fd) == 0;
}

static bool close_unlinked(void)
{
	int fd = open("d/u", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && unlink("d/u") == 0 && write(fd, "x", 1) == 1 && close(fd) == 0;
}

static bool write_new(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0;
}

static bool come_and_go(void)
{
	return write_new("d/v") && rename("d/v", "d/w") == 0 && unlink("d/w") == 0;
}

static bool come_back(void)
{
	return write_new("d/v") && rename("d/v", "d/w") == 0 && link("d/w", "d/v") == 0 &&
	       unlink("d/w") == 0;
}

static void check_directories(void)
{
	act("mkdir d e");
	know("d", "d");
	know("e", "e");
	expect("CREATE|ONDIR root:d -: d\nCREATE|ONDIR root:e -: e\n");
	act("chmod 700 d");
	expect("ATTRIB|ONDIR d: -: -\n");
	act("cd d && chmod 755 .");
	expect("ATTRIB|ONDIR d: -: -\n");
	act("chmod 755 .");
	expect("ATTRIB|ONDIR root: -: -\n");

	act("mkdir d/n e/o");
	know("n", "d/n");
	know("o", "e/o");
	expect("CREATE|ONDIR d:n -: n\nCREATE|ONDIR e:o -: o\n");
	act("mv -T d/n e/o");
	expect("RENAME|ONDIR d:n e:o n\nATTRIB|DELSELF|ONDIR o: -: -\n");
	act("rmdir e/o");
	expect("DELSELF|ONDIR n: -: -\nDELETE|ONDIR e:o -: n\n");

	act("mkdir r");
	know("r", "r");
	expect("CREATE|ONDIR root:r -: r\n");
	act_call(change_removed);
	expect("DELETE|ONDIR root:r -: r\nATTRIB|DELSELF|ONDIR r: -: -\n");
}

static void check_files(void)
{
	act(": > d/f");
	know("f", "d/f");
	expect("CLOSE|CREATE d:f -: f\n");
	act("chmod 600 d/f");
	expect("ATTRIB d:f -: f\n");
	act("echo text >> d/f");
	expect("CLOSE d:f -: f\n");
	act("ln d/f e/g");
	expect("ATTRIB -: -: f\nCREATE e:g -: f\n");
	act("chmod 644 e/g");
	expect("ATTRIB e:g -: f\n");
	act("rm e/g");
	expect("ATTRIB -: -: f\nDELETE e:g -: f\n");
	act(": > e/g");
	know("g", "e/g");
	expect("CLOSE|CREATE e:g -: g\n");
	act("mv d/f e/g");
	expect("RENAME d:f e:g f\nATTRIB|DELSELF -: -: g\n");
	act("rm e/g");
	expect("ATTRIB|DELSELF -: -: f\nDELETE e:g -: f\n");

	act(": > d/a; : > e/b");
	know("a", "d/a");
	know("b", "e/b");
	expect("CLOSE|CREATE d:a -: a\nCLOSE|CREATE e:b -: b\n");
	act_call(exchange);
	expect("RENAME d:a e:b a\nRENAME e:b d:a b\n");
	act("ln -s nowhere d/l && mkfifo d/p");
	know("l", "d/l");
	know("p", "d/p");
	expect("CREATE d:l -: l\nCREATE d:p -: p\n");
}

static void check_rare(void)
{
	char number[32], line[256];
	struct stat st;

	act(": > d/u");
	know("u", "d/u");
	expect("CLOSE|CREATE d:u -: u\n");
	act_call(close_unlinked);
	/* The close has the name of before, and is merged into what waits of it. */
	expect("ATTRIB|DELSELF -: -: u\nCLOSE|DELETE d:u -: u\n");

	/* A name that nobody gave. */
	act_call(name_temporary);
	know("t", "d/t");
	assert_return_code(stat("d/t", &st), errno);
	snprintf(number, sizeof(number), "#%lu", (unsigned long)st.st_ino);
	snprintf(line, sizeof(line), "ATTRIB -: -: t\nCREATE d:t -: t\nCLOSE d:%s -: t\n", number);
	expect(line);

	/* The end of an inode is in the record of its last unlink; a name may come back in its first. */
	act_call(come_and_go);
	expect("CLOSE|CREATE d:v -: ?\nRENAME d:v d:w ?\nATTRIB|DELSELF -: -: ?\n"
	       "DELETE d:w -: ?\n");
	act_call(come_back);
	know("v", "d/v");
	expect("CLOSE|CREATE d:v -: v\nRENAME d:v d:w v\nATTRIB -: -: v\nDELETE d:w -: v\n");

	/* Merged: one name, one process, in whatever order. */
	act(": > d/m; exec rm d/m");
	file_events_member_read(watched.member);
	assert_non_null(strstr(watched.text, "CREATE"));
	assert_non_null(strstr(watched.text, "DELETE"));
	watched.n_text = 0;
	watched.text[0] = '\0';
	assert_int_equal(watched.n_overflow, 0);
}

static void check_inode_marks(struct fixture *fixture, const char *where)
{
	act("rm -rf d e && mkdir d e && : > d/f && : > lone");
	watch_begin(where);
	know("d", "d");
	know("e", "e");
	know("f", "d/f");
	know("lone", "lone");
	assert_int_equal(mark_inode(fixture, "d"), 0);
	assert_int_equal(watched.root.n, 0);
	/* Of a file, what it cannot have is left out. */
	assert_int_equal(mark_inode(fixture, "lone"), 0);

	act("chmod 700 d");
	expect("ATTRIB|ONDIR d: -: -\n");
	act("chmod 600 d/f");
	expect("ATTRIB d:f -: f\n");
	act("mkdir d/s");
	know("s", "d/s");
	expect("CREATE|ONDIR d:s -: s\n");
	act("chmod 700 d/s");
	expect("ATTRIB|ONDIR s: -: -\n");
	act("mv d/s e/s");
	expect("RENAME|ONDIR d:s -: s\n");
	act("mv e/s d/s");
	expect("RENAME|ONDIR -: d:s s\n");
	act("mv e moved && mv moved e");
	expect("");
	act("mv d moved");
	expect("MOVESELF|ONDIR d: -: -\n");
	act("mv moved d");
	expect("MOVESELF|ONDIR d: -: -\n");

	act("chmod 600 lone");
	expect("ATTRIB root:lone -: lone\n");
	act("echo text >> lone");
	expect("MODIFY|CLOSE|OPEN root:lone -: lone\n");
	act("ln lone other");
	expect("ATTRIB -: -: lone\n");
	act("mv lone moved");
	expect("MOVESELF -: -: lone\n");
	act("rm other");
	expect("ATTRIB -: -: lone\n");
	act("rm moved");
	expect("ATTRIB|DELSELF -: -: lone\n");
	act("rm d/f");
	expect("DELETE d:f -: f\n");
	act("rmdir d/s && rmdir d");
	expect("DELETE|ONDIR d:s -: s\nDELSELF|ONDIR d: -: -\n");
}

static void wait_silent(struct fixture *fixture, int r)
{
	assert_return_code(r, 0);
	assert_true(loop_until(fixture->loop, &watched.marked, PATIENCE_US));
	assert_int_equal(watched.error, 0);
}

/* Of files names alone are told, and of their renames the halves that are not ignored. */
static void check_silence(struct fixture *fixture, const char *where)
{
	struct file_events_mark one;

	watch_begin(where);
	mark_filesystem(fixture);
	act("mkdir in out && touch in/f in/g");
	know("in", "in");
	know("out", "out");
	know("f", "in/f");
	know("g", "in/g");
	file_events_member_read(watched.member);
	watched.n_text = 0;
	watched.text[0] = '\0';

	one = mark_of(FAN_ATTRIB | FAN_DELETE_SELF | FAN_MOVED_FROM | FAN_MOVED_TO, false);
	watched.marked = false;
	wait_silent(fixture, file_events_member_hush(watched.member, &one, true));
	one = mark_of(NAMES_MASK | FAN_MOVED_FROM | FAN_MOVED_TO, false);
	one.mask &= ~(uint64_t)FAN_ONDIR;
	one.handle = handle_view(&watched.known[2].handle);
	watched.marked = false;
	wait_silent(fixture, file_events_member_ignore(watched.member, &one));
	expect("");
	act("mv in/f in/h");
	expect("RENAME in:f in:h f\nFROM in:f -: f\nTO in:h -: f\n");
	act("mv in/h out/f");
	expect("FROM in:h -: f\n");
	act("touch out/x && mv out/x out/y && rm out/y && chmod 600 out/f");
	expect("");
	act("mv out/f in/f && chmod 600 in/f && chmod 700 in");
	expect("TO in:f -: f\nATTRIB|ONDIR in: -: -\n");
	act("rm in/g");
	expect("DELETE in:g -: g\n");

	file_events_member_heed(watched.member);
	one = mark_of(FAN_ATTRIB | FAN_DELETE_SELF | FAN_MOVED_FROM | FAN_MOVED_TO, false);
	watched.marked = false;
	wait_silent(fixture, file_events_member_hush(watched.member, &one, false));
	act("mv in/f out/f");
	expect("RENAME in:f out:f f\n");
	act("rm out/f");
	expect("ATTRIB|DELSELF -: -: f\nDELETE out:f -: f\n");
	act("rmdir in out");
	file_events_member_read(watched.member);
	watched.member = file_events_member_free(watched.member);
}

static void check_all(struct fixture *fixture, const char *where)
{
	watch_begin(where);
	mark_filesystem(fixture);
	check_directories();
	check_files();
	check_rare();
	check_inode_marks(fixture, where);
	check_silence(fixture, where);
	watched.member = file_events_member_free(watched.member);
	assert_return_code(chdir("/"), errno);
}

static void test_tmpfs(void **state)
{
	mount_tmpfs("/mnt/facts-tmpfs", "mode=755");
	check_all(*state, "/mnt/facts-tmpfs");
	assert_return_code(umount2("/mnt/facts-tmpfs", UMOUNT_NOFOLLOW), errno);
}

static void test_images(void **state)
{
	static const char *const types[] = { "ext4", "xfs", "btrfs" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const char *size = strcmp(types[i], "xfs") == 0 ? "320M" : "128M";
		char where[64];

		snprintf(where, sizeof(where), "/mnt/facts-%s", types[i]);
		if (!mount_image(where, types[i], size)) {
			print_message("SKIPPED: mkfs.%s is missing\n", types[i]);
			continue;
		}
		print_message("%s\n", types[i]);
		check_all(*state, where);
		assert_return_code(umount2(where, UMOUNT_NOFOLLOW), errno);
	}
}

/* A filesystem of which only a subvolume is mounted. */
static void test_subvolume(void **state)
{
	struct fixture *fixture = *state;
	struct file_events_mark one;

	if (system("command -v mkfs.btrfs >/dev/null && command -v btrfs >/dev/null") != 0) {
		print_message("SKIPPED: btrfs-progs is missing\n");
		skip();
	}
	act("cd /mnt && truncate -s 128M b.img && mkfs.btrfs -q b.img >/dev/null 2>&1 && "
	    "mkdir top sub && mount -o loop b.img top && btrfs subvolume create top/s >/dev/null "
	    "&& "
	    "btrfs subvolume create top/s/nested >/dev/null && mkdir top/s/d top/s/nested/d && "
	    "mount -o subvol=s $(findmnt -no SOURCE top) sub && umount top");
	watch_begin("/mnt/sub");
	know("d", "d");
	know("nested", "nested");

	one = mark_of(NAMES_MASK, false);
	assert_int_equal(mark(fixture, &one), -EXDEV);
	one = mark_of(NAMES_MASK, true);
	assert_int_equal(mark(fixture, &one), 0);
	/* That is not the mounted subvolume's. */
	assert_int_equal(watched.root.n, watched.known[0].handle.n);
	assert_memory_not_equal(watched.root.bytes, watched.known[0].handle.bytes, watched.root.n);

	/* Events have the handles that the visible mount gives. */
	act("chmod 711 . && mkdir d/x && chmod 700 nested");
	know("x", "d/x");
	expect("ATTRIB|ONDIR root: -: -\nCREATE|ONDIR d:x -: x\nATTRIB|ONDIR nested: -: -\n");
	act("btrfs subvolume create d/new >/dev/null");
	know("new", "d/new");
	expect("CREATE|ONDIR d:new -: new\n");
	act("btrfs subvolume delete d/new >/dev/null");
	expect("DELETE|ONDIR d:new -: new\n");

	/* Nothing keeps it. */
	assert_return_code(chdir("/"), errno);
	assert_return_code(umount2("/mnt/sub", UMOUNT_NOFOLLOW), errno);
	act("cd /mnt && mkfs.btrfs -q -f b.img >/dev/null 2>&1 && rm b.img");
}

static void wait_told(struct fixture *fixture)
{
	assert_true(loop_until(fixture->loop, &watched.told, PATIENCE_US));
	watched.told = false;
}

/* By itself, late, with the pid of whoever did it, and nothing of our own. */
static void test_told(void **state)
{
	struct fixture *fixture = *state;
	struct file_events_statistics statistics;
	int status;
	pid_t child;

	mount_tmpfs("/mnt/told", "mode=755");
	watch_begin("/mnt/told");
	mark_filesystem(fixture);
	for (unsigned int i = 0; i < 20; i++) {
		uint64_t pause_us = (i + 1) * 1000, began;

		file_events_member_set_pause(watched.member, pause_us);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			_exit(mkdir("theirs", 0755) == 0 && rmdir("theirs") == 0 ? 0 : 1);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		began = now_us();
		wait_told(fixture);
		assert_true(now_us() - began + 500 >= pause_us);
		assert_int_equal(watched.pid, child);
	}

	file_events_statistics(events, &statistics);
	assert_int_equal(statistics.groups, 1);
	assert_int_equal(statistics.own, 0);
	assert_return_code(mkdir("ours", 0755), errno);
	watched.n_event = 0;
	file_events_member_read(watched.member);
	file_events_statistics(events, &statistics);
	assert_int_equal(statistics.own, 1);
	assert_int_equal(watched.n_event, 0);
	assert_int_equal(statistics.overflows + statistics.malformed, 0);
	assert_int_equal(watched.n_begin, watched.n_end);

	assert_return_code(chdir("/"), errno);
	assert_return_code(umount2("/mnt/told", UMOUNT_NOFOLLOW), errno);
}

static bool make_many(void)
{
	for (unsigned int i = 0; i < 30000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d%u", i);
		if (mkdir(name, 0755) < 0)
			return false;
	}
	return true;
}

/* More than the queue of the kernel takes: told in its place, and then it goes on. */
static void test_overflow(void **state)
{
	struct fixture *fixture = *state;
	struct file_events_statistics statistics;

	mount_tmpfs("/mnt/storm", "mode=755,size=200M");
	watch_begin("/mnt/storm");
	mark_filesystem(fixture);
	act_call(make_many);

	/* In turns of a bounded length. */
	while (!watched.n_overflow)
		assert_true(sd_event_run(fixture->loop, PATIENCE_US) > 0);
	assert_true(watched.n_end > 1);
	assert_true(watched.n_event > FILE_EVENTS_BATCH && watched.n_event < 30000);
	file_events_member_read(watched.member);
	assert_int_equal(watched.n_overflow, 1);
	file_events_statistics(events, &statistics);
	assert_int_equal(statistics.overflows, 1);
	print_message("%u of 30000 came in %u batches\n", watched.n_event - 1, watched.n_end);

	watched.n_text = 0;
	act("mkdir after");
	know("after", "after");
	expect("CREATE|ONDIR root:after -: after\n");
	assert_return_code(chdir("/"), errno);
	assert_return_code(umount2("/mnt/storm", UMOUNT_NOFOLLOW), errno);
}

/* From within each callback, and with a mark under way. */
static void test_freed(void **state)
{
	struct fixture *fixture = *state;
	struct file_events_mark one;
	bool no = false;

	mount_tmpfs("/mnt/freed", "mode=755");
	for (unsigned int i = 0; i < 6; i++) {
		watch_begin("/mnt/freed");
		mark_filesystem(fixture);
		act("mkdir a b && rmdir a b");
		watched.free_in_begin = i % 3 == 0;
		watched.free_in_event = i % 3 == 1;
		watched.free_in_end = i % 3 == 2;
		if (i < 3)
			file_events_member_read(watched.member);
		while (watched.member)
			assert_true(sd_event_run(fixture->loop, PATIENCE_US) > 0);
		assert_int_equal(watched.n_event, i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : 6);
		assert_int_equal(watched.n_end, i % 3 == 2);
	}

	watch_begin("/mnt/freed");
	one = mark_of(NAMES_MASK, false);
	assert_return_code(file_events_member_mark(watched.member, &one), 0);
	watched.member = file_events_member_free(watched.member);
	loop_until(fixture->loop, &no, 50000);
	assert_int_equal(watched.n_marked, 0);
	assert_return_code(chdir("/"), errno);
	assert_return_code(umount2("/mnt/freed", UMOUNT_NOFOLLOW), errno);
}

/* Taken away, refused, too many. */
static void test_marks(void **state)
{
	struct fixture *fixture = *state;
	struct file_events_member *many[FILE_EVENTS_GROUPS_MAX] = {};
	struct file_events_member *more = NULL;
	struct file_events_mark one;
	struct file_events_statistics statistics;
	size_t n = 0;

	mount_tmpfs("/mnt/marks", "mode=755");
	make_directory("/mnt/marks/d");
	watch_begin("/mnt/marks");
	know("d", "d");
	assert_int_equal(mark_inode(fixture, "d"), 0);
	act("mkdir d/one");
	know("one", "d/one");
	expect("CREATE|ONDIR d:one -: one\n");

	/* Of the whole filesystem, what is taken away alone: when the next has its answer, it was. */
	one = mark_of(FAN_OPEN | FAN_CREATE | FAN_ONDIR, false);
	assert_int_equal(mark(fixture, &one), 0);
	one.mask = FAN_OPEN;
	assert_return_code(file_events_member_unmark(watched.member, &one), 0);
	assert_int_equal(mark_inode(fixture, "d"), 0);
	act("mkdir outside && ls outside");
	know("outside", "outside");
	expect("CREATE|ONDIR root:outside -: outside\n");
	one.mask = FAN_CREATE | FAN_ONDIR;
	assert_return_code(file_events_member_unmark(watched.member, &one), 0);

	/* Another follows the first: when that has its answer, this was done. */
	one = mark_of(INODE_MASK, false);
	one.handle = handle_view(&watched.known[1].handle);
	assert_return_code(file_events_member_unmark(watched.member, &one), 0);
	assert_return_code(file_events_member_unmark(watched.member, &one), 0);
	assert_int_equal(mark_inode(fixture, "one"), 0);
	assert_int_equal(watched.n_marked, 4);
	act("mkdir d/two");
	expect("");

	/* Another mount is there by now; the inode is gone. */
	watched.mount.id++;
	watched.mount.unique_id += watched.mount.unique_id != 0;
	assert_int_equal(mark_inode(fixture, "d"), -ESTALE);
	watched.mount = mount_of(watched.where);
	act("rm -r d");
	assert_int_equal(mark_inode(fixture, "d"), -ESTALE);
	assert_return_code(file_events_member_unmark(watched.member, &one), 0);
	one = mark_of(1ULL << 40, false);
	assert_int_equal(mark(fixture, &one), -EOPNOTSUPP);

	while (n < FILE_EVENTS_GROUPS_MAX - 1)
		assert_return_code(file_events_member_new(&many[n++], events, FILE_EVENTS_FANOTIFY,
							  &ops, &watched),
				   0);
	assert_int_equal(file_events_member_new(&more, events, FILE_EVENTS_FANOTIFY, &ops,
						&watched),
			 -EUSERS);
	assert_null(more);
	file_events_statistics(events, &statistics);
	assert_int_equal(statistics.groups, FILE_EVENTS_GROUPS_MAX);
	while (n > 0)
		file_events_member_free(many[--n]);
	assert_return_code(chdir("/"), errno);
	assert_return_code(umount2("/mnt/marks", UMOUNT_NOFOLLOW), errno);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tmpfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_images, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subvolume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
	};

	harness_enter();
	harness_require_fanotify();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
