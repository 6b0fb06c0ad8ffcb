/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/source/process-scanner.h"
#include "daemon/source/procfs.h"
#include "tests/io/process-fixture.h"

#define THREADS 600 /* more than are read at once */
#define USER 65533

/* NGROUPS_MAX */
#define GROUPS 65536
/* A name that would lead a careless reader astray. */
#define NAME "x) Z 1 (y"

struct seen {
	pid_t threaded, user, child_of_user;
	unsigned int n_threaded, n_user, n_child, n_self, n_entries;
	bool done, complete;
};

static void on_entry(const struct process_scan_entry *entry, void *userdata)
{
	struct seen *seen = userdata;

	seen->n_entries++;
	assert_true(entry->pid > 0);
	if (entry->pid == (uint32_t)getpid()) {
		assert_int_equal(entry->parent, getppid());
		seen->n_self++;
	} else if (entry->pid == (uint32_t)seen->threaded) {
		bool leader = false;

		assert_int_equal(entry->parent, getpid());
		assert_int_equal(entry->n_threads, THREADS + 1);
		assert_int_equal(entry->n_tids, THREADS + 1);
		for (size_t i = 0; i < entry->n_tids; i++)
			leader |= entry->tids[i] == entry->pid;
		assert_true(leader);
		assert_false(entry->zombie);
		seen->n_threaded++;
	} else if (entry->pid == (uint32_t)seen->user) {
		assert_int_equal(entry->uid, 0);
		assert_true(entry->uid_mixed);
		assert_true(entry->start_ticks > 0);
		seen->n_user++;
	} else if (entry->parent == (uint32_t)seen->user) {
		assert_int_equal(entry->uid, 0);
		assert_true(entry->zombie);
		seen->child_of_user = (pid_t)entry->pid;
		seen->n_child++;
	}
}

static void on_done(bool complete, void *userdata)
{
	struct seen *seen = userdata;

	assert_false(seen->done);
	seen->done = true;
	seen->complete = complete;
}

static const struct process_scanner_ops ops = {
	.entry = on_entry,
	.done = on_done,
};

static bool is_done(void *ctx)
{
	return ((struct seen *)ctx)->done;
}

static void *thread(void *ctx)
{
	for (;;)
		pause();
	return NULL;
}

static int run_threads(int answers, void *ctx)
{
	pthread_t id;

	for (unsigned int i = 0; i < THREADS; i++)
		if (pthread_create(&id, NULL, thread, NULL) != 0)
			return 1;
	if (write(answers, "r", 1) != 1)
		return 2;
	for (;;)
		pause();
	return 0;
}

/* A parent with a zombie, an odd name, and an effective uid of its own. */
static int run_user(int answers, void *ctx)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		return 0;
	if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
		return 1;
	if (prctl(PR_SET_NAME, NAME) < 0 || setresuid(0, USER, 0) < 0)
		return 2;
	if (write(answers, "r", 1) != 1)
		return 3;
	for (;;)
		pause();
	return 0;
}

/* In as many groups as there can be, of as many digits, with one signal blocked. */
static int run_groups(int answers, void *ctx)
{
	static gid_t groups[GROUPS];
	sigset_t blocked;

	for (unsigned int i = 0; i < GROUPS; i++)
		groups[i] = UINT32_MAX - 1 - i;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN);
	if (setgroups(GROUPS, groups) < 0 || sigprocmask(SIG_SETMASK, &blocked, NULL) < 0)
		return 1;
	if (write(answers, "r", 1) != 1)
		return 2;
	for (;;)
		pause();
	return 0;
}

static void start(struct child *child, int (*run)(int answers, void *ctx))
{
	char byte;

	child_start(child, run, NULL);
	child_go(child);
	assert_int_equal(read(child->answers, &byte, 1), 1);
}

