/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"

void bus_sender(struct bus *bus, sd_bus_message *call, struct bus_sender *ret)
{
	const char *name = sd_bus_message_get_sender(call);

	assert(bus);
	assert(ret);

	/* Who cannot be told is nobody. */
	*ret = (struct bus_sender){ .uid = (uid_t)-1, .name = name ? name : "" };
	if (!name || !bus->peers || !peers_find_uid(bus->peers, name, &ret->uid))
		return;
	ret->read_details = ret->uid == 0;
}

int bus_authorize(struct bus *bus, sd_bus_message *call, enum authorization action,
		  int (*then)(struct bus *bus, sd_bus_message *call))
{
	struct bus_sender sender;

	assert(bus);
	assert(call);
	assert(then);

	bus_sender(bus, call, &sender);
	if (sender.uid == 0)
		return then(bus, call);

	bus->statistics.denied++;
	switch (action) {
	case AUTHORIZE_CONFIGURE:
		return bus_refuse(call, SD_BUS_ERROR_ACCESS_DENIED,
				  "Only root may change what is watched and told");
	case AUTHORIZE_TEST:
		return bus_refuse(call, SD_BUS_ERROR_ACCESS_DENIED,
				  "Only root may send test events");
	/* The same whether there is such a process or not. */
	case AUTHORIZE_TRACK_OTHERS:
		return bus_refuse(call, SD_BUS_ERROR_ACCESS_DENIED,
				  "You have no such process, and only root may follow others");
	case AUTHORIZE_RELAY:
		return bus_refuse(call, SD_BUS_ERROR_ACCESS_DENIED,
				  "You have no such process, and only root may relay forks to "
				  "others");
	}
	return bus_refuse(call, SD_BUS_ERROR_ACCESS_DENIED, "Only root may do that");
}
