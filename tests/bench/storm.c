/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A storm of processes that end at once
 *
 * storm [--exec] [--pids FILE] [--hold] N CPU...
 *
 * On each CPU one process makes N / CPUs children with vfork() and _exit(),
 * or with --exec fork() and exec of itself, and waits for each. With --hold it
 * says "ready PID" first and waits for a line. Prints the microseconds from
 * the first to the last child.
 *
 * --pids	the file gets two u32 for each child: who made it, and its pid
 */

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CPUS_MAX 64

struct storm {
	const char *path; /* of this program */
	bool exec, hold;
	unsigned int n; /* children of each CPU */
	unsigned int n_cpus;
	int cpus[CPUS_MAX];
	int pids_fd; /* -1: none */
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static pid_t make_child(const struct storm *storm)
{
	char *const argv[] = { (char *)storm->path, (char *)"0", NULL };
	pid_t pid;

	if (storm->exec) {
		pid = fork();
		if (pid == 0) {
			execv(storm->path, argv);
			_exit(127);
		}
	} else {
		pid = vfork();
		if (pid == 0)
			_exit(0);
	}
	if (pid < 0)
		err(1, "fork");
	return pid;
}

static void run_on(const struct storm *storm, int cpu)
{
	uint32_t *pids = storm->pids_fd >= 0 ? calloc(storm->n, 2 * sizeof(*pids)) : NULL;
	cpu_set_t set;

	if (storm->pids_fd >= 0 && !pids)
		err(1, "calloc");
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		err(1, "sched_setaffinity");

	for (unsigned int i = 0; i < storm->n; i++) {
		pid_t pid = make_child(storm);
		int status;

		if (waitpid(pid, &status, 0) != pid || status != 0)
			errx(1, "a child failed");
		if (pids) {
			pids[2 * i] = (uint32_t)getpid();
			pids[2 * i + 1] = (uint32_t)pid;
		}
	}
	if (pids && write(storm->pids_fd, pids, storm->n * 2 * sizeof(*pids)) !=
			    (ssize_t)(storm->n * 2 * sizeof(*pids)))
		err(1, "write");
	free(pids);
}

static void run(const struct storm *storm)
{
	const uint64_t start = now_us();
	int status;

	for (unsigned int i = 0; i < storm->n_cpus; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			run_on(storm, storm->cpus[i]);
			_exit(0);
		}
	}
	for (unsigned int i = 0; i < storm->n_cpus; i++) {
		if (wait(&status) < 0 || status != 0)
			errx(1, "a part of the storm failed");
	}
	printf("%" PRIu64 "\n", now_us() - start);
}

static void parse(int argc, char **argv, struct storm *ret)
{
	static const struct option options[] = {
		{ "exec", no_argument, NULL, 'e' },
		{ "hold", no_argument, NULL, 'h' },
		{ "pids", required_argument, NULL, 'p' },
		{},
	};
	unsigned int n;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'e':
			ret->exec = true;
			break;
		case 'h':
			ret->hold = true;
			break;
		case 'p':
			ret->pids_fd =
				open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			if (ret->pids_fd < 0)
				err(1, "%s", optarg);
			break;
		default:
			exit(2);
		}
	}
	if (optind >= argc)
		errx(2, "N is missing");
	n = (unsigned int)strtoul(argv[optind++], NULL, 10);
	while (optind < argc && ret->n_cpus < CPUS_MAX)
		ret->cpus[ret->n_cpus++] = (int)strtol(argv[optind++], NULL, 10);
	if (ret->n_cpus > 0)
		ret->n = n / ret->n_cpus;
}

int main(int argc, char **argv)
{
	struct storm storm = { .path = argv[0], .pids_fd = -1 };

	parse(argc, argv, &storm);
	/* What --exec executes: nothing to do. */
	if (storm.n_cpus == 0)
		return 0;
	if (storm.hold) {
		printf("ready %d\n", getpid());
		fflush(stdout);
		if (getchar() == EOF)
			return 1;
	}
	run(&storm);
	return 0;
}
