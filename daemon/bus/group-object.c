/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus-vtable.h>

#include "daemon/bus/bus-internal.h"

static void *process_userdata(struct bus *bus)
{
	return bus->ops->process_userdata(bus->userdata);
}

/*
 * Properties
 */

static struct bus_group_totals group_totals(const struct owned_object *group)
{
	struct bus *bus = group->objects->bus;
	struct bus_group_totals totals;

	bus->ops->process->group_totals(group->id, &totals, process_userdata(bus));
	return totals;
}

static int property_get_u32(sd_bus *sd, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *userdata,
			    sd_bus_error *error)
{
	const struct bus_group_totals totals = group_totals(userdata);

	return sd_bus_message_append(reply, "u",
				     strcmp(property, "Leader") == 0 ? totals.leader : totals.live);
}

static int property_get_u64(sd_bus *sd, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *userdata,
			    sd_bus_error *error)
{
	const struct bus_group_totals totals = group_totals(userdata);
	const struct {
		const char *property;
		const uint64_t *value;
	} values[] = {
		{ "Forks", &totals.forks },
		{ "Execs", &totals.execs },
		{ "Exits", &totals.exits },
		{ "UserUsec", &totals.user_usec },
		{ "SystemUsec", &totals.system_usec },
		{ "ReadBytes", &totals.read_bytes },
		{ "WriteBytes", &totals.write_bytes },
		{ "PeakRss", &totals.peak_rss },
		{ "Lost", &totals.lost },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strcmp(values[i].property, property) == 0)
			return sd_bus_message_append(reply, "t", *values[i].value);
	return -EINVAL;
}

static int property_get_incomplete(sd_bus *sd, const char *path, const char *interface,
				   const char *property, sd_bus_message *reply, void *userdata,
				   sd_bus_error *error)
{
	const struct bus_group_totals totals = group_totals(userdata);

	return sd_bus_message_append(reply, "b", totals.incomplete);
}

/*
 * Methods
 */

struct members {
	struct bus_group_member *items; /* owned */
	size_t n, n_room;
	int error;
};

static void add_member(const struct bus_group_member *member, void *ctx)
{
	struct members *members = ctx;

	if (members->n == members->n_room) {
		size_t n_room = members->n_room ? 2 * members->n_room : 64;
		struct bus_group_member *grown =
			reallocarray(members->items, n_room, sizeof(*grown));

		if (!grown) {
			members->error = -ENOMEM;
			return;
		}
		members->items = grown;
		members->n_room = n_room;
	}
	members->items[members->n++] = *member;
}

static int append_members(sd_bus_message *answer, uint64_t next_seq, const struct members *members)
{
	int r;

	r = sd_bus_message_append(answer, "t", next_seq);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(answer, 'a', "(ut)");
	if (r < 0)
		return r;
	for (size_t i = 0; i < members->n; i++) {
		r = sd_bus_message_append(answer, "(ut)", members->items[i].pid,
					  members->items[i].start_ticks);
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(answer);
}

void bus_reply_members(struct bus_reply *reply, uint64_t id)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
	struct bus_refusal refusal = {
		.name = SD_BUS_ERROR_NO_MEMORY,
		.text = "Out of memory",
	};
	struct bus *bus = bus_reply_bus(reply);
	sd_bus_message *call = bus_reply_call(reply);
	struct members members = {};
	uint64_t next_seq;
	int r;

	if (!call) {
		bus_reply_refuse(reply, &refusal);
		return;
	}
	r = bus->ops->process->group_members(id, &next_seq, add_member, &members, &refusal,
					     process_userdata(bus));
	if (r >= 0)
		r = members.error;
	if (r >= 0)
		r = sd_bus_message_new_method_return(call, &answer);
	if (r >= 0)
		r = append_members(answer, next_seq, &members);
	free(members.items);

	if (r < 0)
		bus_reply_refuse(reply, &refusal);
	else
		bus_reply_send(reply, answer);
}

static int method_list_members(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct owned_object *group = userdata;
	struct bus *bus = group->objects->bus;
	struct bus_refusal refusal = {};
	struct bus_reply *reply;
	int r;

	r = options_none(call);
	if (r != 0)
		return r;
	r = bus_reply_new(&reply, bus, call);
	if (r != 0)
		return r;

	if (bus->ops->process->group_ask_members(group->id, reply, &refusal,
						 process_userdata(bus)) < 0)
		bus_reply_refuse(reply, &refusal);
	return 1;
}

const sd_bus_vtable group_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Leader", "u", property_get_u32, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Live", "u", property_get_u32, 0, 0),
	SD_BUS_PROPERTY("Forks", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("Execs", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("Exits", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("UserUsec", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("SystemUsec", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("ReadBytes", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("WriteBytes", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("PeakRss", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("Lost", "t", property_get_u64, 0, 0),
	SD_BUS_PROPERTY("Incomplete", "b", property_get_incomplete, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, owned_method_start,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListMembers", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("t", next_seq, "a(ut)", members), method_list_members,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, owned_method_remove,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenStream", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
				owned_method_open_stream, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Changed", SD_BUS_ARGS("t", first_seq, "a(uuutiay)", events), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Empty", SD_BUS_ARGS("a{sv}", totals), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("t", count), 0),
	SD_BUS_VTABLE_END
};

static int group_start(struct bus *bus, uint64_t id, struct bus_refusal *refusal)
{
	return bus->ops->process->group_start(id, refusal, process_userdata(bus));
}

static int group_stream(struct bus *bus, uint64_t id, int *ret_fd, struct bus_refusal *refusal)
{
	return bus->ops->process->group_stream(id, ret_fd, refusal, process_userdata(bus));
}

static void group_release(struct bus *bus, uint64_t id)
{
	bus->ops->process->group_release(id, process_userdata(bus));
}

const struct owned_class group_class = {
	.root = BUS_PATH_GROUP,
	.interface = BUS_IFACE_GROUP,
	.vtable = group_vtable,
	.noun = "group",
	.no_room = "There is no room for the group; try again later",
	.none = "it may have been released",
	.start = group_start,
	.stream = group_stream,
	.remove = group_release,
};

void bus_reply_group(struct bus_reply *reply, uint64_t id)
{
	owned_reply(&bus_reply_bus(reply)->groups, reply, id);
}
