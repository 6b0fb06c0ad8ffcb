/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A receiver of relayed forks
 *
 * receiver SIGNAL FILE [LIMIT]
 *
 * Blocks the signal and prints "ready PID". At a line on its input it takes
 * what is queued, and again and again until the next line; each signal is two
 * u32 in FILE: the parent as si_pid, the child as si_value. Then it prints
 * "took N OTHERS", OTHERS being those with another si_code than SI_QUEUE's
 * kind (negative). LIMIT: of queued signals, RLIMIT_SIGPENDING.
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Return: whether there was a line; false where the input has ended, too, with *ret_end. */
static bool take_line(int timeout_ms, bool *ret_end)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char c = '\0';

	if (poll(&input, 1, timeout_ms) <= 0)
		return false;
	while (c != '\n') {
		if (read(STDIN_FILENO, &c, 1) != 1) {
			*ret_end = true;
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	uint64_t n = 0, n_others = 0;
	bool last = false, end = false;
	siginfo_t info;
	sigset_t set;
	FILE *file;

	if (argc < 3)
		errx(2, "receiver SIGNAL FILE [LIMIT]");
	sigemptyset(&set);
	sigaddset(&set, (int)strtol(argv[1], NULL, 10));
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		err(1, "sigprocmask");
	if (argc > 3) {
		const rlim_t most = strtoul(argv[3], NULL, 10);
		const struct rlimit limit = { .rlim_cur = most, .rlim_max = most };

		if (setrlimit(RLIMIT_SIGPENDING, &limit) < 0)
			err(1, "RLIMIT_SIGPENDING");
	}
	file = fopen(argv[2], "we");
	if (!file)
		err(1, "%s", argv[2]);
	printf("ready %d\n", getpid());
	fflush(stdout);
	while (!end && !take_line(-1, &end))
		;

	while (!end) {
		/* After the last line once more, for what came before it. */
		last = take_line(0, &end);
		while (sigtimedwait(&set, &info, &pause) > 0) {
			const uint32_t pids[] = { (uint32_t)info.si_pid,
						  (uint32_t)info.si_value.sival_int };

			n++;
			n_others += info.si_code >= 0;
			if (fwrite(pids, sizeof(pids), 1, file) != 1)
				err(1, "fwrite");
		}
		if (fflush(file) != 0)
			err(1, "fflush");
		if (last)
			break;
	}
	if (fclose(file) != 0)
		err(1, "fclose");
	printf("took %" PRIu64 " %" PRIu64 "\n", n, n_others);
	return 0;
}
