/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/output/journal.h"
#include "tests/io/process-world.h"

#define STORM 5000
#define USER 65532
#define BURN_US 100000
#define TICK_US 10000

static const struct bus_track all_events = { .events = GROUP_EVENTS_ALL };
static struct world world;

static bool is_answered(void *ctx)
{
	return ((struct world *)ctx)->n_answers > 0;
}

/* Its grandchild has a session of its own and outlives who made it. */
static int run_double_fork(int answers, void *ctx)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		setsid();
		if (fork() == 0) {
			execl("/bin/sh", "sh", "-c", "exit 7", NULL);
			_exit(90);
		}
		_exit(3);
	}
	return waitpid(pid, &status, 0) == pid ? 5 : 91;
}

static void test_group(void **state)
{
	const struct told_group *told = &world.group;
	struct child child;
	char shell[4096] = "";

	world_start(&world, 0, "");
	child_start(&child, run_double_fork, NULL);
	assert_true(world_track(&world, child.pid, &all_events, 0));
	assert_true(process_source_is_started(world.processes->source));
	assert_true(world_has_member(&world, child.pid, NULL));
	child_go(&child);
	world_wait_empty(&world);
	assert_int_equal(child_wait(&child), 5 << 8);

	assert_int_equal(told->n_forks, 2);
	assert_int_equal(told->n_execs, 1);
	assert_int_equal(told->n_exits, 3);
	assert_int_equal(told->n_lost, 0);
	assert_int_equal(told->events[0].kind, GROUP_FORK);
	assert_int_equal(told->events[0].pid, child.pid);
	assert_int_equal(told->events[1].kind, GROUP_FORK);
	assert_int_equal(told->events[1].pid, told->events[0].other);
	for (size_t i = 0; i < told->n_events; i++) {
		if (told->events[i].kind != GROUP_EXIT)
			continue;
		if (told->events[i].pid == (uint32_t)child.pid)
			assert_int_equal(told->events[i].status, 5 << 8);
		else if (told->events[i].pid == told->events[0].other)
			assert_int_equal(told->events[i].status, 3 << 8);
		else
			assert_int_equal(told->events[i].status, 7 << 8);
	}
	/* A moment late: the shell may have ended by then, but is nothing else. */
	assert_non_null(realpath("/bin/sh", shell));
	assert_true(told->last_file[0] == '\0' || strcmp(told->last_file, shell) == 0);

	assert_int_equal(told->totals.leader, child.pid);
	assert_int_equal(told->totals.live, 0);
	assert_int_equal(told->totals.forks, 2);
	assert_int_equal(told->totals.execs, 1);
	assert_int_equal(told->totals.exits, 3);
	assert_int_equal(told->totals.lost, 0);
	assert_false(told->totals.incomplete);

	processes_bus_ops.group_release(told->id, world.processes);
	assert_int_equal(quota_total(world.quota, QUOTA_GROUPS), 0);
	world_stop(&world);
}

static int run_pause(int answers, void *ctx)
{
	for (;;)
		pause();
	return 0;
}

/* With the last user the subscription ends, and the next one begins another. */
static void test_idle(void **state)
{
	const struct bus_track accounted = { .accounting = true };
	struct child child;

	world_start(&world, 0, "");
	child_start(&child, run_pause, NULL);
	assert_true(world_is_idle(&world));
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(world_track(&world, child.pid, &accounted, 0));
		assert_false(world_is_idle(&world));
		assert_true(taskstats_is_started(world.processes->taskstats));
		processes_bus_ops.group_release(world.group.id, world.processes);
		loop_until(world.loop, world_is_idle, &world);
	}

	kill(child.pid, SIGKILL);
	close(child.orders);
	assert_int_equal(child_wait(&child), SIGKILL);
	assert_false(world_track(&world, child.pid, &all_events, 0));
	assert_string_equal(world.refusal.name, SD_BUS_ERROR_INVALID_ARGS);
	world_stop(&world);
}

