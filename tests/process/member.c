/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/process/member.h"

#define PAUSE_NS 5000000

#define RESUME_FIRST_OF_SPACE 1U
#define RESUME_MAY_MAKE_SPACES 2U

/* What the C library remembers is not that of a process made past it. */
static uint32_t local_pid(void)
{
	return (uint32_t)syscall(SYS_getpid);
}

uint32_t member_global_pid(void)
{
	char text[16] = "";

	if (readlink("/proc/self", text, sizeof(text) - 1) < 0)
		return 0;
	return (uint32_t)strtoul(text, NULL, 10);
}

static uint64_t next_random(struct member *self)
{
	self->random ^= self->random >> 12;
	self->random ^= self->random << 25;
	self->random ^= self->random >> 27;
	return self->random * 0x2545f4914f6cdd1dULL;
}

uint32_t member_random(struct member *self, uint32_t n)
{
	return (uint32_t)(next_random(self) >> 33) % n;
}

bool member_claim(struct member *self)
{
	if (atomic_fetch_sub(&self->truth->forks_left, 1) <= 0)
		return false;

	atomic_fetch_add(&self->truth->busy, 1);
	return true;
}

uint32_t member_record_fork(struct truth *truth, uint32_t parent, uint32_t order, uint32_t space,
			    uint32_t flags)
{
	const struct truth_record record = {
		.kind = TRUTH_FORK,
		.pid = parent,
		.other = member_global_pid(),
		.order = order,
		.space = space,
		.local = local_pid(),
		.flags = flags,
	};

	truth_add(truth, &record);
	return record.other;
}

void member_born(struct member *self, uint32_t parent, uint32_t order, uint64_t random)
{
	self->pid = member_record_fork(self->truth, parent, order, self->space, 0);
	self->order = 0;
	self->random = random | 1;
	self->leader = false;
	self->first_of_space = false;
	self->raw = false;
}

void member_prepare_exec(struct member_resumption *ret, struct member *self, uint32_t order,
			 uint32_t birth)
{
	const uint32_t flags = (self->first_of_space && birth == 0 ? RESUME_FIRST_OF_SPACE : 0) |
			       (self->may_make_spaces ? RESUME_MAY_MAKE_SPACES : 0);

	snprintf(ret->text, sizeof(ret->text), "%u,%u,%u,%u,%u,%u,%u,%" PRIu64, self->pid, birth,
		 order, self->space, self->round, self->burn_ms, flags, next_random(self));
	ret->argv[0] = (char *)self->path;
	ret->argv[1] = (char *)MEMBER_RESUME;
	ret->argv[2] = ret->text;
	ret->argv[3] = (char *)self->directory;
	ret->argv[4] = NULL;
}

_Noreturn void member_resume(int argc, char **argv)
{
	struct member self = { .truth = truth_map(MEMBER_TRUTH_FD, 0) };
	uint32_t maker, birth, flags;
	uint64_t random;

	if (argc != 4 ||
	    sscanf(argv[2], "%u,%u,%u,%u,%u,%u,%u,%" SCNu64, &maker, &birth, &self.order,
		   &self.space, &self.round, &self.burn_ms, &flags, &random) != 8)
		errx(2, "malformed " MEMBER_RESUME);

	self.path = argv[0];
	self.directory = argv[3];
	self.random = random | 1;
	self.first_of_space = flags & RESUME_FIRST_OF_SPACE;
	self.may_make_spaces = flags & RESUME_MAY_MAKE_SPACES;
	self.pid = birth > 0 ? member_record_fork(self.truth, maker, birth, self.space, 0)
			     : member_global_pid();
	truth_add(self.truth, &(struct truth_record){
				      .kind = TRUTH_EXEC, .pid = self.pid, .order = self.order });
	member_live(&self);
}

void member_pause(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	nanosleep(&pause, NULL);
}

static bool reap_one(struct member *self, int options)
{
	struct truth_record record = { .kind = TRUTH_EXIT, .pid = self->pid, .space = self->space };
	int status;
	pid_t pid;

	do
		pid = waitpid(-1, &status, options | __WALL);
	while (pid < 0 && errno == EINTR);
	if (pid <= 0)
		return false;

	record.local = (uint32_t)pid;
	record.status = status;
	truth_add(self->truth, &record);
	atomic_fetch_sub(&self->truth->busy, 1);
	return true;
}

void member_reap(struct member *self)
{
	while (reap_one(self, WNOHANG))
		;
}

void member_reap_all(struct member *self)
{
	while (reap_one(self, 0))
		;
}

static uint64_t number_after(const char *text, const char *key)
{
	const char *found = strstr(text, key);

	return found ? strtoull(found + strlen(key), NULL, 10) : 0;
}

void member_record_bytes(const struct member *self)
{
	struct truth_record record = { .kind = TRUTH_BYTES, .pid = self->pid };
	char text[512] = "";
	int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		err(1, "/proc/self/io");
	close(fd);
	record.first = number_after(text, "\nread_bytes: ");
	record.second = number_after(text, "\nwrite_bytes: ");
	truth_add(self->truth, &record);
}

static void burn(uint32_t ms)
{
	struct timespec now;

	if (ms == 0)
		return;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 < ms);
}

_Noreturn void member_leave(struct member *self)
{
	static const int signals[] = { SIGTERM, SIGKILL, SIGSEGV, SIGUSR1 };
	const uint32_t how = member_random(self, 12);

	/* With the first of a namespace all of it would be killed, and nobody could say when. */
	if (self->first_of_space)
		member_reap_all(self);
	burn(self->burn_ms);
	if (how < 4 && !self->first_of_space) {
		kill((pid_t)local_pid(), signals[how]);
		for (;;)
			pause();
	}
	_exit((int)how);
}

static void park(struct member *self)
{
	struct truth *truth = self->truth;

	/* In this order: where nobody is busy, the number of the parked is right. */
	atomic_fetch_add(&truth->parked, 1);
	atomic_fetch_sub(&truth->busy, 1);
	while (atomic_load(&truth->round) == self->round) {
		if (atomic_load(&truth->abandoned))
			_exit(99);
		member_reap(self);
		member_pause();
	}
	self->round = atomic_load(&truth->round);
}

_Noreturn void member_live(struct member *self)
{
	while (self->round < self->truth->n_rounds) {
		member_act(self);
		if (!self->first_of_space && member_random(self, 3) == 0)
			break;
		park(self);
	}
	member_leave(self);
}
