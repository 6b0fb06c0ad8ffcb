// SPDX-License-Identifier: GPL-2.0-or-later

/*
 * Watches of the daemon that the module tells: as a user sees them, by the daemon's client
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "test.h"

#define LOG "/run/watch.log"

static pid_t watcher;

/* What it has printed so far, into ->said. */
static void look(void)
{
	int fd = open(LOG, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, said, sizeof(said) - 1);

	CHECK(n >= 0);
	said[n] = '\0';
	close(fd);
}

static bool has(const char *text)
{
	look();
	return strstr(said, text);
}

static void wait_line(int line, const char *text)
{
	long long until_ms = 0;

	while (!has(text))
		if (!pause_until(&until_ms))
			test_fail(__FILE__, line, "no \"%s\" in %.380s", text, said);
}

#define WAIT_LINE(text) wait_line(__LINE__, text)

/* Until what happens is told, from some moment on. */
static void wait_told(int line, const char *directory)
{
	long long until_ms = 0;
	char path[128];

	snprintf(path, sizeof(path), "%s/probe-%d", directory, line);
	do {
		if (!pause_until(&until_ms))
			test_fail(__FILE__, line, "nothing is told; said was %.380s", said);
		make_file(path);
		CHECK_INT(unlink(path), 0);
	} while (!has(path));
}

#define WAIT_TOLD(directory) wait_told(__LINE__, directory)

/* @arguments: of "fseventsctl watch", by spaces */
static void watch_begin_with(const char *arguments)
{
	char command[8192];

	unlink(LOG);
	snprintf(command, sizeof(command), "exec fseventsctl --bus=" BUS " watch %s >>" LOG " 2>&1",
		 arguments);
	watcher = fork();
	CHECK(watcher >= 0);
	if (watcher == 0) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
}

static void watch_begin(const char *where)
{
	char arguments[128];

	snprintf(arguments, sizeof(arguments), "-r %s", where);
	watch_begin_with(arguments);
}

static void watch_end(void)
{
	int status;

	CHECK_INT(waitpid(watcher, &status, WNOHANG), 0);
	CHECK_INT(kill(watcher, SIGTERM), 0);
	CHECK_INT(waitpid(watcher, &status, 0), watcher);
}

/* Names, renames of directories and what is below them, removals: nothing is lost. */
static void change_names(const char *where)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p a/b && echo x >a/b/file && mv a/b/file a/moved && mv a c && "
		 "echo x >c/b/late && rm -r c/b && mv c/moved gone && rm gone && echo x >end",
		 where);
	CHECK_INT(system(command), 0);
	wait_line(__LINE__, "/end");
	wait_line(__LINE__, "/a/b/file -> ");
	wait_line(__LINE__, "/a/moved");
	wait_line(__LINE__, "/c/b/late");
	wait_line(__LINE__, "/c/moved -> ");
	wait_line(__LINE__, "delete");
	CHECK(!strstr(said, "lost"));
	CHECK(!strstr(said, "/a/b/late"));
}

/*
 * Before 6.8 the superblocks of btrfs are of a type that has no name of its own, so that none is
 * found by it: then the kernel's own source tells all, from the beginning.
 */
static bool is_found(const struct disk *disk)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	CHECK(uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2);
	return strcmp(disk->type, "btrfs") != 0 || major > 6 || (major == 6 && minor >= 8);
}

/*
 * Where the module finds it by a descriptor only, the daemon opens one for an instant, a while after
 * each mount.
 */
static void unmount_watched(const struct disk *disk)
{
	long long until_ms = 0;

	if (is_found(disk)) {
		unmount("/mnt/one");
		return;
	}
	while (umount("/mnt/one"))
		CHECK(errno == EBUSY && pause_until(&until_ms));
}

