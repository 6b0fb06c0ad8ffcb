/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
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

#include "tests/io/process-world.h"

#define STORM 5000
#define SIGNAL 40
#define USER 65532

static struct world world;

static int run_pause(int answers, void *ctx)
{
	for (;;)
		pause();
	return 0;
}

struct received {
	uint32_t n, n_wrong;
};

/* Takes signals until the one that it sends itself at the end of its own storm. */
static int run_receiver(int answers, void *ctx)
{
	struct received received = {};
	const struct timespec patience = { .tv_sec = PATIENCE_US / 1000000 };
	uint32_t last = 0;
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	for (uint32_t expected = *(uint32_t *)ctx; received.n < expected;) {
		if (sigtimedwait(&set, &info, &patience) != SIGNAL)
			break;
		/* Its forks have pids that rise, but where they begin anew. */
		received.n_wrong += info.si_code != SI_QUEUE || info.si_value.sival_int <= 0 ||
				    (uint32_t)info.si_value.sival_int == last;
		last = (uint32_t)info.si_value.sival_int;
		if (info.si_pid != *((pid_t *)ctx + 1))
			continue;
		received.n++;
	}
	return write(answers, &received, sizeof(received)) == sizeof(received) ? 0 : 1;
}

static int run_storm(int answers, void *ctx)
{
	vfork_many(STORM);
	return 0;
}

static bool has_answered(void *ctx)
{
	siginfo_t info = {};

	return waitid(P_PID, (id_t)((struct child *)ctx)->pid, &info,
		      WEXITED | WNOWAIT | WNOHANG) == 0 &&
	       info.si_pid != 0;
}

static void block_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Each fork of the storm is told, with its parent, in order and once. */
static void test_relay(void **state)
{
	struct received received = {};
	struct child storm, receiver;
	uint32_t expected[2] = { STORM };

	block_signal();
	world_start(&world, 0, "");
	child_start(&storm, run_storm, NULL);
	expected[1] = (uint32_t)storm.pid;
	child_start(&receiver, run_receiver, expected);
	assert_true(world_relay(&world, receiver.pid, SIGNAL, true, 0));
	child_go(&receiver);
	child_go(&storm);
	loop_until(world.loop, has_answered, &receiver);

	assert_int_equal(read(receiver.answers, &received, sizeof(received)), sizeof(received));
	assert_int_equal(received.n, STORM);
	assert_int_equal(received.n_wrong, 0);
	assert_int_equal(child_wait(&receiver), 0);
	assert_int_equal(child_wait(&storm), 0);

	/* With the receiver the relay ends, and with that the subscription. */
	loop_until(world.loop, world_is_idle, &world);
	assert_int_equal(quota_total(world.quota, QUOTA_RELAYS), 0);
	world_stop(&world);
}

struct relay_list {
	unsigned int n;
	struct bus_relay last;
};

static void on_relay(const struct bus_relay *relay, void *ctx)
{
	struct relay_list *list = ctx;

	list->n++;
	list->last = *relay;
}

static struct relay_list list_relays(uid_t uid)
{
	const struct bus_sender sender = { .uid = uid, .name = ":1.1" };
	struct relay_list list = {};

	processes_bus_ops.relays(&sender, on_relay, &list, world.processes);
	return list;
}

static int run_setuid(int answers, void *ctx)
{
	char byte;

	if (setresuid(USER, USER, USER) < 0 || write(answers, "u", 1) != 1)
		return 1;
	if (read(*(int *)ctx, &byte, 1) != 1)
		return 2;
	return run_pause(-1, NULL);
}

static bool is_relay_gone(void *ctx)
{
	return list_relays(0).n == 0;
}

/* Of the uids that it had at its registration, or not at all. */
static void test_relay_uids(void **state)
{
	struct procfile_status status;
	struct child child;
	int order[2];
	char byte;

	block_signal();
	world_start(&world, 0, "");
	assert_return_code(pipe(order), errno);
	child_start(&child, run_setuid, &order[0]);
	assert_true(world_relay(&world, child.pid, SIGNAL, true, 0));
	assert_int_equal(list_relays(0).n, 1);
	child_go(&child);
	assert_int_equal(read(child.answers, &byte, 1), 1);

	/* It is another's by now, though nobody has read that yet. */
	vfork_many(100);
	loop_until(world.loop, is_relay_gone, NULL);
	assert_return_code(process_read_status((uint32_t)child.pid, &status), 0);
	assert_int_equal(status.uids[0], USER);
	loop_until(world.loop, world_is_idle, &world);

	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	close(order[0]);
	close(order[1]);
	world_stop(&world);
}

