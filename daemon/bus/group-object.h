/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Objects org.fsevents1.ProcessGroup
 *
 * Which group belongs to which name on the bus: that one alone sees its object,
 * may use it and is sent its signals. What is in a group is known behind
 * struct bus_process_ops. Groups outlive a connection to the bus that is lost,
 * as long as their owner is still there when the next one stands.
 */

#include <stdint.h>
#include <sys/queue.h>

#include "daemon/names.h"

#define BUS_GROUP_PATH_MAX (sizeof(BUS_PATH_GROUP "/") + 20)

struct bus;

struct bus_group {
	struct bus *bus;
	uint64_t id;
	LIST_ENTRY(bus_group) all;
	char owner[]; /* unique name */
};

LIST_HEAD(bus_groups, bus_group);

/** bus_groups_leave() - the owner has left the bus: its groups are released */
void bus_groups_leave(struct bus *bus, const char *owner);

/** bus_groups_forget() - at the end, when nobody can be told to release them */
void bus_groups_forget(struct bus *bus);

struct bus_group *bus_group_find(struct bus *bus, uint64_t id); /* NULL: none (any more) */
void bus_group_path(uint64_t id, char ret[static BUS_GROUP_PATH_MAX]);
