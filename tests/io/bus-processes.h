/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Who follows processes, of cardboard: groups are numbers, what they tell is
 * said by commands of bus-fixture.c:
 *
 *	changed ID N		one Changed with N events; prints "again" for -EAGAIN
 *	lost ID N, empty ID	likewise
 *	warn UID		a warning about a process of that user
 *	processes		"processes groups=N targets=N relays=N"
 *	later, now		the next group is made only by "now"
 */

#include <stdbool.h>

#include "daemon/bus/bus.h"

extern const struct bus_process_ops fixture_process_ops; /* without userdata */

/** fixture_process_do() - Return: true when the command was one of these */
bool fixture_process_do(struct bus *bus, const char *verb, unsigned long a, unsigned long b);
