// SPDX-License-Identifier: GPL-2.0-or-later

/*
 * The daemon and the module together: as users see it, by the daemon's client.
 * What is waited for comes; what must not come twice is counted when what was
 * told last is there.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "test.h"

#define XFS_IOC_GOINGDOWN _IOR('X', 125, uint32_t)

/* How often the history has this of the filesystem mounted there; the last one's line to @ret. */
static int count(const char *where, const char *code, char *ret, size_t n_ret)
{
	char wanted[64];
	char *rest = said, *line;
	int n = 0;

	ask(HISTORY);
	snprintf(wanted, sizeof(wanted), "\"code\":\"%s\"", code);
	while ((line = strsep(&rest, "\n"))) {
		if (!strstr(line, wanted) || !strstr(line, where))
			continue;
		n++;
		if (ret)
			snprintf(ret, n_ret, "%s", line);
	}
	return n;
}

/* There are so many, and the last one is that process's. */
static void is_told(int line, const char *where, const char *code, int n_wanted, int pid)
{
	char last[2048] = "", wanted[32];
	long long until_ms = 0;
	int n;

	do
		n = count(where, code, last, sizeof(last));
	while (n < n_wanted && pause_until(&until_ms));
	snprintf(wanted, sizeof(wanted), "\"pid\":%d,", pid);
	if (n != n_wanted || (n > 0 && pid >= 0 && !strstr(last, wanted)))
		test_fail(__FILE__, line, "%s of %s: %d, not %d; %s in %.300s", code, where, n,
			  n_wanted, wanted, last);
}

#define IS_TOLD(where, code, n, pid) is_told(__LINE__, where, code, n, pid)

static void with_open(const char *where, unsigned long request, void *argument)
{
	int fd = open(where, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, request, argument))
		_exit(1);
	close(fd);
}

static void freeze(const char *where)
{
	with_open(where, FIFREEZE, NULL);
}

static void thaw(const char *where)
{
	with_open(where, FITHAW, NULL);
}

static void shut_down(const char *where)
{
	uint32_t how = 2; /* without its log */

	with_open(where, XFS_IOC_GOINGDOWN, &how);
}

/* It is refused once more, which the module tells when there may be room already. */
static void fill(const char *where)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/full", where);
	if (fill_file(path) != -ENOSPC)
		_exit(1);
	nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	_exit(fill_file(path) == -ENOSPC ? 0 : 1);
}

/* More than there is: xfs refuses it before it takes anything. */
static void allocate(const char *where)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/large", where);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	_exit(fd >= 0 && fallocate(fd, 0, 0, 1LL << 30) && errno == ENOSPC ? 0 : 1);
}

/* Loaded later, unloaded and loaded again while things are so: each is told once, and holds. */
static void module_comes_and_goes(void)
{
	int pid;

	daemon_begin();
	mount_disk(disks[0].device, "ext4", "/mnt/one", "");
	WAIT(SHOW("/mnt/one"), "\"state\":\"ok\"", "\"thawed\"");
	WAIT(SOURCES, "freezesnone", NULL);

	load_module("fsevents");
	WAIT(SOURCES, "freezesmodule errorsmodule", NULL);
	WAIT(SHOW("/mnt/one"), "\"frozen\",\"thawed\" \"enospc-metadata\"", NULL);
	pid = in_process(freeze, "/mnt/one");
	WAIT(SHOW("/mnt/one"), "\"state\":\"frozen\"", NULL);
	IS_TOLD("/mnt/one", "frozen", 1, pid);

	/* It is so all the same, though nobody tells it. */
	unload_module("fsevents");
	WAIT(SOURCES, "freezesnone", NULL);
	WAIT(SHOW("/mnt/one"), "\"state\":\"frozen\"", "\"thawed\"");
	load_module("fsevents");
	WAIT(SHOW("/mnt/one"), "\"frozen\",\"thawed\" \"state\":\"frozen\"", NULL);
	pid = in_process(thaw, "/mnt/one");
	IS_TOLD("/mnt/one", "thawed", 1, pid);
	WAIT(SHOW("/mnt/one"), "\"state\":\"ok\"", NULL);
	IS_TOLD("/mnt/one", "frozen", 1, -1);

	/* Thawed while nobody saw it, and frozen. */
	pid = in_process(freeze, "/mnt/one");
	IS_TOLD("/mnt/one", "frozen", 2, pid);
	unload_module("fsevents");
	WAIT(SOURCES, "freezesnone", NULL);
	in_process(thaw, "/mnt/one");
	load_module("fsevents");
	IS_TOLD("/mnt/one", "thawed", 2, 0);
	WAIT(SHOW("/mnt/one"), "\"state\":\"ok\"", NULL);
	unload_module("fsevents");
	WAIT(SOURCES, "freezesnone", NULL);
	in_process(freeze, "/mnt/one");
	load_module("fsevents");
	IS_TOLD("/mnt/one", "frozen", 3, 0);
	pid = in_process(thaw, "/mnt/one");
	IS_TOLD("/mnt/one", "thawed", 3, pid);

	unmount("/mnt/one");
	IS_TOLD("/mnt/one", "unmounted", 1, 0);
	daemon_end();
}

