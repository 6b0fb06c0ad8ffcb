// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define EVERY                                                                                      \
	((1 << FS_RECORD_FORK) | (1 << FS_RECORD_EXEC) | (1 << FS_RECORD_EXIT) |                   \
	 (1 << FS_RECORD_UID))

static struct client client;
static struct listener listener;

static void open_all(uint32_t events)
{
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_PROC, 0), 0);
	CHECK_INT(client_proc(&client, events), 0);
}

/* The next record of one process; others of the machine are passed over. */
static const struct fs_event_process *next_of(uint32_t tgid)
{
	const struct fs_event_process *process;

	do {
		process = (const void *)listener_record(&listener, SOON_MS);
		if (!process)
			test_fail(__FILE__, __LINE__, "no record of %u came", tgid);
	} while (process->tgid != tgid);
	CHECK_INT(process->record.header_size, sizeof(*process));
	return process;
}

static void life_is_told(void)
{
	const struct fs_event_process *process;
	struct stat file;
	int status;
	pid_t pid;

	open_all(EVERY);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 3", NULL);
		_exit(9);
	}
	waitpid(pid, &status, 0);
	CHECK_INT(stat("/bin/sh", &file), 0);

	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_FORK);
	CHECK_INT(process->pid, pid);
	CHECK_INT(process->by_tgid, getpid());
	CHECK_INT(process->by_pid, gettid());
	CHECK_INT(process->parent, getpid());
	CHECK_INT(process->inner_pid, pid);
	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_EXEC);
	CHECK_INT(process->name_size, strlen("/bin/sh"));
	CHECK(!memcmp((const char *)process + process->record.header_size, "/bin/sh", 7));
	CHECK_INT(process->inode, file.st_ino);
	CHECK_INT(process->dev_major, major(file.st_dev));
	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_EXIT);
	CHECK_INT(process->status, status);
	CHECK_INT(process->flags, FS_PROCESS_LEADER | FS_PROCESS_LAST);
}

static void killed_is_told(void)
{
	const struct fs_event_process *process;
	pid_t pid;

	open_all(1 << FS_RECORD_EXIT);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_EXIT);
	CHECK_INT(process->status & 0x7f, SIGKILL);
}

/* With CLONE_PARENT the one who called is not the parent, and only this tells it. */
static void forker_is_told(void)
{
	const struct fs_event_process *process;
	int pipe_fds[2];
	pid_t child, grandchild = 0;

	open_all(1 << FS_RECORD_FORK);
	CHECK_INT(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		grandchild = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (grandchild > 0 && write(pipe_fds[1], &grandchild, sizeof(grandchild)) < 0)
			_exit(1);
		_exit(0);
	}
	CHECK_INT(read(pipe_fds[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	waitpid(child, NULL, 0);
	waitpid(grandchild, NULL, 0);
	process = next_of(grandchild);
	CHECK_INT(process->by_tgid, child);
	CHECK_INT(process->parent, getpid());
}

static void *thread_main(void *data)
{
	return NULL;
}

/* Threads have records of their own, and the end of the process is told with its status. */
static void threads_are_told(void)
{
	const struct fs_event_process *process;
	int n_leaders = 0, n_last = 0, i;
	pid_t pid;

	open_all((1 << FS_RECORD_FORK) | (1 << FS_RECORD_EXIT));
	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, thread_main, NULL);
		pthread_join(thread, NULL);
		_exit(5);
	}
	waitpid(pid, NULL, 0);
	CHECK_INT(next_of(pid)->record.kind, FS_RECORD_FORK);
	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_FORK);
	CHECK(process->pid != (uint32_t)pid);
	for (i = 0; i < 2; i++) {
		process = next_of(pid);
		CHECK_INT(process->record.kind, FS_RECORD_EXIT);
		n_leaders += process->flags & FS_PROCESS_LEADER ? 1 : 0;
		if (!(process->flags & FS_PROCESS_LAST))
			continue;
		n_last++;
		CHECK_INT(process->status, 5 << 8);
	}
	CHECK_INT(n_leaders, 1);
	CHECK(n_last > 0);
}

