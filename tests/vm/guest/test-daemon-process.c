// SPDX-License-Identifier: GPL-2.0-or-later

/* Processes as the daemon's client shows them, followed by the module and without it. */

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "test.h"

#define TRACK "fseventsctl --bus=" BUS " track --json "
#define TRACKED "cat /run/tracked"

/* There are so many of these, or the end is shown. */
static void check_count(int line, const char *text, int wanted)
{
	static char said[1 << 20];
	FILE *file = fopen("/run/tracked", "r");
	const char *at = said;
	size_t n_said;
	int n = 0;

	CHECK(file);
	n_said = fread(said, 1, sizeof(said) - 1, file);
	said[n_said] = '\0';
	fclose(file);
	while ((at = strstr(at, text))) {
		at += strlen(text);
		n++;
	}
	if (n != wanted)
		test_fail(__FILE__, line, "%d of %s, not %d: ... %s", n, text, wanted,
			  said + (n_said > 400 ? n_said - 400 : 0));
}

#define CHECK_COUNT(text, wanted) check_count(__LINE__, text, wanted)

/* --- a leader that does as it is told */

static int commands[2], answers[2];

static int child_main(char command)
{
	if (command == 'd' && fork() == 0) {
		setsid();
		_exit(3);
	}
	_exit(command == 'd' ? 0 : 5);
}

/* d: a child that leaves a child behind, c: a child that is its parent's, q: the end */
static void leader_main(void)
{
	char command;
	int32_t pid;

	while (read(commands[0], &command, 1) == 1 && command != 'q') {
		pid = syscall(SYS_clone, (command == 'c' ? CLONE_PARENT : 0) | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0)
			child_main(command);
		if (command != 'c')
			waitpid(pid, NULL, 0);
		if (write(answers[1], &pid, sizeof(pid)) != sizeof(pid))
			break;
	}
	_exit(0);
}

/* Starts one, and follows it. */
static pid_t leader_new(void)
{
	char command[128];
	pid_t pid;

	CHECK_INT(pipe(commands), 0);
	CHECK_INT(pipe(answers), 0);
	pid = fork();
	if (pid == 0)
		leader_main();
	unlink("/run/tracked");
	snprintf(command, sizeof(command), TRACK "%d >/run/tracked &", pid);
	CHECK_INT(system(command), 0);
	WAIT(TRACKED, "\"event\":\"member\"", NULL);
	return pid;
}

static int leader_tell(char command)
{
	int32_t pid = 0;

	CHECK_INT(write(commands[1], &command, 1), 1);
	if (command != 'q')
		CHECK_INT(read(answers[0], &pid, sizeof(pid)), sizeof(pid));
	return pid;
}

static void wait_for_child(int line, int pid)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "\"child\":%d,", pid);
	wait_for(line, TRACKED, wanted, NULL);
}

/* --- tests */

/* However short they live; and what a shell did is in the totals, to the last one. */
static void programs_have_names(void)
{
	int status;

	daemon_begin();
	load_module("fsevents");
	WAIT(SOURCES, "processesmodule", NULL);
	status = system(TRACK "-- /bin/sh -c 'i=0; while [ $i -lt 60 ]; do /bin/true; "
			      "i=$((i + 1)); done; exit 7' >/run/tracked 2>&1");
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 7);
	CHECK_COUNT("\"event\":\"lost\"", 0);
	CHECK_COUNT("\"event\":\"fork\"", 60);
	CHECK_COUNT("\"event\":\"exec\"", 61);
	CHECK_COUNT("\"file\":\"/bin/true\"", 60);
	CHECK_COUNT("\"file\":\"/bin/sh\"", 1);
	CHECK_COUNT("\"incomplete\":false", 1);
	daemon_end();
}

static void follow_many(void)
{
	int i;

	leader_new();
	for (i = 0; i < 150; i++)
		leader_tell('d');
	leader_tell('q');
	WAIT(TRACKED, "\"event\":\"empty\"", NULL);
	CHECK_COUNT("\"event\":\"lost\"", 0);
	CHECK_COUNT("\"event\":\"fork\"", 300);
	CHECK_COUNT("\"event\":\"exit\"", 301);
	CHECK_COUNT("\"status\":768", 150);
	CHECK_COUNT("\"forks\":\"300\"", 1);
	CHECK_COUNT("\"exits\":\"301\"", 1);
	CHECK_COUNT("\"incomplete\":false", 1);
}

/* The same by either source: descendants whose parents have ended, each told once. */
static void descendants_are_followed(void)
{
	daemon_begin();
	WAIT(SOURCES, "processesproc-connector", NULL);
	follow_many();
	load_module("fsevents");
	WAIT(SOURCES, "processesmodule", NULL);
	follow_many();
	daemon_end();
}

/* Who runs goes on with what is left, and knows that something may be missing. */
static void group_outlives_module(void)
{
	int pid;

	daemon_begin();
	load_module("fsevents");
	WAIT(SOURCES, "processesmodule", NULL);
	leader_new();
	/* The connector tells it as its parent's, who is not followed. */
	pid = leader_tell('c');
	wait_for_child(__LINE__, pid);
	WAIT(TRACKED, "\"status\":1280", "\"event\":\"lost\"");
	CHECK_INT(waitpid(pid, NULL, 0), pid);

	unload_module("fsevents");
	WAIT(SOURCES, "processesproc-connector", NULL);
	WAIT(TRACKED, "\"event\":\"lost\"", NULL);
	wait_for_child(__LINE__, leader_tell('d'));
	CHECK_COUNT("\"event\":\"lost\"", 1);

	/* It keeps that, and who comes after it has the better one. */
	load_module("fsevents");
	WAIT(SOURCES, "freezesmodule processesproc-connector", NULL);
	wait_for_child(__LINE__, leader_tell('d'));
	leader_tell('q');
	WAIT(TRACKED, "\"event\":\"empty\"", NULL);
	CHECK_COUNT("\"event\":\"lost\"", 1);
	WAIT(SOURCES, "processesmodule", NULL);

	leader_new();
	pid = leader_tell('c');
	wait_for_child(__LINE__, pid);
	leader_tell('q');
	WAIT(TRACKED, "\"event\":\"empty\"", NULL);
	daemon_end();
}

const struct test tests_daemon_process[] = {
	{ .name = "daemon-programs-have-names", .run = programs_have_names, .needs = DAEMON },
	{ .name = "daemon-descendants-are-followed",
	  .run = descendants_are_followed,
	  .needs = DAEMON },
	{ .name = "daemon-group-outlives-module", .run = group_outlives_module, .needs = DAEMON },
	{},
};
