/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <string.h>
#include <systemd/sd-bus-vtable.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/watch-methods.h"
#include "daemon/core/change.h"

static void *watch_userdata(struct bus *bus)
{
	return bus->ops->watch_userdata(bus->userdata);
}

/*
 * Properties
 */

static struct bus_watch_properties properties(const struct owned_object *watch)
{
	struct bus_watch_properties ret = { .path = "", .source = "" };
	struct bus *bus = watch->objects->bus;

	bus->ops->watch->properties(watch->id, &ret, watch_userdata(bus));
	return ret;
}

static int property_get_path(sd_bus *sd, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error)
{
	const struct bus_watch_properties its = properties(userdata);

	return sd_bus_message_append_array(reply, 'y', its.path, strlen(its.path) + 1);
}

static int property_get_events(sd_bus *sd, const char *path, const char *interface,
			       const char *property, sd_bus_message *reply, void *userdata,
			       sd_bus_error *error)
{
	const struct bus_watch_properties its = properties(userdata);
	unsigned int bit = 0;
	const char *name;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	if (r < 0)
		return r;
	while ((name = watch_mask_next(its.mask, &bit))) {
		r = sd_bus_message_append_basic(reply, 's', name);
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(reply);
}

static int property_get_recursive(sd_bus *sd, const char *path, const char *interface,
				  const char *property, sd_bus_message *reply, void *userdata,
				  sd_bus_error *error)
{
	const struct bus_watch_properties its = properties(userdata);

	return sd_bus_message_append(reply, "b", its.recursive);
}

static int property_get_source(sd_bus *sd, const char *path, const char *interface,
			       const char *property, sd_bus_message *reply, void *userdata,
			       sd_bus_error *error)
{
	const struct bus_watch_properties its = properties(userdata);

	return sd_bus_message_append(reply, "s", its.source);
}

static int property_get_count(sd_bus *sd, const char *path, const char *interface,
			      const char *property, sd_bus_message *reply, void *userdata,
			      sd_bus_error *error)
{
	const struct bus_watch_properties its = properties(userdata);

	const struct {
		const char *name;
		uint64_t count;
	} counts[] = {
		{ "Delivered", its.delivered },
		{ "Lost", its.lost },
		{ "Directories", its.directories },
		{ "Unwatched", its.unwatched },
	};
	size_t i = 0;

	while (strcmp(property, counts[i].name) != 0)
		i++;
	return sd_bus_message_append(reply, "t", counts[i].count);
}

/*
 * Methods
 */

static int method_set_events(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct owned_object *watch = userdata;
	struct bus_refusal refusal = {};
	struct bus *bus = watch->objects->bus;
	uint32_t mask;
	int r;

	r = bus_watch_read_mask(call, &mask);
	if (r != 0)
		return r;
	if (bus->ops->watch->set_mask(watch->id, mask, &refusal, watch_userdata(bus)) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

const sd_bus_vtable watch_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Path", "ay", property_get_path, 0, 0),
	SD_BUS_PROPERTY("Events", "as", property_get_events, 0, 0),
	SD_BUS_PROPERTY("Recursive", "b", property_get_recursive, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Source", "s", property_get_source, 0, 0),
	SD_BUS_PROPERTY("Delivered", "t", property_get_count, 0, 0),
	SD_BUS_PROPERTY("Lost", "t", property_get_count, 0, 0),
	SD_BUS_PROPERTY("Directories", "t", property_get_count, 0, 0),
	SD_BUS_PROPERTY("Unwatched", "t", property_get_count, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, owned_method_start,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, owned_method_remove,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetEvents", SD_BUS_ARGS("as", events), SD_BUS_NO_RESULT,
				method_set_events, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenStream", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
				owned_method_open_stream, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Changed", SD_BUS_ARGS("t", first_seq, "a(uayayuttt)", events), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("t", count, "ay", under), 0),
	SD_BUS_VTABLE_END
};

static int watch_start(struct bus *bus, uint64_t id, struct bus_refusal *refusal)
{
	return bus->ops->watch->start(id, refusal, watch_userdata(bus));
}

static int watch_stream(struct bus *bus, uint64_t id, int *ret_fd, struct bus_refusal *refusal)
{
	return bus->ops->watch->stream(id, ret_fd, refusal, watch_userdata(bus));
}

static void watch_remove(struct bus *bus, uint64_t id)
{
	bus->ops->watch->remove(id, watch_userdata(bus));
}

const struct owned_class watch_class = {
	.root = BUS_PATH_WATCH,
	.interface = BUS_IFACE_WATCH,
	.vtable = watch_vtable,
	.noun = "watch",
	.no_room = "There is no room for the watch; try again later",
	.none = "it may have been removed",
	.start = watch_start,
	.stream = watch_stream,
	.remove = watch_remove,
};

void bus_reply_watch(struct bus_reply *reply, uint64_t id)
{
	owned_reply(&bus_reply_bus(reply)->watches, reply, id);
}