static int in_namespace(void *data)
{
	return 0;
}

static void inner_pids_are_told(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	const struct fs_event_process *process;
	pid_t pid;

	open_all(1 << FS_RECORD_FORK);
	pid = clone(in_namespace, stack + sizeof(stack), CLONE_NEWPID | SIGCHLD, NULL);
	CHECK(pid > 0);
	waitpid(pid, NULL, 0);
	process = next_of(pid);
	CHECK_INT(process->pid, pid);
	CHECK_INT(process->inner_pid, 1);
	CHECK(process->pid_namespace > 0);
}

/* What changes nothing is not told, nor is what is not asked for. */
static void uids_are_told(void)
{
	const struct fs_event_process *process;
	int status;
	pid_t pid;

	open_all(EVERY);
	pid = fork();
	if (pid == 0)
		_exit(setresuid(0, 0, 0) || setgid(7) || setresuid(-1, 5, -1) ||
		      setresuid(5, 5, 5));
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	CHECK_INT(next_of(pid)->record.kind, FS_RECORD_FORK);
	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_UID);
	CHECK_INT(process->pid, pid);
	CHECK_INT(process->uid, 0);
	CHECK_INT(process->status, 5);
	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_UID);
	CHECK_INT(process->uid, 5);
	CHECK_INT(process->status, 5);
	process = next_of(pid);
	CHECK_INT(process->record.kind, FS_RECORD_EXIT);
	CHECK_INT(process->uid, 5);

	CHECK_INT(client_proc(&client, 1 << FS_RECORD_EXIT), 0);
	pid = fork();
	if (pid == 0)
		_exit(setresuid(4, 5, 6));
	waitpid(pid, &status, 0);
	CHECK_INT(next_of(pid)->record.kind, FS_RECORD_EXIT);
}

static void fork_one(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* What is not asked for any more is not recorded. */
static void ends_with_request(void)
{
	uint64_t before;
	int i;

	open_all(EVERY);
	CHECK_INT(client_proc(&client, 0), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	before = client.n_seq[GROUP_PROC];
	for (i = 0; i < 50; i++)
		fork_one();
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	CHECK_INT(client.n_seq[GROUP_PROC], before);
}

/* A storm against a socket that is too small: records and gaps are all that there was. */
static void loss_is_exact(void)
{
	uint64_t before, after, n_seen = 0;
	int i;

	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_PROC, 1), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	before = client.n_seq[GROUP_PROC];
	listener.next_seq = before + 1;
	CHECK_INT(client_proc(&client, EVERY), 0);
	for (i = 0; i < 1500; i++)
		fork_one();
	CHECK_INT(client_proc(&client, 0), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	while (listener_record(&listener, 0))
		n_seen++;
	CHECK(listener.n_overruns > 0);
	/* One more that arrives closes the gap. */
	CHECK_INT(client_proc(&client, EVERY), 0);
	fork_one();
	CHECK_INT(client_proc(&client, 0), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	while (listener_record(&listener, 0))
		n_seen++;
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	after = client.n_seq[GROUP_PROC];
	CHECK(after - before >= 3002);
	CHECK_INT(n_seen + listener.n_missing, after - before);
	CHECK(listener.n_missing > 0);
}

const struct test tests_process[] = {
	{ .name = "process-life", .run = life_is_told },
	{ .name = "process-killed", .run = killed_is_told },
	{ .name = "process-forker", .run = forker_is_told },
	{ .name = "process-threads", .run = threads_are_told },
	{ .name = "process-inner-pids", .run = inner_pids_are_told },
	{ .name = "process-uids", .run = uids_are_told },
	{ .name = "process-ends-with-request", .run = ends_with_request },
	{ .name = "process-loss-is-exact", .run = loss_is_exact },
	{},
};
