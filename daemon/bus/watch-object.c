/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus-vtable.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/core/change.h"

static void *watch_userdata(struct bus *bus)
{
	return bus->ops->watch_userdata(bus->userdata);
}

void bus_watch_path(uint64_t id, char ret[static BUS_WATCH_PATH_MAX])
{
	snprintf(ret, BUS_WATCH_PATH_MAX, BUS_PATH_WATCH "/%" PRIu64, id);
}

struct bus_watch *bus_watch_find(struct bus *bus, uint64_t id)
{
	struct bus_watch *watch;

	assert(bus);

	LIST_FOREACH(watch, &bus->watches.chains[id % BUS_WATCH_CHAINS], chain)
		if (watch->id == id)
			return watch;
	return NULL;
}

static void watch_forget(struct bus_watch *watch)
{
	LIST_REMOVE(watch, chain);
	free(watch);
}

/* The object goes first: while it is removed nothing more is told of it. */
static void watch_remove(struct bus_watch *watch)
{
	struct bus *bus = watch->bus;
	uint64_t id = watch->id;

	watch_forget(watch);
	bus->ops->watch->remove(id, watch_userdata(bus));
}

void bus_watches_leave(struct bus *bus, const char *owner)
{
	struct bus_watch *watch, *next;

	assert(bus && owner);

	for (size_t i = 0; i < BUS_WATCH_CHAINS; i++) {
		for (watch = LIST_FIRST(&bus->watches.chains[i]); watch; watch = next) {
			next = LIST_NEXT(watch, chain);
			if (strcmp(watch->owner, owner) == 0)
				watch_remove(watch);
		}
	}
}

void bus_watches_forget(struct bus *bus)
{
	assert(bus);

	for (size_t i = 0; i < BUS_WATCH_CHAINS; i++)
		while (!LIST_EMPTY(&bus->watches.chains[i]))
			watch_forget(LIST_FIRST(&bus->watches.chains[i]));
}

/* NULL: the owner has left, or there is no memory. */
static struct bus_watch *watch_add(struct bus *bus, const char *owner, uint64_t id)
{
	struct bus_watch *watch;
	uid_t uid;

	if (!bus->peers || !peers_find_uid(bus->peers, owner, &uid))
		return NULL;
	watch = malloc(sizeof(*watch) + strlen(owner) + 1);
	if (!watch)
		return NULL;

	watch->bus = bus;
	watch->id = id;
	memcpy(watch->owner, owner, strlen(owner) + 1);
	LIST_INSERT_HEAD(&bus->watches.chains[id % BUS_WATCH_CHAINS], watch, chain);
	peers_keep(bus->peers, owner);
	return watch;
}

void bus_reply_watch(struct bus_reply *reply, uint64_t id)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
	static const struct bus_refusal gone = {
		.name = SD_BUS_ERROR_LIMITS_EXCEEDED,
		.text = "There is no room for the watch; try again later",
	};
	struct bus *bus = bus_reply_bus(reply);
	sd_bus_message *call = bus_reply_call(reply);
	struct bus_watch *watch = NULL;
	char path[BUS_WATCH_PATH_MAX];

	if (call)
		watch = watch_add(bus, sd_bus_message_get_sender(call), id);
	if (!watch) {
		bus->ops->watch->remove(id, watch_userdata(bus));
		bus_reply_refuse(reply, &gone);
		return;
	}

	bus_watch_path(id, path);
	if (sd_bus_message_new_method_return(call, &answer) < 0 ||
	    sd_bus_message_append(answer, "o", path) < 0) {
		watch_remove(watch);
		bus_reply_refuse(reply, &gone);
		return;
	}
	bus_reply_send(reply, answer);
}

/*
 * Properties
 */

static struct bus_watch_properties properties(const struct bus_watch *watch)
{
	struct bus_watch_properties ret = { .path = "", .source = "" };
	struct bus *bus = watch->bus;

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

	return sd_bus_message_append(reply, "t",
				     strcmp(property, "Delivered") == 0 ? its.delivered : its.lost);
}

/*
 * Methods
 */

static int method_start(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus_watch *watch = userdata;
	struct bus_refusal refusal = {};
	struct bus *bus = watch->bus;

	if (bus->ops->watch->start(watch->id, &refusal, watch_userdata(bus)) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

static int method_remove(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	watch_remove(userdata);
	return sd_bus_reply_method_return(call, NULL);
}

static int method_set_events(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus_watch *watch = userdata;
	struct bus_refusal refusal = {};
	struct bus *bus = watch->bus;
	uint32_t mask;
	int r;

	r = bus_watch_read_mask(call, &mask);
	if (r != 0)
		return r;
	if (bus->ops->watch->set_mask(watch->id, mask, &refusal, watch_userdata(bus)) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

static int method_open_stream(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus_watch *watch = userdata;
	struct bus_refusal refusal = {};
	struct bus *bus = watch->bus;
	_cleanup_close_ int fd = -1;
	int r;

	r = options_none(call);
	if (r != 0)
		return r;
	if (sd_bus_can_send(sd_bus_message_get_bus(call), 'h') <= 0)
		return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED,
				  "This bus cannot pass descriptors");

	if (bus->ops->watch->stream(watch->id, &fd, &refusal, watch_userdata(bus)) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, "h", fd);
}

const sd_bus_vtable watch_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Path", "ay", property_get_path, 0, 0),
	SD_BUS_PROPERTY("Events", "as", property_get_events, 0, 0),
	SD_BUS_PROPERTY("Recursive", "b", property_get_recursive, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Source", "s", property_get_source, 0, 0),
	SD_BUS_PROPERTY("Delivered", "t", property_get_count, 0, 0),
	SD_BUS_PROPERTY("Lost", "t", property_get_count, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_start,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_remove,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetEvents", SD_BUS_ARGS("as", events), SD_BUS_NO_RESULT,
				method_set_events, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenStream", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
				method_open_stream, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Changed", SD_BUS_ARGS("t", first_seq, "a(uayayuttt)", events), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("t", count, "ay", under), 0),
	SD_BUS_VTABLE_END
};

/* Another's is none. */
static int find_object(sd_bus *sd, const char *path, const char *interface, void *userdata,
		       void **ret_found, sd_bus_error *error)
{
	static const char prefix[] = BUS_PATH_WATCH "/";
	sd_bus_message *call = sd_bus_get_current_message(sd);
	const char *sender = call ? sd_bus_message_get_sender(call) : NULL;
	struct bus_watch *watch;
	char shown[BUS_WATCH_PATH_MAX];

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return 0;

	/* The number may stand there in other ways: only one is its path. */
	watch = bus_watch_find(userdata, strtoull(path + sizeof(prefix) - 1, NULL, 10));
	if (watch && sender && strcmp(watch->owner, sender) == 0) {
		bus_watch_path(watch->id, shown);
		if (strcmp(shown, path) == 0) {
			*ret_found = watch;
			return 1;
		}
	}
	return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_OBJECT,
				 "You have no watch %s; it may have been removed", path);
}

int watch_object_add(struct bus *bus, sd_bus *sd)
{
	/* Not among the children that can be listed: those are seen by all. */
	return sd_bus_add_fallback_vtable(sd, NULL, BUS_PATH_WATCH, BUS_IFACE_WATCH, watch_vtable,
					  find_object, bus);
}