static void test_relay_limit(void **state)
{
	const struct rlimit limit = { 100, 100 };
	const struct bus_sender sender = { .uid = USER, .name = ":1.2" };
	struct child child;
	int order[2];
	char byte;

	block_signal();
	world_start(&world, 0, "[limits]\nrelays = 1\n");
	assert_return_code(pipe(order), errno);
	child_start(&child, run_setuid, &order[0]);
	assert_return_code(prlimit(child.pid, RLIMIT_SIGPENDING, &limit, NULL), errno);
	child_go(&child);
	assert_int_equal(read(child.answers, &byte, 1), 1);

	assert_false(world_relay(&world, child.pid, 33, true, USER));
	assert_non_null(strstr(world.refusal.text, "C library"));
	assert_false(world_relay(&world, child.pid, 65, true, USER));
	assert_false(world_relay(&world, child.pid, SIGNAL + 1, true, USER));
	assert_int_equal(quota_total(world.quota, QUOTA_RELAYS), 0);
	/* Of another's process without a right to all: it was the user's when that was asked. */
	assert_false(world_relay(&world, child.pid, SIGNAL, false, USER + 1));
	assert_string_equal(world.refusal.name, SD_BUS_ERROR_ACCESS_DENIED);
	assert_int_equal(quota_total(world.quota, QUOTA_RELAYS), 0);
	assert_true(world_relay(&world, child.pid, SIGNAL, true, USER));
	/* In its own place there is room. */
	assert_true(world_relay(&world, child.pid, SIGNAL, true, USER));
	assert_int_equal(quota_used(world.quota, USER, QUOTA_RELAYS), 1);
	assert_false(world_relay(&world, getpid(), SIGNAL, true, USER));
	assert_string_equal(world.refusal.name, SD_BUS_ERROR_LIMITS_EXCEEDED);

	vfork_many(300);
	for (unsigned int i = 0; i < 20 || list_relays(USER).last.lost < 200; i++)
		assert_return_code(sd_event_run(world.loop, 20000), 0);
	/* Others may fork meanwhile: these and no fewer. */
	assert_true(list_relays(USER).last.lost >= 200);
	assert_int_equal(relay_sent(relays_next(feed_relays(world.processes->feed), NULL)), 100);

	assert_int_equal(list_relays(USER + 1).n, 0);
	assert_int_equal(processes_bus_ops.stop_relay((uint32_t)child.pid,
						      &(struct bus_sender){ .uid = USER + 1 },
						      &world.refusal, world.processes),
			 -1);
	assert_int_equal(processes_bus_ops.stop_relay((uint32_t)child.pid, &sender, &world.refusal,
						      world.processes),
			 0);
	assert_int_equal(list_relays(0).n, 0);

	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	close(order[0]);
	close(order[1]);
	world_stop(&world);
}

static int run_late(int answers, void *ctx)
{
	block_signal();
	if (write(answers, "b", 1) != 1)
		return 1;
	return run_pause(-1, NULL);
}

static void ask(pid_t pid)
{
	const struct bus_sender sender = { .uid = 0, .name = ":1.1" };
	struct process_target *target;

	world.n_answers = world.n_refused = 0;
	assert_return_code(processes_bus_ops.target((uint32_t)pid, &target, &world.refusal,
						    world.processes),
			   0);
	processes_bus_ops.relay(target, SIGNAL, true, &sender, (struct bus_reply *)&world,
				world.processes);
	assert_int_equal(world.n_answers, 0);
	assert_int_equal(quota_total(world.quota, QUOTA_RELAYS), 1);
}

static bool is_answered(void *ctx)
{
	return world.n_answers > 0;
}

/* Who takes the signal by one of the next looks is as good as any; who does not is refused. */
static void test_relay_later(void **state)
{
	struct child child;
	sigset_t set;
	char byte;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	world_start(&world, 0, "");
	child_start(&child, run_late, NULL);
	ask(child.pid);
	loop_until(world.loop, is_answered, NULL);
	assert_int_equal(world.n_refused, 1);
	assert_non_null(strstr(world.refusal.text, "neither catches nor blocks"));
	assert_int_equal(quota_total(world.quota, QUOTA_RELAYS), 0);

	ask(child.pid);
	child_go(&child);
	assert_int_equal(read(child.answers, &byte, 1), 1);
	loop_until(world.loop, is_answered, NULL);
	assert_int_equal(world.n_refused, 0);
	assert_int_equal(list_relays(0).n, 1);
	assert_int_equal(quota_total(world.quota, QUOTA_RELAYS), 1);
	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	loop_until(world.loop, world_is_idle, &world);

	/* One that is still asked for at the end of all. */
	child_start(&child, run_pause, NULL);
	ask(child.pid);
	world_stop(&world);
	assert_int_equal(world.n_refused, 1);
	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	close(child.orders);
}

static bool has_warned(void *ctx)
{
	return world.n_warnings > 0;
}

/* The root of the storm is named, though its children are what there is most of. */
static void test_warning(void **state)
{
	struct child child;

	world_start(&world, 0, "[process bomb]\nfork-rate = 100/s\n");
	child_start(&child, run_storm, NULL);
	loop_until(world.loop, (bool (*)(void *))process_source_is_started,
		   world.processes->source);
	for (unsigned int i = 0; i < 20; i++)
		assert_return_code(sd_event_run(world.loop, 20000), 0);
	child_go(&child);
	loop_until(world.loop, has_warned, NULL);
	assert_int_equal(child_wait(&child), 0);
	assert_string_equal(world.warning.code, "fork-rate");
	assert_true(world.warning.rate > 100);
	assert_int_equal(world.warning.limit, 100);
	assert_int_equal(world.warning.id, 1);
	world_stop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relay),	    cmocka_unit_test(test_relay_uids),
		cmocka_unit_test(test_relay_limit), cmocka_unit_test(test_relay_later),
		cmocka_unit_test(test_warning),
	};

	process_fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
