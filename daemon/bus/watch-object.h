/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Objects org.fsevents1.Watch
 *
 * Which watch belongs to which name on the bus: that one alone sees its object,
 * may use it and is sent its signals. What is watched is known behind struct
 * bus_watch_ops. Watches outlive a connection to the bus that is lost, as long
 * as their owner is still there when the next one stands.
 */

#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-bus.h>

#include "daemon/names.h"

#define BUS_WATCH_PATH_MAX (sizeof(BUS_PATH_WATCH "/") + 20)

/* Of a table by id: ids are given one after the other. */
#define BUS_WATCH_CHAINS 1024

struct bus;

struct bus_watch {
	struct bus *bus;
	uint64_t id;
	LIST_ENTRY(bus_watch) chain;
	char owner[]; /* unique name */
};

/* Zeroed: none. */
struct bus_watches {
	LIST_HEAD(, bus_watch) chains[BUS_WATCH_CHAINS];
};

/** bus_watches_leave() - the owner has left the bus: its watches are removed */
void bus_watches_leave(struct bus *bus, const char *owner);

/** bus_watches_forget() - at the end, when nobody can be told to remove them */
void bus_watches_forget(struct bus *bus);

struct bus_watch *bus_watch_find(struct bus *bus, uint64_t id); /* NULL: none (any more) */
void bus_watch_path(uint64_t id, char ret[static BUS_WATCH_PATH_MAX]);

/**
 * bus_watch_read_mask() - read events as their names
 *
 * Unknown ones and none at all are refused by name, with the list of those there are.
 * Return: 0 with FSEVENTS_... in @ret, 1 when the call was refused (answered), or a
 * negative errno.
 */
int bus_watch_read_mask(sd_bus_message *call, uint32_t *ret);