static void told_by_the_module(const struct disk *disk)
{
	daemon_begin();
	load_module("fsevents");
	WAIT(SOURCES, "watchesmodule", NULL);
	mount_disk(disk->device, disk->type, "/mnt/one", "");
	CHECK_INT(mkdir("/mnt/one/tree", 0755), 0);
	watch_begin("/mnt/one/tree");
	WAIT_TOLD("/mnt/one/tree");
	change_names("/mnt/one/tree");

	/* It goes on with what the kernel has itself, and stays so. */
	unload_module("fsevents");
	if (is_found(disk))
		WAIT_LINE("lost");
	WAIT(SOURCES, "watchesfanotify", NULL);
	WAIT_TOLD("/mnt/one/tree");
	CHECK(has("lost") == is_found(disk));
	load_module("fsevents");
	WAIT(SOURCES, "watchesmodule", NULL);
	WAIT_TOLD("/mnt/one/tree");
	watch_end();

	/* One that begins now is the module's: with it all that it hears ends. */
	watch_begin("/mnt/one/tree");
	WAIT_TOLD("/mnt/one/tree");
	CHECK(!has("lost"));
	CHECK_INT(system("rm -r /mnt/one/tree/*"), 0);
	make_file("/mnt/one/tree/last");
	WAIT_LINE("/mnt/one/tree/last");
	unmount_watched(disk);
	WAIT_LINE("unmount");
	CHECK(!has("lost"));

	/* And is watched again. */
	CHECK_INT(mount(disk->device, "/mnt/one", disk->type, 0, NULL), 0);
	WAIT_TOLD("/mnt/one/tree");
	watch_end();
	CHECK_INT(system("rm -r /mnt/one/tree"), 0);
	unmount_watched(disk);
	daemon_end();
}

/*
 * Watches of a directory and of a file in it
 */

#define DIR "/mnt/one/dir"
#define FILE_IN_IT DIR "/file"

/* How many lines tell that event of that name to that watch, alone or with others. */
static int count_told(const char *event, const char *watch, const char *name)
{
	char wanted[256], quoted[64], *line, *rest, *copy;
	int n = 0;

	snprintf(wanted, sizeof(wanted), "\"watch\":\"%s\",\"name\":\"%s\"", watch, name);
	snprintf(quoted, sizeof(quoted), "\"%s\"", event);
	look();
	copy = rest = strdup(said);
	CHECK(copy);
	while ((line = strsep(&rest, "\n"))) {
		const char *events_end = strchr(line, ']');
		const char *at = strstr(line, quoted);

		n += events_end && at && at < events_end && strstr(line, wanted);
	}
	free(copy);
	return n;
}

struct told {
	const char *event; /* NULL: nothing */
	const char *name;
};

/* The last that each is told of it; ->also comes before. */
struct step {
	const char *command;
	struct told to_dir, to_file;
	const char *also;
};

/* What make_spots() does comes before the first, in the order of each. */
static const struct step steps[] = {
	{ "echo x >>" FILE_IN_IT, { "close-write", "file" }, { "close-write", "" }, "modify" },
	{ "cat " FILE_IN_IT, { "access", "file" }, { "access", "" }, "open" },
	{ "chmod 600 " FILE_IN_IT, { "attrib", "file" }, { "attrib", "" }, NULL },
	{ "mkdir " DIR "/sub", { "create", "sub" }, {}, NULL },
	{ "chmod 700 " DIR "/sub", { "attrib", "sub" }, {}, NULL },
	{ "chmod 711 " DIR, { "attrib", "" }, {}, NULL },
	{ "mv " FILE_IN_IT " " DIR "/moved", { "move", "moved" }, { "move-self", "" }, NULL },
	{ "mv " DIR "/moved /mnt/one/out", { "delete", "moved" }, { "move-self", "" }, NULL },
	{ "mv /mnt/one/out " FILE_IN_IT, { "create", "file" }, { "move-self", "" }, NULL },
	{ "rmdir " DIR "/sub", { "delete", "sub" }, {}, NULL },
	{ "rm " FILE_IN_IT, { "delete", "file" }, { "delete-self", "" }, NULL },
	{ "rmdir " DIR, { "delete-self", "" }, {}, NULL },
};

static int count_of(const struct told *told, const char *watch)
{
	return told->event ? count_told(told->event, watch, told->name) : 1;
}

