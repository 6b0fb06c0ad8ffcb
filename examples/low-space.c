/* SPDX-License-Identifier: GPL-2.0-or-later OR MIT */

/*
 * Prints a line when space falls below a threshold, and when there is enough again
 *
 *	cc low-space.c $(pkg-config --cflags --libs libsystemd)
 */

#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define RULE                                                                                       \
	"type='signal',sender='org.fsevents1',interface='org.fsevents1.Filesystem',member='Event'"

/* Event(t id, t realtime_usec, s code, s severity, u pid, t data, a{sv} details) */
static int on_event(sd_bus_message *event, void *userdata, sd_bus_error *error)
{
	const char *code, *severity, *key;
	const void *where = "?";
	uint64_t available;
	size_t length;

	if (sd_bus_message_read(event, "ttssut", NULL, NULL, &code, &severity, NULL, &available) <
	    0)
		return 0;
	if (strncmp(code, "threshold-", 10) != 0)
		return 0;

	/* The mount point, which is bytes, is one of the details. */
	sd_bus_message_enter_container(event, 'a', "{sv}");
	while (sd_bus_message_enter_container(event, 'e', "sv") > 0) {
		sd_bus_message_read(event, "s", &key);
		if (strcmp(key, "where") == 0) {
			sd_bus_message_enter_container(event, 'v', "ay");
			sd_bus_message_read_array(event, 'y', &where, &length);
			break;
		}
		sd_bus_message_skip(event, "v");
		sd_bus_message_exit_container(event);
	}
	printf("%s: %s on %s, %llu left\n", severity, code, (const char *)where,
	       (unsigned long long)available);
	return 0;
}

int main(void)
{
	sd_bus *bus = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sd_bus_open_system(&bus) < 0 || sd_bus_add_match(bus, NULL, RULE, on_event, NULL) < 0)
		return 1;
	printf("ready\n");
	/* The service may come and go: this ends with the bus alone. */
	while (sd_bus_process(bus, NULL) >= 0)
		sd_bus_wait(bus, UINT64_MAX);
	return 1;
}
