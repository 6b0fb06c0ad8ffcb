// SPDX-License-Identifier: GPL-2.0-or-later

/*
 * The daemon and the module together: as users see it, by the daemon's client.
 * What is waited for comes; what must not come twice is counted when what was
 * told last is there.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define XFS_IOC_GOINGDOWN _IOR('X', 125, uint32_t)

#define DAEMON "/bin/fseventsd"
#define BUS "unix:path=/run/bus"

static char said[1 << 18];
static pid_t pids[2];

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		test_fail(__FILE__, __LINE__, "write %s: %s", path, strerror(errno));
	close(fd);
}

static pid_t start(const char *const *arguments)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(arguments[0], (char **)arguments);
		_exit(127);
	}
	CHECK(pid > 0);
	return pid;
}

/* What a command prints, into ->said; it may fail, as long as nobody answers. */
static void ask(const char *command)
{
	FILE *output = popen(command, "r");
	size_t n;

	CHECK(output);
	n = fread(said, 1, sizeof(said) - 1, output);
	said[n] = '\0';
	pclose(output);
}

/* Between two looks; false: it has taken too long since *until_ms, which is 0 at first. */
static bool pause_until(long long *until_ms)
{
	struct timespec now;
	long long now_ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
	if (*until_ms == 0)
		*until_ms = now_ms + SOON_MS;
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	return now_ms < *until_ms;
}

/* Until what @command prints has all of @wanted (words between spaces), and has no @unwanted. */
static void wait_for(int line, const char *command, const char *wanted, const char *unwanted)
{
	char words[256], *rest, *word;
	long long until_ms = 0;
	bool all;

	do {
		ask(command);
		snprintf(words, sizeof(words), "%s", wanted);
		all = !unwanted || !strstr(said, unwanted);
		for (rest = words; all && (word = strsep(&rest, " "));)
			all = strstr(said, word);
		if (all)
			return;
	} while (pause_until(&until_ms));
	test_fail(__FILE__, line, "%s: no %s (or %s) in %.300s", command, wanted,
		  unwanted ? unwanted : "", said);
}

#define WAIT(command, wanted, unwanted) wait_for(__LINE__, command, wanted, unwanted)

/* Without what is selected and what happened last: those have names of codes, too. */
#define SHOW(where)                                                                                \
	"fseventsctl --bus=" BUS " show --json " where                                             \
	" 2>&1 | sed 's/\"events\":[^]]*]//; s/\"last-event\".*//'"
#define HISTORY "fseventsctl --bus=" BUS " history --json 2>&1"
#define SOURCES                                                                                    \
	"dbus-send --bus=" BUS " --print-reply=literal --dest=org.fsevents1 /org/fsevents1 "       \
	"org.freedesktop.DBus.Properties.Get string:org.fsevents1.Manager string:Sources 2>&1 "    \
	"| tr -d ' \\n'"

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

static void fill(const char *where)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/full", where);
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

static const char bus_config[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
	"<busconfig><type>system</type><auth>EXTERNAL</auth><listen>" BUS "</listen>\n"
	"<policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"*\"/>\n"
	"<allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\n"
	"<allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\n"
	"<allow send_type=\"signal\"/></policy></busconfig>\n";

/* With the module unloaded. */
static void begin(void)
{
	static const char *const bus[] = { "/bin/dbus-daemon",
					   "--nofork",
					   "--nopidfile",
					   "--nosyslog",
					   "--config-file=/run/bus.conf",
					   NULL };
	static const char *const daemon[] = { DAEMON, "--bus=" BUS, "--config",
					      "/run/fsevents.conf", NULL };
	int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
	long long until_ms = 0;
	char state[32];

	/* The daemon goes by the mounts of process 1. */
	CHECK(fd >= 0 && setns(fd, CLONE_NEWNS) == 0);
	close(fd);
	unload_module("fsevents");
	mkdir("/run", 0755);
	mkdir("/etc", 0755);
	/* The bus asks who it is. */
	write_file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	write_file("/etc/group", "root:x:0:\n");
	/* Of its own: the history outlives a daemon. */
	snprintf(state, sizeof(state), "/run/state-%d", getpid());
	CHECK_INT(mkdir(state, 0700), 0);
	unlink("/run/bus");
	write_file("/run/bus.conf", bus_config);
	write_file("/run/fsevents.conf", "[filesystem *]\nevents = all\nthreshold = none\n");
	setenv("STATE_DIRECTORY", state, 1);
	pids[0] = start(bus);
	while (access("/run/bus", F_OK) && pause_until(&until_ms))
		;
	pids[1] = start(daemon);
	/* There is no other. */
	symlink("fseventsd", "/bin/fseventsctl");
}

static void end(void)
{
	int status;

	CHECK_INT(waitpid(pids[1], &status, WNOHANG), 0);
	CHECK_INT(kill(pids[1], SIGTERM), 0);
	CHECK_INT(waitpid(pids[1], &status, 0), pids[1]);
	CHECK_INT(status, 0);
	kill(pids[0], SIGTERM);
	waitpid(pids[0], &status, 0);
}

/* Loaded later, unloaded and loaded again while things are so: each is told once, and holds. */
static void module_comes_and_goes(void)
{
	int pid;

	begin();
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
	end();
}

/* What the kernel tells in several ways is told once, with the process where there is one. */
static void health_is_told_once(void)
{
	int pid;

	begin();
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
	end();
}

const struct test tests_daemon[] = {
	{ .name = "daemon-module-comes-and-goes", .run = module_comes_and_goes, .needs = DAEMON },
	{ .name = "daemon-health-is-told-once", .run = health_is_told_once, .needs = DAEMON },
	{},
};
