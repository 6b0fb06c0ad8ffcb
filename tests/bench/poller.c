/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What one does without the daemon: statfs on each path every N milliseconds
 *
 * Prints each sample, "MONOTONIC_US PATH AVAILABLE"; which levels it would
 * have noticed, and how late, is worked out from these afterwards.
 */

#include <inttypes.h>

#include "tests/bench/figures.h"

int main(int argc, char **argv)
{
	uint64_t interval_us, next;

	if (argc < 3)
		errx(2, "usage: poller MILLISECONDS PATH...");

	setvbuf(stdout, NULL, _IOLBF, 0);
	interval_us = strtoull(argv[1], NULL, 10) * 1000;
	next = clock_us(CLOCK_MONOTONIC);

	for (;;) {
		struct timespec ts;

		for (int i = 2; i < argc; i++) {
			struct statfs st;

			if (statfs(argv[i], &st) < 0)
				err(1, "%s", argv[i]);
			printf("%" PRIu64 " %s %" PRIu64 "\n", clock_us(CLOCK_MONOTONIC), argv[i],
			       (uint64_t)st.f_bavail * (uint64_t)st.f_frsize);
		}

		next += interval_us;
		ts = (struct timespec){ .tv_sec = (time_t)(next / 1000000),
					.tv_nsec = (long)(next % 1000000 * 1000) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
}
