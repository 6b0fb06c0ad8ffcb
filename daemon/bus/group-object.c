/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus-vtable.h>

#include "daemon/bus/bus-internal.h"

void bus_group_path(uint64_t id, char ret[static BUS_GROUP_PATH_MAX])
{
	snprintf(ret, BUS_GROUP_PATH_MAX, BUS_PATH_GROUP "/%" PRIu64, id);
}

struct bus_group *bus_group_find(struct bus *bus, uint64_t id)
{
	struct bus_group *group;

	LIST_FOREACH(group, &bus->groups, all)
		if (group->id == id)
			return group;
	return NULL;
}

static void group_remove(struct bus_group *group)
{
	LIST_REMOVE(group, all);
	free(group);
}

/* The object goes first: while it is released nothing more is told of it. */
static void group_release(struct bus_group *group)
{
	struct bus *bus = group->bus;
	uint64_t id = group->id;

	group_remove(group);
	bus->ops->process->group_release(id, bus->ops->process_userdata(bus->userdata));
}

void bus_groups_leave(struct bus *bus, const char *owner)
{
	struct bus_group *group, *next;

	for (group = LIST_FIRST(&bus->groups); group; group = next) {
		next = LIST_NEXT(group, all);
		if (strcmp(group->owner, owner) == 0)
			group_release(group);
	}
}

void bus_groups_forget(struct bus *bus)
{
	while (!LIST_EMPTY(&bus->groups))
		group_remove(LIST_FIRST(&bus->groups));
}

/* NULL: it has left, or there is no memory. */
static struct bus_group *group_add(struct bus *bus, const char *owner, uint64_t id)
{
	struct bus_group *group;
	uid_t uid;

	if (!bus->peers || !peers_find_uid(bus->peers, owner, &uid))
		return NULL;
	group = malloc(sizeof(*group) + strlen(owner) + 1);
	if (!group)
		return NULL;

	group->bus = bus;
	group->id = id;
	memcpy(group->owner, owner, strlen(owner) + 1);
	LIST_INSERT_HEAD(&bus->groups, group, all);
	peers_keep(bus->peers, owner);
	return group;
}

void bus_reply_group(struct bus_reply *reply, uint64_t id)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
	static const struct bus_refusal gone = {
		.name = SD_BUS_ERROR_LIMITS_EXCEEDED,
		.text = "There is no room for the group; try again later",
	};
	struct bus *bus = bus_reply_bus(reply);
	sd_bus_message *call = bus_reply_call(reply);
	struct bus_group *group = NULL;
	char path[BUS_GROUP_PATH_MAX];

	if (call)
		group = group_add(bus, sd_bus_message_get_sender(call), id);
	if (!group) {
		bus->ops->process->group_release(id, bus->ops->process_userdata(bus->userdata));
		bus_reply_refuse(reply, &gone);
		return;
	}

	bus_group_path(id, path);
	if (sd_bus_message_new_method_return(call, &answer) < 0 ||
	    sd_bus_message_append(answer, "o", path) < 0) {
		group_release(group);
		bus_reply_refuse(reply, &gone);
		return;
	}
	bus_reply_send(reply, answer);
}

/*
 * Properties
 */

static struct bus_group_totals group_totals(const struct bus_group *group)
{
	struct bus *bus = group->bus;
	struct bus_group_totals totals;

	bus->ops->process->group_totals(group->id, &totals,
					bus->ops->process_userdata(bus->userdata));
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

static int method_start(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus_group *group = userdata;
	struct bus *bus = group->bus;
	struct bus_refusal refusal = {};

	if (bus->ops->process->group_start(group->id, &refusal,
					   bus->ops->process_userdata(bus->userdata)) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

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
					     bus->ops->process_userdata(bus->userdata));
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
	struct bus_group *group = userdata;
	struct bus *bus = group->bus;
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
						 bus->ops->process_userdata(bus->userdata)) < 0)
		bus_reply_refuse(reply, &refusal);
	return 1;
}

static int method_release(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	group_release(userdata);
	return sd_bus_reply_method_return(call, NULL);
}

static int method_open_stream(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus_group *group = userdata;
	struct bus *bus = group->bus;
	struct bus_refusal refusal = {};
	_cleanup_close_ int fd = -1;
	int r;

	r = options_none(call);
	if (r != 0)
		return r;
	if (sd_bus_can_send(sd_bus_message_get_bus(call), 'h') <= 0)
		return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED,
				  "This bus cannot pass descriptors");

	if (bus->ops->process->group_stream(group->id, &fd, &refusal,
					    bus->ops->process_userdata(bus->userdata)) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, "h", fd);
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
	SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_start,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListMembers", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("t", next_seq, "a(ut)", members), method_list_members,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_release,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenStream", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
				method_open_stream, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Changed", SD_BUS_ARGS("t", first_seq, "a(uuutiay)", events), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Empty", SD_BUS_ARGS("a{sv}", totals), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("t", count), 0),
	SD_BUS_VTABLE_END
};

/* Another's is none. */
static int find_object(sd_bus *sd, const char *path, const char *interface, void *userdata,
		       void **ret_found, sd_bus_error *error)
{
	static const char prefix[] = BUS_PATH_GROUP "/";
	sd_bus_message *call = sd_bus_get_current_message(sd);
	const char *sender = call ? sd_bus_message_get_sender(call) : NULL;
	struct bus *bus = userdata;
	struct bus_group *group;
	char shown[BUS_GROUP_PATH_MAX];

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return 0;

	LIST_FOREACH(group, &bus->groups, all) {
		bus_group_path(group->id, shown);
		if (sender && strcmp(group->owner, sender) == 0 && strcmp(shown, path) == 0) {
			*ret_found = group;
			return 1;
		}
	}
	return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_OBJECT,
				 "You have no group %s; it may have been released", path);
}

int group_object_add(struct bus *bus, sd_bus *sd)
{
	/* Not among the children that can be listed: those are seen by all. */
	return sd_bus_add_fallback_vtable(sd, NULL, BUS_PATH_GROUP, BUS_IFACE_GROUP, group_vtable,
					  find_object, bus);
}