static int run_burner(int answers, void *ctx)
{
	struct timespec now;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec == 0 && now.tv_nsec < BURN_US * 1000);
	return 0;
}

static int run_burners(int answers, void *ctx)
{
	pid_t pids[2];

	for (unsigned int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(run_burner(-1, NULL));
	}
	for (unsigned int i = 0; i < 2; i++)
		if (waitpid(pids[i], NULL, 0) != pids[i])
			return 1;
	return 0;
}

static void test_accounting(void **state)
{
	const struct bus_track accounted = { .accounting = true };
	const struct bus_group_totals *totals = &world.group.totals;
	uint64_t truth, told;
	struct rusage usage;
	struct child child;

	world_start(&world, 0, "");
	child_start(&child, run_burners, NULL);
	assert_true(world_track(&world, child.pid, &accounted, 0));
	child_go(&child);
	assert_int_equal(wait4(child.pid, NULL, 0, &usage), child.pid);
	close(child.answers);
	world_wait_empty(&world);

	told = totals->user_usec + totals->system_usec;
	truth = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
		(uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	printf("three processes: %" PRIu64 " us told, %" PRIu64 " us by wait4\n", told, truth);
	assert_in_range(told, truth * 95 / 100 - 3 * TICK_US, truth * 105 / 100 + 3 * TICK_US);
	assert_int_equal(totals->exits, 3);
	assert_true(totals->peak_rss > 0);
	assert_true(totals->accounting);
	assert_false(totals->incomplete);
	assert_int_equal(world.group.n_events, 0);
	world_stop(&world);
}

/* A storm, then one that stays. */
static int run_storm_and_stay(int answers, void *ctx)
{
	pid_t pid;

	vfork_many(STORM);
	pid = fork();
	if (pid == 0)
		return run_pause(-1, NULL);
	if (write(answers, &pid, sizeof(pid)) != sizeof(pid))
		return 1;
	return run_pause(-1, NULL);
}

static void test_storm(void **state)
{
	struct child child;
	pid_t stays;

	world_start(&world, 0, "");
	child_start(&child, run_storm_and_stay, NULL);
	assert_true(world_track(&world, child.pid, &all_events, 0));
	child_go(&child);
	/* Nobody reads meanwhile: all of it waits in the kernel. */
	assert_int_equal(read(child.answers, &stays, sizeof(stays)), sizeof(stays));
	kill(stays, SIGKILL);
	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	world_wait_empty(&world);

	assert_int_equal(world.group.totals.forks, STORM + 1);
	assert_int_equal(world.group.totals.exits, STORM + 2);
	assert_int_equal(world.group.n_events + world.group.lost, 2 * STORM + 3);
	assert_int_equal(world.group.totals.lost, world.group.lost);
	assert_int_equal(world.group.n_lost_unknown, 0);
	assert_false(world.group.totals.incomplete);
	world_stop(&world);
}

static bool has_survivor(void *ctx)
{
	size_t n;

	return world_has_member(&world, *(pid_t *)ctx, &n) && n == 2;
}

static bool has_lost_most(void *ctx)
{
	return world.group.lost > STORM;
}

/* Most is lost, it is said how much, and the members are right again. */
static void test_overrun(void **state)
{
	struct bus_group_totals totals;
	struct child child;
	pid_t stays;

	world_start(&world, 4096, "");
	child_start(&child, run_storm_and_stay, NULL);
	assert_true(world_track(&world, child.pid, &all_events, 0));
	child_go(&child);
	assert_int_equal(read(child.answers, &stays, sizeof(stays)), sizeof(stays));
	/* What is missing shows with what comes next. */
	loop_until(world.loop, (bool (*)(void *))process_source_is_started,
		   world.processes->source);
	for (unsigned int i = 0; i < 10; i++)
		assert_return_code(sd_event_run(world.loop, 10000), 0);
	touch_cpus();
	/* By each CPU for itself, and the second may be a scan later. */
	loop_until(world.loop, has_lost_most, NULL);
	loop_until(world.loop, has_survivor, &stays);

	processes_bus_ops.group_totals(world.group.id, &totals, world.processes);
	printf("%" PRIu64 " lost, %" PRIu64 " told\n", world.group.lost, world.group.n_events);
	assert_true(totals.lost >= world.group.lost);
	assert_int_equal(totals.live, 2);

	kill(stays, SIGKILL);
	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	world_wait_empty(&world);
	world_stop(&world);
}

static void *exec_in_thread(void *ctx)
{
	execl("/bin/sh", "sh", "-c", "exit 4", NULL);
	_exit(92);
}

static int run_exec_in_thread(int answers, void *ctx)
{
	pthread_t id;

	if (pthread_create(&id, NULL, exec_in_thread, NULL) != 0)
		return 1;
	return run_pause(-1, NULL);
}

/* One process before and after; no fork, one exec, one end with the last status. */
static void test_threads(void **state)
{
	struct child child;

	world_start(&world, 0, "");
	child_start(&child, run_exec_in_thread, NULL);
	assert_true(world_track(&world, child.pid, &all_events, 0));
	child_go(&child);
	assert_int_equal(child_wait(&child), 4 << 8);
	world_wait_empty(&world);
	assert_int_equal(world.group.totals.forks, 0);
	assert_int_equal(world.group.totals.execs, 1);
	assert_int_equal(world.group.totals.exits, 1);
	assert_int_equal(world.group.events[1].kind, GROUP_EXIT);
	assert_int_equal(world.group.events[1].pid, child.pid);
	assert_int_equal(world.group.events[1].status, 4 << 8);
	world_stop(&world);
}

static bool is_blocked(void *ctx)
{
	return ((struct processes *)ctx)->flush_blocked;
}

/* Held: nothing goes out before Start(), and nothing is missing then. */
static void test_hold(void **state)
{
	const struct bus_track held = { .events = GROUP_EVENTS_ALL, .hold = true };
	struct child child;

	world_start(&world, 0, "");
	child_start(&child, run_double_fork, NULL);
	assert_true(world_track(&world, child.pid, &held, 0));
	child_go(&child);
	assert_int_equal(child_wait(&child), 5 << 8);
	for (unsigned int i = 0; i < 10; i++)
		assert_return_code(sd_event_run(world.loop, 20000), 0);
	assert_int_equal(world.group.n_events, 0);

	world.deaf = true;
	assert_return_code(
		processes_bus_ops.group_start(world.group.id, &world.refusal, world.processes), 0);
	/* Who does not read is not asked all the time; that it has read is told. */
	loop_until(world.loop, is_blocked, world.processes);
	assert_int_equal(world.group.n_events, 0);
	world.deaf = false;
	processes_bus_ops.room(world.processes);
	assert_false(is_blocked(world.processes));
	world_wait_empty(&world);
	assert_int_equal(world.group.n_events, 6);
	assert_int_equal(world.group.n_lost, 0);
	world_stop(&world);
}

static void test_limits(void **state)
{
	struct child child;

	world_start(&world, 0, "[limits]\ngroups = 2\nqueue-bytes = 64K\n");
	child_start(&child, run_storm_and_stay, NULL);
	assert_true(world_track(&world, child.pid, &all_events, USER));
	assert_true(world_track(&world, child.pid, &all_events, USER));
	assert_false(world_track(&world, child.pid, &all_events, USER));
	assert_string_equal(world.refusal.name, SD_BUS_ERROR_LIMITS_EXCEEDED);
	assert_int_equal(quota_used(world.quota, USER, QUOTA_GROUPS), 2);

	/* Another user's: what it uses is not told, and the queue holds what it may. */
	world.deaf = true;
	child_go(&child);
	for (pid_t stays;;) {
		assert_int_equal(read(child.answers, &stays, sizeof(stays)), sizeof(stays));
		kill(stays, SIGKILL);
		break;
	}
	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	for (unsigned int i = 0; i < 50; i++) {
		assert_return_code(sd_event_run(world.loop, 10000), 0);
		assert_true(quota_used(world.quota, USER, QUOTA_QUEUE_BYTES) <= 65536);
	}
	world.deaf = false;
	world_wait_empty(&world);
	assert_true(world.group.lost > STORM);
	assert_int_equal(world.group.n_events + world.group.lost, 2 * STORM + 3);
	assert_int_equal(world.group.totals.lost, world.group.lost);
	assert_int_equal(quota_total(world.quota, QUOTA_QUEUE_BYTES), 0);
	world_stop(&world);
}

/* Who asked for the members is answered, whichever comes first. */
static void test_members_are_answered(void **state)
{
	struct bus_reply *reply = (struct bus_reply *)&world;
	struct child child;

	world_start(&world, 0, "");
	child_start(&child, run_double_fork, NULL);
	assert_true(world_track(&world, child.pid, &all_events, 0));

	world.n_answers = world.n_refused = 0;
	assert_return_code(processes_bus_ops.group_ask_members(world.group.id, reply,
							       &world.refusal, world.processes),
			   0);
	loop_until(world.loop, is_answered, &world);
	assert_int_equal(world.n_refused, 0);
	assert_true(world_has_member(&world, child.pid, NULL));

	world.n_answers = 0;
	for (unsigned int i = 0; i < 3; i++)
		assert_return_code(processes_bus_ops.group_ask_members(
					   world.group.id, reply, &world.refusal, world.processes),
				   0);
	processes_bus_ops.group_release(world.group.id, world.processes);
	assert_int_equal(world.n_answers, 3);
	assert_int_equal(world.n_refused, 3);

	child_go(&child);
	child_wait(&child);
	world_stop(&world);
}

/* The answers are owed, and owned, until the end. */
static void test_stop_with_questions_open(void **state)
{
	const struct bus_sender sender = { .uid = 0, .name = ":1.1" };
	struct process_target *target;
	sigset_t set;

	world_start(&world, 0, "");
	world.n_answers = world.n_refused = 0;
	assert_return_code(processes_bus_ops.target((uint32_t)getpid(), &target, &world.refusal,
						    world.processes),
			   0);
	processes_bus_ops.track(target, &all_events, true, &sender, (struct bus_reply *)&world,
				world.processes);
	assert_int_equal(world.n_answers, 0);

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	assert_return_code(processes_bus_ops.target((uint32_t)getpid(), &target, &world.refusal,
						    world.processes),
			   0);
	processes_bus_ops.relay(target, SIGRTMAX, false, &sender, (struct bus_reply *)&world,
				world.processes);
	assert_int_equal(world.n_answers, 0);

	world_stop(&world);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	assert_int_equal(world.n_refused, 2);
	assert_int_equal(world.n_answers, 2);
}

/* Groups that come and go do not keep it reading /proc, whatever becomes of each. */
static void test_scans_rest(void **state)
{
	struct processes *processes;
	struct child child;
	uint64_t next_us = 0;

	world_start(&world, 0, "");
	processes = world.processes;
	child_start(&child, run_double_fork, NULL);
	for (unsigned int i = 0; i < 5; i++) {
		assert_true(world_track(&world, child.pid, &all_events, 0));
		assert_true(processes->scan_began_us >= next_us);
		next_us = processes->scan_next_us;
		assert_true(next_us > processes->scan_began_us);
		processes_bus_ops.group_release(world.group.id, processes);
		loop_until(world.loop, world_is_idle, &world);
	}
	child_go(&child);
	assert_int_equal(child_wait(&child), 5 << 8);
	world_stop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_accounting),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_scans_rest),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_members_are_answered),
		cmocka_unit_test(test_stop_with_questions_open),
	};

	process_fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
