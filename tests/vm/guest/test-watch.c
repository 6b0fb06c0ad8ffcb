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

static void watch_begin(const char *where)
{
	unlink(LOG);
	watcher = fork();
	CHECK(watcher >= 0);
	if (watcher == 0) {
		int fd = open(LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

		dup2(fd, 1);
		dup2(fd, 2);
		execl("/bin/fseventsctl", "fseventsctl", "--bus=" BUS, "watch", "-r", where, NULL);
		_exit(127);
	}
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
	{},
};
