/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A reader of the process connector that takes each event at once
 *
 * eager [BUFFER-BYTES]
 *
 * Prints "listening" once the kernel has acknowledged, and at SIGTERM
 * "EVENTS FORKS EXECS EXITS LOST": what came, and how many numbers were missing.
 * What most programs do; also the witness of a test, with a large buffer.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "tests/bench/connector.h"

static void read_all(int fd, struct counts *counts)
{
	char buffer[MESSAGE_MAX];
	ssize_t n;

	for (;;) {
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n < 0 && (errno == ENOBUFS || errno == EINTR))
			continue;
		if (n < 0)
			return;
		count(counts, buffer, (size_t)n);
	}
}

int main(int argc, char **argv)
{
	struct pollfd wait[2] = { { .events = POLLIN }, { .events = POLLIN } };
	static struct counts counts;
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &term, NULL) < 0)
		err(1, "sigprocmask");
	wait[0].fd = open_connector(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0);
	wait[1].fd = signalfd(-1, &term, SFD_CLOEXEC);
	if (wait[1].fd < 0)
		err(1, "signalfd");

	do {
		if (poll(wait, 2, -1) < 0)
			err(1, "poll");
		read_all(wait[0].fd, &counts);
	} while (!(wait[1].revents & POLLIN));

	print_counts(&counts);
	return 0;
}
