/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * receiver SIGNAL - takes a queued signal as often as it comes, and does nothing with it
 *
 * Prints "ready" once it is blocked.
 */

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	sigset_t set;

	if (argc != 2)
		errx(2, "usage: receiver SIGNAL");
	sigemptyset(&set);
	sigaddset(&set, (int)strtol(argv[1], NULL, 10));
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		err(1, "sigprocmask");
	puts("ready");
	fflush(stdout);

	for (;;)
		if (sigwaitinfo(&set, NULL) < 0 && errno != EINTR)
			err(1, "sigwaitinfo");
}
