/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A subscriber of the signal Filesystem.Event that says when each came
 *
 * Prints "listening" once the bus has taken the subscription, then a line per
 * event: MONOTONIC_US ID CODE SEVERITY DATA NAME LEVEL ("-" and 0 where there
 * is no threshold).
 */

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "daemon/names.h"

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int read_details(sd_bus_message *message, const char **name, uint64_t *level)
{
	const char *key;
	int r;

	r = sd_bus_message_enter_container(message, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		r = sd_bus_message_read(message, "s", &key);
		if (r < 0)
			break;
		if (strcmp(key, "name") == 0)
			r = sd_bus_message_read(message, "v", "s", name);
		else if (strcmp(key, "level") == 0)
			r = sd_bus_message_read(message, "v", "t", level);
		else
			r = sd_bus_message_skip(message, "v");
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int on_event(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	uint64_t now = now_us(), id, realtime, data, level = 0;
	const char *code, *severity, *name = "-";
	uint32_t pid;
	int r;

	r = sd_bus_message_read(message, "ttssut", &id, &realtime, &code, &severity, &pid, &data);
	if (r >= 0)
		r = read_details(message, &name, &level);
	if (r < 0)
		errx(1, "malformed event: %s", strerror(-r));

	printf("%" PRIu64 " %" PRIu64 " %s %s %" PRIu64 " %s %" PRIu64 "\n", now, id, code,
	       severity, data, name, level);
	return 0;
}

static int check(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	sd_bus *bus;

	if (argc != 2)
		errx(2, "usage: listen BUS_ADDRESS");

	setvbuf(stdout, NULL, _IOLBF, 0);
	check(sd_bus_new(&bus), "bus");
	check(sd_bus_set_address(bus, argv[1]), "address");
	check(sd_bus_set_bus_client(bus, true), "client");
	check(sd_bus_start(bus), "connection");
	check(sd_bus_match_signal(bus, NULL, NULL, NULL, BUS_IFACE_FILESYSTEM, "Event", on_event,
				  NULL),
	      "subscription");
	puts("listening");

	for (;;) {
		int r = check(sd_bus_process(bus, NULL), "bus");

		if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0 && errno != EINTR)
			errx(1, "the bus went away");
	}
}