/* What the kernel tells in several ways is told once, with the process where there is one. */
static void health_is_told_once(void)
{
	int pid;

	daemon_begin();
	load_module("fsevents");
	mount_disk(disks[0].device, "ext4", "/mnt/one", "");
	mount_disk(disks[1].device, "xfs", "/mnt/two", "");
	WAIT(SHOW("/mnt/one"), "\"state\":\"ok\" \"thawed\"", NULL);
	WAIT(SHOW("/mnt/two"), "\"state\":\"ok\" \"thawed\"", NULL);

	pid = in_process(allocate, "/mnt/two");
	IS_TOLD("/mnt/two", "enospc", 1, pid);

	/* A look may find it full long before its process is refused. */
	in_process(fill, "/mnt/one");
	IS_TOLD("/mnt/one", "enospc", 1, -1);
	WAIT(SHOW("/mnt/one"), "\"state\":\"full\"", NULL);
	CHECK_INT(unlink("/mnt/one/full"), 0);
	WAIT(SHOW("/mnt/one"), "\"state\":\"ok\"", NULL);

	in_process(shut_down, "/mnt/two");
	IS_TOLD("/mnt/two", "shutdown", 1, -1);
	WAIT(SHOW("/mnt/two"), "\"state\":\"error\" \"read-only-reason\":\"shutdown\"", NULL);

	unmount("/mnt/one");
	unmount("/mnt/two");
	IS_TOLD("/mnt/one", "unmounted", 1, 0);
	IS_TOLD("/mnt/two", "unmounted", 1, 0);
	IS_TOLD("/mnt/one", "enospc", 1, -1);
	IS_TOLD("/mnt/one", "enospc-metadata", 0, -1);
	IS_TOLD("/mnt/two", "shutdown", 1, -1);
	IS_TOLD("/mnt/two", "read-only", 0, -1);
	daemon_end();
}

#define VICTIM "what-the-daemon-tells-is-damaged"

static void use_damaged(const char *where)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/damaged/d/" VICTIM, where);
	_exit(open(path, O_RDONLY | O_CLOEXEC) < 0 ? 0 : 1);
}

/* The module alone can tell these of each type: what was frozen and by whom, and damage that was met. */
static void states_are_told_of(const char *device, const char *type, bool has_culprit)
{
	char where[32], show[192];
	long long until_ms = 0;
	int pid;

	snprintf(where, sizeof(where), "/mnt/d-%s", type);
	snprintf(show, sizeof(show), SHOW("%s"), where);
	/* Elsewhere: whether that is told depends on how soon it is over. */
	mount_disk(device, type, "/mnt/prepared", "");
	damage_prepare("/mnt/prepared/damaged", VICTIM);
	/* The daemon may be looking at it in this very moment. */
	while (umount("/mnt/prepared"))
		CHECK(errno == EBUSY && pause_until(&until_ms));
	damage_disk(device, VICTIM);
	mount_disk(device, type, where, "");
	WAIT(show, "\"thawed\" \"state\":\"ok\"", NULL);

	pid = in_process(freeze, where);
	IS_TOLD(where, "frozen", 1, pid);
	WAIT(show, "\"state\":\"frozen\"", NULL);
	pid = in_process(thaw, where);
	IS_TOLD(where, "thawed", 1, pid);
	IS_TOLD(where, "corrupted", 0, -1);

	pid = in_process(use_damaged, where);
	IS_TOLD(where, "corrupted", 1, has_culprit ? pid : -1);
	IS_TOLD(where, "frozen", 1, -1);
	unmount(where);
	IS_TOLD(where, "unmounted", 1, 0);
	damage_undo();
}

static void states_are_told_of_each_type(void)
{
	daemon_begin();
	load_module("fsevents");
	states_are_told_of(disks[0].device, "ext4", true);
	/* Its message in the kernel's log may be heard first, and names nobody. */
	states_are_told_of(disks[1].device, "xfs", false);
	states_are_told_of(disks[2].device, "btrfs", false);
	daemon_end();
}

const struct test tests_daemon[] = {
	{ .name = "daemon-module-comes-and-goes", .run = module_comes_and_goes, .needs = DAEMON },
	{ .name = "daemon-health-is-told-once", .run = health_is_told_once, .needs = DAEMON },
	/* The last: ext4 keeps on the disk that there were errors. */
	{ .name = "daemon-states-of-each-type",
	  .run = states_are_told_of_each_type,
	  .seconds = 480,
	  .needs = DAEMON },
	{},
};
