/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/process/member.h"

#define PAGE 4096
#define PAGES_MAX 16

extern char **environ;

static uint64_t child_random(struct member *self)
{
	return (uint64_t)member_random(self, INT32_MAX) << 31 | member_random(self, INT32_MAX);
}

static void fork_member(struct member *self, void (*run)(struct member *self))
{
	const uint32_t parent = self->pid, order = self->order + 1;
	uint64_t random;
	pid_t pid;

	if (!member_claim(self))
		return;

	random = child_random(self);
	self->order = order;
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		member_born(self, parent, order, random);
		run(self);
	}
}

static void act_fork(struct member *self)
{
	fork_member(self, member_live);
}

static void act_fork_short(struct member *self)
{
	fork_member(self, member_leave);
}

/* Who comes between is gone at once, so that the child is adopted. */
static _Noreturn void run_between(struct member *self)
{
	if (setsid() < 0)
		err(1, "setsid");
	fork_member(self, member_live);
	member_leave(self);
}

static void act_double_fork(struct member *self)
{
	fork_member(self, run_between);
}

static void act_vfork(struct member *self)
{
	const uint32_t order = self->order + 1;
	pid_t pid;

	if (!member_claim(self))
		return;

	self->order = order;
	pid = vfork();
	if (pid < 0)
		err(1, "vfork");
	if (pid == 0) {
		member_record_fork(self->truth, self->pid, order, self->space, 0);
		_exit(3);
	}
}

static void act_vfork_exec(struct member *self)
{
	const uint32_t order = self->order + 1;
	struct member_resumption resumption;
	pid_t pid;

	if (!member_claim(self))
		return;

	self->order = order;
	member_prepare_exec(&resumption, self, 1, 0);
	pid = vfork();
	if (pid < 0)
		err(1, "vfork");
	if (pid == 0) {
		member_record_fork(self->truth, self->pid, order, self->space, 0);
		execv(self->path, resumption.argv);
		_exit(127);
	}
}

static void act_spawn(struct member *self)
{
	struct member_resumption resumption;
	pid_t pid;

	if (!member_claim(self))
		return;

	self->order++;
	member_prepare_exec(&resumption, self, 1, self->order);
	if (posix_spawn(&pid, self->path, NULL, NULL, resumption.argv, environ) != 0)
		errx(1, "posix_spawn");
}

static _Noreturn void exec_self(struct member *self)
{
	struct member_resumption resumption;

	self->order++;
	member_prepare_exec(&resumption, self, self->order, 0);
	execv(self->path, resumption.argv);
	err(1, "execv");
}

static void act_exec(struct member *self)
{
	exec_self(self);
}

static void *thread_exec(void *self)
{
	exec_self(self);
}

static void act_exec_from_thread(struct member *self)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_exec, self) != 0)
		errx(1, "pthread_create");
	for (;;)
		pause();
}

static void *thread_live(void *self)
{
	member_live(self);
}

/* The process goes on without its first thread. */
static void act_leave_to_thread(struct member *self)
{
	static struct member kept;
	pthread_t thread;

	/* The stack of the first thread is not for others. */
	kept = *self;
	if (pthread_create(&thread, NULL, thread_live, &kept) != 0)
		errx(1, "pthread_create");
	pthread_exit(NULL);
}

struct crew {
	struct member *self;
	pthread_mutex_t lock; /* of *self, so that the order of what they do is known */
};

static void *thread_fork(void *arg)
{
	struct crew *crew = arg;

	pthread_mutex_lock(&crew->lock);
	fork_member(crew->self, member_leave);
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

static void act_threads(struct member *self)
{
	struct crew crew = { .self = self, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[3];

	for (unsigned int i = 0; i < 3; i++) {
		if (pthread_create(&threads[i], NULL, thread_fork, &crew) != 0)
			errx(1, "pthread_create");
	}
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static pid_t raw_clone(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

void member_fork_beside(struct member *self, uint32_t parent)
{
	const uint64_t random = child_random(self);
	pid_t pid;

	if (!member_claim(self))
		return;

	pid = raw_clone(CLONE_PARENT);
	if (pid < 0)
		err(1, "clone");
	if (pid == 0) {
		self->pid =
			member_record_fork(self->truth, parent, 0, self->space, TRUTH_CLONE_PARENT);
		self->order = 0;
		self->random = random | 1;
		self->leader = false;
		self->raw = true;
		member_leave(self);
	}
}

static void act_clone_parent(struct member *self)
{
	/* The leader outlives all others: nobody becomes its child's parent in between. */
	const uint32_t parent = (uint32_t)getppid();

	if (self->space == 0 && !self->leader && parent == self->truth->leader)
		member_fork_beside(self, parent);
}

static void act_space(struct member *self)
{
	const uint32_t parent = self->pid, order = self->order + 1;
	const uint64_t random = child_random(self);
	struct truth_record record = {
		.kind = TRUTH_FORK,
		.pid = parent,
		.order = order,
	};
	uint32_t space;
	pid_t pid;

	if (!self->may_make_spaces || self->space != 0 || !member_claim(self))
		return;

	self->order = order;
	space = atomic_fetch_add(&self->truth->spaces, 1) + 1;
	pid = raw_clone(CLONE_NEWPID);
	if (pid < 0)
		err(1, "clone(CLONE_NEWPID)");
	if (pid == 0) {
		self->space = space;
		self->pid = member_global_pid();
		self->order = 0;
		self->random = random | 1;
		self->leader = false;
		self->first_of_space = true;
		self->raw = true;
		/* Who waits for it is outside. */
		record.other = record.local = self->pid;
		truth_add(self->truth, &record);
		member_live(self);
	}
}

static void act_setsid(struct member *self)
{
	(void)setsid();
}

static int open_in(const struct member *self, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", self->directory, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void act_read_and_write(struct member *self)
{
	static uint8_t buffer[PAGES_MAX * PAGE] __attribute__((aligned(PAGE)));
	const size_t n = (1 + member_random(self, PAGES_MAX)) * PAGE;
	char name[32];
	int fd;

	if (self->directory[0] == '\0')
		return;

	fd = open_in(self, "source", O_RDONLY | O_DIRECT);
	if (read(fd, buffer, n) != (ssize_t)n)
		err(1, "read");
	close(fd);
	snprintf(name, sizeof(name), "%u", self->pid);
	fd = open_in(self, name, O_WRONLY | O_CREAT | O_TRUNC);
	if (write(fd, buffer, n) != (ssize_t)n)
		err(1, "write");
	close(fd);
}

void member_act(struct member *self)
{
	static void (*const for_all[])(struct member * self) = {
		act_fork,
		act_fork,
		act_fork_short,
		act_double_fork,
		act_vfork,
		act_vfork_exec,
		act_spawn,
		act_clone_parent,
		act_space,
		act_setsid,
		act_threads,
		act_read_and_write,
		act_exec,
		act_exec_from_thread,
		act_leave_to_thread,
	};
	const uint32_t n_all = sizeof(for_all) / sizeof(for_all[0]);
	const uint32_t n_actions = 1 + member_random(self, 4);

	for (uint32_t i = 0; i < n_actions; i++) {
		/* The last three end this image or thread, which the leader has to keep. */
		uint32_t which = member_random(self, self->leader ? n_all - 3 : n_all);

		if (self->raw &&
		    (for_all[which] == act_threads || for_all[which] == act_exec_from_thread ||
		     for_all[which] == act_leave_to_thread))
			continue;
		for_all[which](self);
	}
}