static void test_scan(void **state)
{
	_cleanup_(process_scanner_freep) struct process_scanner *scanner = NULL;
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	struct child threaded, user;
	struct seen seen = {};
	uint64_t began;

	assert_return_code(sd_event_new(&loop), 0);
	start(&threaded, run_threads);
	start(&user, run_user);
	seen.threaded = threaded.pid;
	seen.user = user.pid;

	assert_return_code(process_scanner_new(&scanner, loop, &ops, &seen), 0);
	/* One that was stopped tells nothing, and another begins anew. */
	assert_return_code(process_scanner_start(scanner), 0);
	process_scanner_stop(scanner);
	assert_return_code(process_scanner_start(scanner), 0);
	assert_return_code(process_scanner_start(scanner), 0);
	began = now_us();
	loop_until(loop, is_done, &seen);
	printf("%u entries in two passes, %" PRIu64 " us\n", seen.n_entries, now_us() - began);

	assert_true(seen.complete);
	assert_int_equal(seen.n_self, 2);
	assert_int_equal(seen.n_threaded, 2);
	assert_int_equal(seen.n_user, 2);
	assert_int_equal(seen.n_child, 2);

	kill(threaded.pid, SIGKILL);
	kill(user.pid, SIGKILL);
	assert_int_equal(child_wait(&threaded), SIGKILL);
	assert_int_equal(child_wait(&user), SIGKILL);
}

static void test_one(void **state)
{
	struct process_identity_buffer buffer;
	struct process_identity identity;
	struct procfile_status status;
	struct procfile_stat stat;
	struct process_program program;
	char own[4096];
	uint32_t uids[4];
	struct child user;
	ssize_t n;

	start(&user, run_user);
	assert_return_code(process_read_stat((uint32_t)user.pid, &stat), 0);
	assert_int_equal(stat.pid, user.pid);
	assert_int_equal(stat.parent, getpid());
	assert_return_code(process_read_status((uint32_t)user.pid, &status), 0);
	assert_int_equal(status.uids[0], 0);
	assert_int_equal(status.uids[1], USER);
	assert_return_code(process_read_identity((uint32_t)user.pid, &buffer, &identity), 0);
	assert_string_equal(identity.comm, NAME);
	assert_true(identity.uid_known);
	assert_int_equal(identity.uid, 0);

	n = readlink("/proc/self/exe", own, sizeof(own));
	assert_true(n > 0);
	assert_int_equal(strlen(identity.file), n);
	assert_memory_equal(identity.file, own, (size_t)n);

	/* Whose it is is told as it is: not the name's matter. */
	assert_int_equal(process_read_program((uint32_t)user.pid, &program), 0);
	assert_int_equal(program.n_file, n);
	assert_memory_equal(program.file, own, (size_t)n);
	assert_memory_equal(program.uids, status.uids, sizeof(status.uids));
	assert_int_equal(program.uids[1], USER);
	assert_int_equal(program.start_ticks, stat.start_ticks);
	assert_int_equal(process_read_uids((uint32_t)user.pid, uids), 0);
	assert_memory_equal(uids, status.uids, sizeof(uids));

	kill(user.pid, SIGKILL);
	assert_int_equal(child_wait(&user), SIGKILL);
	assert_int_equal(process_read_program((uint32_t)user.pid, &program), -ESRCH);
	assert_int_equal(process_read_uids((uint32_t)user.pid, uids), -ESRCH);
	assert_int_equal(process_read_stat((uint32_t)user.pid, &stat), -ESRCH);
	assert_int_equal(process_read_status((uint32_t)user.pid, &status), -ESRCH);
	assert_int_equal(process_read_identity((uint32_t)user.pid, &buffer, &identity), -ESRCH);
	assert_null(process_scanner_free(NULL));
}

/* What stands behind the groups in "status" is found, however many these are. */
static void test_groups(void **state)
{
	struct procfs_threads threads = {};
	struct process_scan_entry entry;
	struct procfile_status status;
	struct child child;
	uint64_t began;

	start(&child, run_groups);
	began = now_us();
	assert_return_code(process_read_status((uint32_t)child.pid, &status), 0);
	printf("status with %u groups in %" PRIu64 " us\n", GROUPS, now_us() - began);
	assert_int_equal(status.uids[0], 0);
	assert_int_equal(status.blocked, 1ULL << (SIGRTMIN - 1));
	assert_int_equal(procfs_begin_entry((uint32_t)child.pid, &threads, &entry), 0);
	assert_false(entry.uid_mixed);
	procfs_threads_deinit(&threads);

	kill(child.pid, SIGKILL);
	assert_int_equal(child_wait(&child), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_groups),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "SKIPPED: needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