/* Each is told to both, and to each of them once. */
static void do_steps(void)
{
	size_t i;

	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		const struct step *step = &steps[i];
		long long until_ms = 0;

		CHECK_INT(truncate(LOG, 0), 0);
		CHECK_INT(system(step->command), 0);
		while (!count_of(&step->to_dir, DIR) || !count_of(&step->to_file, FILE_IN_IT))
			if (!pause_until(&until_ms))
				test_fail(__FILE__, __LINE__, "%s: not told in %.300s",
					  step->command, said);
		if (step->also && (count_told(step->also, DIR, step->to_dir.name) != 1 ||
				   count_told(step->also, FILE_IN_IT, "") != 1))
			test_fail(__FILE__, __LINE__, "%s: no %s in %.300s", step->command,
				  step->also, said);
		if (count_of(&step->to_dir, DIR) != 1 || count_of(&step->to_file, FILE_IN_IT) != 1)
			test_fail(__FILE__, __LINE__, "%s: told twice in %.300s", step->command,
				  said);
		if (strstr(said, "\"lost\"") || strstr(said, "\"merged\":true"))
			test_fail(__FILE__, __LINE__, "%s: %.300s", step->command, said);
	}
}

static void wait_spots(int line)
{
	long long until_ms = 0;

	wait_told(line, DIR);
	while (!count_told("attrib", FILE_IN_IT, "")) {
		if (!pause_until(&until_ms))
			test_fail(__FILE__, line, "the file is not told; said was %.300s", said);
		CHECK_INT(system("chmod 644 " FILE_IN_IT), 0);
	}
}

static void make_spots(int line)
{
	CHECK_INT(system("rm -rf " DIR " && mkdir " DIR " && echo content >" FILE_IN_IT), 0);
	watch_begin_with("--json -e all " DIR " " FILE_IN_IT);
	wait_spots(line);
}

static void write_watches_max(int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	write_text("/sys/module/fsevents/parameters/watches_max", text);
}

/* As many as that, and no more, are the module's. */
static void check_watches(int line, int n)
{
	struct client *client = calloc(1, sizeof(*client));
	int fd = open_path("/mnt/one"), full, free_one;

	CHECK(client);
	CHECK_INT(client_open(client), 0);
	write_watches_max(n);
	full = client_watch(client, fd, FS_FILE_MODIFY);
	write_watches_max(n + 1);
	free_one = client_watch(client, fd, FS_FILE_MODIFY);
	if (full != -ENOSPC || free_one != 0)
		test_fail(__FILE__, line, "not %d watches: %d, %d", n, full, free_one);
	client_close(client);
	free(client);
	close(fd);
	write_watches_max(65536);
}

#define CHECK_WATCHES(n) check_watches(__LINE__, n)

/* They are withdrawn soon: then there is room for one where one is all that may be. */
static void wait_no_watches(void)
{
	struct client *client = calloc(1, sizeof(*client));
	int fd = open_path("/mnt/one");
	long long until_ms = 0;
	int r;

	CHECK(client);
	CHECK_INT(client_open(client), 0);
	write_watches_max(1);
	while ((r = client_watch(client, fd, FS_FILE_MODIFY)) && pause_until(&until_ms))
		;
	CHECK_INT(r, 0);
	client_close(client);
	free(client);
	close(fd);
	write_watches_max(65536);
}

static void spots_by_the_module(const struct disk *disk)
{
	daemon_begin();
	load_module("fsevents");
	WAIT(SOURCES, "watchesmodule", NULL);
	mount_disk(disk->device, disk->type, "/mnt/one", "");
	make_spots(__LINE__);
	CHECK_WATCHES(2);
	do_steps();
	wait_no_watches();
	watch_end();

	/* They go on with what the kernel has itself. */
	make_spots(__LINE__);
	CHECK_WATCHES(2);
	CHECK_INT(truncate(LOG, 0), 0);
	unload_module("fsevents");
	WAIT_LINE("[\"lost\"],\"watch\":\"" DIR "\"");
	WAIT_LINE("[\"lost\"],\"watch\":\"" FILE_IN_IT "\"");
	CHECK_INT(truncate(LOG, 0), 0);
	wait_spots(__LINE__);
	load_module("fsevents");
	WAIT(SOURCES, "watchesmodule", NULL);
	CHECK_WATCHES(0);
	do_steps();
	watch_end();

	make_spots(__LINE__);
	CHECK_WATCHES(2);
	unmount_watched(disk);
	WAIT_LINE("\"unmount\"");
	watch_end();
	daemon_end();
}

static void spots_ext4(void)
{
	spots_by_the_module(&disks[0]);
}

