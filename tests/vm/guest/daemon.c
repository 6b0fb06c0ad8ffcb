// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "test.h"

char said[1 << 18];
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

void ask(const char *command)
{
	FILE *output = popen(command, "r");
	size_t n;

	CHECK(output);
	n = fread(said, 1, sizeof(said) - 1, output);
	said[n] = '\0';
	pclose(output);
}

bool pause_until(long long *until_ms)
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

void wait_for(int line, const char *command, const char *wanted, const char *unwanted)
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

static const char bus_config[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
	"<busconfig><type>system</type><auth>EXTERNAL</auth><listen>" BUS "</listen>\n"
	"<policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"*\"/>\n"
	"<allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\n"
	"<allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\n"
	"<allow send_type=\"signal\"/></policy></busconfig>\n";

void daemon_begin(void)
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
	write_file("/run/fsevents.conf", "[filesystem *]\nevents = all\nthreshold = none\n"
					 "[limits]\nwatches = 1024\nstreams = 256\n");
	setenv("STATE_DIRECTORY", state, 1);
	pids[0] = start(bus);
	while (access("/run/bus", F_OK) && pause_until(&until_ms))
		;
	pids[1] = start(daemon);
	/* There is no other. */
	symlink("fseventsd", "/bin/fseventsctl");
}

void daemon_end(void)
{
	int status;

	CHECK_INT(waitpid(pids[1], &status, WNOHANG), 0);
	CHECK_INT(kill(pids[1], SIGTERM), 0);
	CHECK_INT(waitpid(pids[1], &status, 0), pids[1]);
	CHECK_INT(status, 0);
	kill(pids[0], SIGTERM);
	waitpid(pids[0], &status, 0);
}
