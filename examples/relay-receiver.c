/* SPDX-License-Identifier: GPL-2.0-or-later OR MIT */

/*
 * Prints a line for each new process of its user, or as root of all
 *
 *	relay-receiver [COUNT]
 *
 * Asks fseventsd to be sent a queued real-time signal for each fork, and ends
 * after COUNT of them (without: never). Of use as it is, and to copy from:
 *
 *	cc relay-receiver.c $(pkg-config --cflags --libs libsystemd)
 *
 * What such a program has to get right: the signal is blocked before it is
 * asked for, since it would end a process that does neither block nor catch
 * it; signals are taken with sigwaitinfo(2) and not in a handler, so that
 * each keeps its value; and there must be room for those that wait.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

/* As much as we may: what has no room is lost, and counted by the daemon (fseventsctl relay --list). */
static void make_room(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_SIGPENDING, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_SIGPENDING, &limit);
	}
}

static int ask(int number)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus = NULL;
	int r;

	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_call_method(bus, "org.fsevents1", "/org/fsevents1",
				       "org.fsevents1.Manager", "RelayForks", &error, NULL,
				       "uia{sv}", (uint32_t)getpid(), number, 0);
	if (r < 0)
		fprintf(stderr, "relay-receiver: %s\n",
			error.message ? error.message : strerror(-r));

	/* The relay belongs to the process, not to its connection. */
	sd_bus_error_free(&error);
	sd_bus_flush_close_unref(bus);
	return r;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	const int number = SIGRTMIN;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		perror("relay-receiver: sigprocmask");
		return 1;
	}
	make_room();
	if (ask(number) < 0)
		return 1;

	/* One line at once, whoever reads it. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	for (unsigned long n = 0; count == 0 || n < count; n++) {
		siginfo_t info;

		while (sigwaitinfo(&set, &info) < 0)
			if (errno != EINTR)
				return 1;
		/* From whom it comes: pidfd_send_signal() by the daemon, as sigqueue() would. */
		printf("%d forked %d\n", (int)info.si_pid, info.si_value.sival_int);
	}
	return 0;
}
