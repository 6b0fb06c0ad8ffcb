/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/source/relay-sender.h"
#include "tests/io/process-fixture.h"

#define SIGNAL 40
#define SENT 20000
#define LIMIT 100
#define USER 65533
#define LIMITED_USER 65531

struct report {
	uint32_t n, n_wrong;
};

static void ready(int answers)
{
	char byte = 'r';

	if (write(answers, &byte, 1) != 1)
		_exit(98);
}

static void wait_ready(const struct child *child)
{
	char byte;

	assert_int_equal(read(child->answers, &byte, 1), 1);
}

static void block(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Takes what is queued, until parent 1 and child 1 come, and says whether all was in order. */
static int run_receiver(int answers, void *ctx)
{
	struct report report = {};
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	ready(answers);
	for (;;) {
		if (sigwaitinfo(&set, &info) != SIGNAL)
			continue;
		if (info.si_value.sival_int == 1)
			break;
		report.n_wrong += info.si_code != SI_QUEUE || info.si_uid != 0 ||
				  info.si_pid != (pid_t)(1000 + report.n) ||
				  info.si_value.sival_int != (int)(500000 + report.n);
		report.n++;
	}
	if (write(answers, &report, sizeof(report)) != sizeof(report))
		return 97;
	return 0;
}

static int run_pause(int answers, void *ctx)
{
	ready(answers);
	for (;;)
		pause();
	return 0;
}

/* What is queued is counted by user: one who has nothing else. */
static int run_limited(int answers, void *ctx)
{
	if (setresuid(LIMITED_USER, LIMITED_USER, LIMITED_USER) < 0)
		return 94;
	return run_pause(answers, ctx);
}

static void test_signals(void **state)
{
	_cleanup_(process_target_freep) struct process_target *target = NULL;
	const uint64_t began = now_us();
	struct report report = {};
	struct child child;
	int r;

	block(SIGNAL);
	child_start(&child, run_receiver, NULL);
	child_go(&child);
	wait_ready(&child);
	assert_return_code(process_target_new(&target, (uint32_t)child.pid), 0);
	assert_int_equal(process_target_pid(target), child.pid);
	assert_true(process_target_start_ticks(target) > 0);
	/* Now it waits, and the kernel shows no more that it blocks the signal. */
	while (process_target_takes(target, SIGNAL, false))
		assert_true(now_us() < began + PATIENCE_US);
	while (!process_target_takes(target, SIGNAL, true))
		assert_true(now_us() < began + PATIENCE_US);

	for (uint32_t i = 0; i < SENT; i++)
		while ((r = process_target_send(target, SIGNAL, 1000 + i, 500000 + i)) != 0)
			assert_int_equal(r, RELAY_E_LOST);
	while (process_target_send(target, SIGNAL, 1, 1) != 0)
		;

	assert_int_equal(read(child.answers, &report, sizeof(report)), sizeof(report));
	assert_int_equal(report.n, SENT);
	assert_int_equal(report.n_wrong, 0);
	assert_int_equal(child_wait(&child), 0);

	/* It is not there any more, and nobody who has its pid gets anything. */
	assert_int_equal(process_target_send(target, SIGNAL, 2, 3), RELAY_E_GONE);
	assert_false(process_target_takes(target, SIGNAL, true));
	assert_false(process_target_executes_same(target));
}

/* The receiver's own limit is what counts, and each that is not queued is told. */
static void test_limit(void **state)
{
	_cleanup_(process_target_freep) struct process_target *target = NULL;
	const struct rlimit limit = { LIMIT, LIMIT };
	unsigned int n_queued = 0, n_lost = 0;
	struct child child;

	block(SIGNAL);
	child_start(&child, run_limited, NULL);
	assert_return_code(prlimit(child.pid, RLIMIT_SIGPENDING, &limit, NULL), errno);
	child_go(&child);
	wait_ready(&child);
	assert_return_code(process_target_new(&target, (uint32_t)child.pid), 0);
	assert_true(process_target_takes(target, SIGNAL, true));
	assert_false(process_target_takes(target, SIGNAL + 1, true));
	for (unsigned int i = 0; i < 3 * LIMIT; i++) {
		int r = process_target_send(target, SIGNAL, 7, i);

		assert_true(r == 0 || r == RELAY_E_LOST);
		n_queued += r == 0;
		n_lost += r == RELAY_E_LOST;
	}
	assert_int_equal(n_queued, LIMIT);
	assert_int_equal(n_lost, 2 * LIMIT);

	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
}

static int run_as_user(int answers, void *ctx)
{
	char byte;

	ready(answers);
	if (read(*(int *)ctx, &byte, 1) != 1 || setresuid(USER, USER, USER) < 0)
		return 96;
	ready(answers);
	for (;;)
		pause();
	return 0;
}

static void test_uids(void **state)
{
	_cleanup_(process_target_freep) struct process_target *target = NULL;
	struct relay_uids uids;
	struct child child;
	int order[2];

	assert_return_code(pipe(order), errno);
	child_start(&child, run_as_user, &order[0]);
	child_go(&child);
	wait_ready(&child);
	assert_return_code(process_target_new(&target, (uint32_t)child.pid), 0);
	assert_return_code(process_target_uids(target, &uids), 0);
	assert_int_equal(uids.real | uids.effective | uids.saved | uids.filesystem, 0);
	assert_true(process_target_executes_same(target));

	assert_int_equal(write(order[1], "x", 1), 1);
	wait_ready(&child);
	assert_return_code(process_target_uids(target, &uids), 0);
	assert_int_equal(uids.real, USER);
	assert_int_equal(uids.effective, USER);
	assert_int_equal(uids.saved, USER);
	assert_int_equal(uids.filesystem, USER);

	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	assert_int_equal(process_target_uids(target, &uids), -ESRCH);
	close(order[0]);
	close(order[1]);
}

static int run_exec(int answers, void *ctx)
{
	ready(answers);
	execl("/bin/sleep", "sleep", "60", NULL);
	return 95;
}

/* The same program, which says that it is there. */
static int run_again(int answers, void *ctx)
{
	dup2(answers, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", "echo r; read line; exec /bin/sh -c 'echo r; read line'",
	      NULL);
	return 95;
}

static void test_same_program(void **state)
{
	_cleanup_(process_target_freep) struct process_target *target = NULL;
	struct child child;
	char line[2];
	int input[2];

	assert_return_code(pipe(input), errno);
	assert_int_equal(dup2(input[0], STDIN_FILENO), STDIN_FILENO);
	child_start(&child, run_again, NULL);
	child_go(&child);
	assert_int_equal(read(child.answers, line, 2), 2);
	assert_return_code(process_target_new(&target, (uint32_t)child.pid), 0);
	assert_true(process_target_executes_same(target));
	assert_int_equal(write(input[1], "\n", 1), 1);
	assert_int_equal(read(child.answers, line, 2), 2);
	assert_false(process_target_executes_same(target));

	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
	close(input[0]);
	close(input[1]);
}

static bool executes_another(void *ctx)
{
	return !process_target_executes_same(ctx);
}

static void test_refused(void **state)
{
	_cleanup_(process_target_freep) struct process_target *target = NULL;
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	struct child child;

	assert_return_code(sd_event_new(&loop), 0);
	assert_int_equal(process_target_new(&target, 0), -EINVAL);
	assert_int_equal(process_target_new(&target, UINT32_MAX), -EINVAL);
	assert_null(target);

	/* A zombie is nobody any more. */
	child_start(&child, run_pause, NULL);
	kill(child.pid, SIGKILL);
	assert_return_code(waitid(P_PID, (id_t)child.pid, &(siginfo_t){}, WEXITED | WNOWAIT),
			   errno);
	assert_int_equal(process_target_new(&target, (uint32_t)child.pid), -ESRCH);
	close(child.orders);
	assert_int_equal(child_wait(&child), SIGKILL);
	assert_int_equal(process_target_new(&target, (uint32_t)child.pid), -ESRCH);
	assert_null(target);

	child_start(&child, run_exec, NULL);
	assert_return_code(process_target_new(&target, (uint32_t)child.pid), 0);
	assert_true(process_target_executes_same(target));
	child_go(&child);
	wait_ready(&child);
	loop_until(loop, executes_another, target);
	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),	     cmocka_unit_test(test_limit),
		cmocka_unit_test(test_uids),	     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_same_program),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "SKIPPED: needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
