/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/process-fixture.h"

/* PROC_PID_INIT_INO of linux/proc_ns.h, which no other namespace can have. */
#define INITIAL_NAMESPACE "pid:[4026531836]"

void process_fixture_enter(void)
{
	char name[64] = "";

	if (geteuid() != 0) {
		fprintf(stderr, "SKIPPED: needs root\n");
		exit(77);
	}
	if (readlink("/proc/self/ns/pid", name, sizeof(name) - 1) < 0 ||
	    strcmp(name, INITIAL_NAMESPACE) != 0) {
		fprintf(stderr, "SKIPPED: needs the initial namespace of processes\n");
		exit(77);
	}
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void child_start(struct child *child, int (*run)(int answers, void *ctx), void *ctx)
{
	int orders[2], answers[2];

	assert_return_code(pipe2(orders, O_CLOEXEC), errno);
	assert_return_code(pipe2(answers, O_CLOEXEC), errno);
	child->pid = fork();
	assert_return_code(child->pid, errno);
	if (child->pid == 0) {
		char byte;

		/* A test that fails leaves nobody behind. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(orders[1]);
		close(answers[0]);
		if (read(orders[0], &byte, 1) != 1)
			_exit(99);
		_exit(run(answers[1], ctx));
	}

	close(orders[0]);
	close(answers[1]);
	child->orders = orders[1];
	child->answers = answers[0];
}

void child_go(struct child *child)
{
	/* Not the end of file: a child that was made later has this end, too. */
	assert_int_equal(write(child->orders, "g", 1), 1);
	close(child->orders);
	child->orders = -1;
}

int child_wait(struct child *child)
{
	int status = 0;

	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	close(child->answers);
	return status;
}

static pid_t vfork_one(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	return pid;
}

void vfork_many(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = vfork_one();

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			abort();
	}
}

unsigned int touch_cpus(void)
{
	cpu_set_t all, one;
	unsigned int n = 0;

	assert_return_code(sched_getaffinity(0, sizeof(all), &all), errno);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		assert_return_code(sched_setaffinity(0, sizeof(one), &one), errno);
		vfork_many(1);
		n++;
	}
	assert_return_code(sched_setaffinity(0, sizeof(all), &all), errno);
	return n;
}

void loop_until(sd_event *loop, bool (*done)(void *ctx), void *ctx)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	while (!done(ctx)) {
		assert_true(now_us() < deadline);
		assert_return_code(sd_event_run(loop, 100000), 0);
	}
}