static void spots_xfs(void)
{
	spots_by_the_module(&disks[1]);
}

static void spots_btrfs(void)
{
	spots_by_the_module(&disks[2]);
}

static void spots_tmpfs(void)
{
	spots_by_the_module(&(struct disk){ .device = "tmpfs", .type = "tmpfs" });
}

#define MANY 250 /* as many as one client may have streams of */

/* A thousand come and go, some of them with what they watch; then the module has none. */
static void many_leave_nothing(void)
{
	char arguments[MANY * 16] = "", path[64], command[128];
	long long until_ms = 0;
	size_t n = 0;
	int i, round;

	daemon_begin();
	load_module("fsevents");
	WAIT(SOURCES, "watchesmodule", NULL);
	mount_disk(disks[0].device, disks[0].type, "/mnt/one", "");
	CHECK_INT(mkdir("/mnt/one/many", 0755), 0);
	for (i = 0; i < MANY; i++)
		n += (size_t)snprintf(arguments + n, sizeof(arguments) - n, " many/%d", i);
	snprintf(command, sizeof(command), "chmod 600 /mnt/one/many/%d", MANY - 1);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < MANY; i++) {
			snprintf(path, sizeof(path), "/mnt/one/many/%d", i);
			make_file(path);
		}
		CHECK_INT(chdir("/mnt/one"), 0);
		watch_begin_with(arguments);
		CHECK_INT(chdir("/"), 0);
		/* The last one stands. */
		snprintf(path, sizeof(path), "many/%d", MANY - 1);
		for (until_ms = 0; !has(path);) {
			CHECK(pause_until(&until_ms));
			CHECK_INT(system(command), 0);
		}
		CHECK_WATCHES(MANY);
		if (round & 1)
			CHECK_INT(system("rm /mnt/one/many/*"), 0);
		watch_end();
		wait_no_watches();
	}
	CHECK_INT(system("rm -r /mnt/one/many"), 0);
	unmount("/mnt/one");
	daemon_end();
}

/* The daemon ends in order while the module tells watches of both kinds. */
static void stop_while_told(void)
{
	pid_t tree;
	int status;

	daemon_begin();
	load_module("fsevents");
	WAIT(SOURCES, "watchesmodule", NULL);
	mount_disk(disks[0].device, disks[0].type, "/mnt/one", "");
	CHECK_INT(mkdir("/mnt/one/tree", 0755), 0);
	watch_begin("/mnt/one/tree");
	WAIT_TOLD("/mnt/one/tree");
	tree = watcher;
	watch_begin_with("/mnt/one/tree");
	WAIT_TOLD("/mnt/one/tree");
	CHECK_WATCHES(1);
	daemon_end();
	/* Either ends by itself, too. */
	CHECK_INT(kill(watcher, SIGTERM), 0);
	CHECK_INT(waitpid(watcher, &status, 0), watcher);
	CHECK_INT(kill(tree, SIGTERM), 0);
	CHECK_INT(waitpid(tree, &status, 0), tree);
	CHECK_INT(rmdir("/mnt/one/tree"), 0);
	unmount("/mnt/one");
}

static void told_ext4(void)
{
	told_by_the_module(&disks[0]);
}

static void told_xfs(void)
{
	told_by_the_module(&disks[1]);
}

static void told_btrfs(void)
{
	told_by_the_module(&disks[2]);
}

const struct test tests_watch[] = {
	{ .name = "watch-module-ext4", .run = told_ext4, .needs = DAEMON },
	{ .name = "watch-module-xfs", .run = told_xfs, .needs = DAEMON },
	{ .name = "watch-module-btrfs", .run = told_btrfs, .needs = DAEMON },
	{ .name = "watch-spots-ext4", .run = spots_ext4, .needs = DAEMON },
	{ .name = "watch-spots-xfs", .run = spots_xfs, .needs = DAEMON },
	{ .name = "watch-spots-btrfs", .run = spots_btrfs, .needs = DAEMON },
	{ .name = "watch-spots-tmpfs", .run = spots_tmpfs, .needs = DAEMON },
	{ .name = "watch-stop", .run = stop_while_told, .needs = DAEMON },
	{ .name = "watch-spots-many", .run = many_leave_nothing, .seconds = 600, .needs = DAEMON },
	{},
};
