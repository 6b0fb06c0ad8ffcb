/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A random tree of processes that knows the truth about itself
 *
 * PATH/tree --truth FILE --seed N --rounds N [--forks N] [--spaces] [--beside]
 *	[--io DIRECTORY] [--burn MS]
 *
 * Prints "leader PID" and waits for a line on its input. From then on each
 * round is one line "checkpoint N", with all processes that live parked, and
 * waits for another; in the last round all of them end. This process is the
 * parent of the leader and no part of the tree.
 *
 * --forks	of one round, at most (default 60)
 * --spaces	namespaces of processes too; needs root
 * --beside	the leader makes a child with CLONE_PARENT, which is none of its own
 * --io		processes read DIRECTORY/source and write files there
 * --burn	each that was not made by vfork uses so much time before it ends
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/process/member.h"

#define RECORDS_MAX (1U << 20)

static void wait_for_order(struct truth *truth)
{
	char c;

	do {
		if (read(STDIN_FILENO, &c, 1) != 1) {
			atomic_store(&truth->abandoned, 1);
			_exit(1);
		}
	} while (c != '\n');
}

static void lead_round(struct member *leader, int32_t forks)
{
	struct truth *truth = leader->truth;

	/* This one is not busy: it waits for those who are. */
	while (atomic_load(&truth->busy) > 0) {
		member_reap(leader);
		member_pause();
	}
	printf("checkpoint %u\n", leader->round);
	fflush(stdout);
	wait_for_order(truth);
	atomic_store(&truth->forks_left, forks);
	atomic_store(&truth->busy, atomic_exchange(&truth->parked, 0));
	leader->round++;
	atomic_store(&truth->round, leader->round);
}

static void record_usage(const struct member *leader)
{
	struct truth_record record = { .kind = TRUTH_USAGE, .pid = leader->pid };
	const int whom[] = { RUSAGE_SELF, RUSAGE_CHILDREN };

	for (unsigned int i = 0; i < 2; i++) {
		struct rusage usage;

		if (getrusage(whom[i], &usage) < 0)
			err(1, "getrusage");
		record.first += (uint64_t)usage.ru_utime.tv_sec * 1000000 +
				(uint64_t)usage.ru_utime.tv_usec;
		record.second += (uint64_t)usage.ru_stime.tv_sec * 1000000 +
				 (uint64_t)usage.ru_stime.tv_usec;
		if ((uint64_t)usage.ru_maxrss > record.third)
			record.third = (uint64_t)usage.ru_maxrss;
	}
	truth_add(leader->truth, &record);
}

static _Noreturn void lead(struct member *leader, int32_t forks, bool beside)
{
	struct truth *truth = leader->truth;

	leader->pid = (uint32_t)getpid();
	leader->leader = true;
	truth->leader = leader->pid;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		err(1, "PR_SET_CHILD_SUBREAPER");
	printf("leader %u\n", leader->pid);
	fflush(stdout);
	wait_for_order(truth);

	atomic_store(&truth->forks_left, forks);
	if (beside)
		member_fork_beside(leader, (uint32_t)getppid());
	while (leader->round < truth->n_rounds) {
		for (unsigned int i = 0; i < 4; i++)
			member_act(leader);
		lead_round(leader, forks);
	}
	member_reap_all(leader);
	record_usage(leader);
	member_record_bytes(leader);
	_exit(7);
}

/* The parent of the leader: waits for it, and for what is beside it. */
static int stand_by(struct member *self)
{
	member_reap_all(self);
	printf("end\n");
	return 0;
}

static void parse(int argc, char **argv, struct member *self, int32_t *ret_forks, bool *ret_beside)
{
	static const struct option options[] = {
		{ "truth", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "forks", required_argument, NULL, 'f' },
		{ "spaces", no_argument, NULL, 'S' },
		{ "beside", no_argument, NULL, 'B' },
		{ "io", required_argument, NULL, 'i' },
		{ "burn", required_argument, NULL, 'b' },
		{},
	};
	uint32_t n_rounds = 3;
	int c, fd = -1;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			fd = open(optarg, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
			break;
		case 's':
			self->random = strtoull(optarg, NULL, 10) * 2 + 1;
			break;
		case 'r':
			n_rounds = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'f':
			*ret_forks = (int32_t)strtol(optarg, NULL, 10);
			break;
		case 'S':
			self->may_make_spaces = true;
			break;
		case 'B':
			*ret_beside = true;
			break;
		case 'i':
			self->directory = optarg;
			break;
		case 'b':
			self->burn_ms = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		default:
			exit(2);
		}
	}
	if (fd < 0 || dup2(fd, MEMBER_TRUTH_FD) < 0)
		err(2, "--truth");
	self->truth = truth_map(MEMBER_TRUTH_FD, RECORDS_MAX);
	self->truth->n_rounds = n_rounds;
}

int main(int argc, char **argv)
{
	const struct rlimit no_core = {};
	struct member self = { .random = 1, .path = argv[0], .directory = "" };
	bool beside = false;
	int32_t forks = 60;
	pid_t pid;

	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		err(1, "RLIMIT_CORE");
	if (argc > 1 && strcmp(argv[1], MEMBER_RESUME) == 0)
		member_resume(argc, argv);

	parse(argc, argv, &self, &forks, &beside);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		lead(&self, forks, beside);
	return stand_by(&self);
}
