/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Who watches files, of cardboard: watches are numbers, what they tell is said by
 * commands of bus-fixture.c:
 *
 *	wchanged ID N		one Changed with N changes; prints "again" for -EAGAIN
 *	wlost ID COUNT		likewise, below "a\xff"; COUNT 0: of all
 *	watches			"watches n=N room=N", room: how often it was told of some
 *	wlater, wnow		the next watch is made only by "wnow"
 */

#include <stdbool.h>

#include "daemon/bus/bus.h"

extern const struct bus_watch_ops fixture_watch_ops; /* without userdata */

/** fixture_watch_do() - Return: true when the command was one of these */
bool fixture_watch_do(struct bus *bus, const char *verb, unsigned long a, unsigned long b);
