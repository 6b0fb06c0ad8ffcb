/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus-vtable.h>

#include "daemon/bus/bus-internal.h"

static int property_get_u32(sd_bus *sd, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *userdata,
			    sd_bus_error *error)
{
	const struct filesystem *fs = userdata;
	const struct fs_key *key = &fs->sb->key;

	return sd_bus_message_append(reply, "u",
				     strcmp(property, "Major") == 0 ? key->major : key->minor);
}

static int property_get_type(sd_bus *sd, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return marshal_escaped(reply, fs->sb->type);
}

static int property_get_generation(sd_bus *sd, const char *path, const char *interface,
				   const char *property, sd_bus_message *reply, void *userdata,
				   sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return sd_bus_message_append(reply, "t", fs->sb->generation);
}

static int property_get_block_size(sd_bus *sd, const char *path, const char *interface,
				   const char *property, sd_bus_message *reply, void *userdata,
				   sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return sd_bus_message_append(reply, "t", fs->usage.block_size);
}

static int property_get_source(sd_bus *sd, const char *path, const char *interface,
			       const char *property, sd_bus_message *reply, void *userdata,
			       sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return marshal_escaped(reply, fs->sb->source);
}

static int property_get_where(sd_bus *sd, const char *path, const char *interface,
			      const char *property, sd_bus_message *reply, void *userdata,
			      sd_bus_error *error)
{
	const struct filesystem *fs = userdata;
	const struct mount *mount = superblock_display_mount(fs->sb);

	return marshal_escaped(reply, mount ? mount->where : "");
}

static int property_get_mount_points(sd_bus *sd, const char *path, const char *interface,
				     const char *property, sd_bus_message *reply, void *userdata,
				     sd_bus_error *error)
{
	const struct filesystem *fs = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "ay");
	if (r < 0)
		return r;
	for (size_t i = 0; i < fs->sb->n_mounts; i++) {
		const char *where = fs->sb->mounts[i]->where;

		r = sd_bus_message_append_array(reply, 'y', where, strlen(where) + 1);
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(reply);
}

static int property_get_read_only(sd_bus *sd, const char *path, const char *interface,
				  const char *property, sd_bus_message *reply, void *userdata,
				  sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return sd_bus_message_append(reply, "b", fs->read_only != READ_ONLY_NO);
}

static int property_get_read_only_reason(sd_bus *sd, const char *path, const char *interface,
					 const char *property, sd_bus_message *reply,
					 void *userdata, sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return sd_bus_message_append(reply, "s", read_only_reason_name(fs->read_only));
}

static int property_get_state(sd_bus *sd, const char *path, const char *interface,
			      const char *property, sd_bus_message *reply, void *userdata,
			      sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", fs_state_name(filesystem_state(userdata)));
}

static int property_get_thresholds(sd_bus *sd, const char *path, const char *interface,
				   const char *property, sd_bus_message *reply, void *userdata,
				   sd_bus_error *error)
{
	const struct filesystem *fs = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "(sstts)");
	if (r < 0)
		return r;
	for (size_t i = 0; i < fs->thresholds.n_items; i++) {
		const struct threshold *threshold = &fs->thresholds.items[i];

		r = sd_bus_message_append(reply, "(sstts)", threshold->spec.name,
					  threshold->spec.resource == RESOURCE_SPACE ? "space"
										     : "inodes",
					  threshold->level, threshold->hysteresis,
					  event_severity_name(threshold->spec.severity));
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(reply);
}

static int property_get_crossed(sd_bus *sd, const char *path, const char *interface,
				const char *property, sd_bus_message *reply, void *userdata,
				sd_bus_error *error)
{
	const struct filesystem *fs = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	if (r < 0)
		return r;
	for (size_t i = 0; i < fs->thresholds.n_items; i++) {
		if (!fs->thresholds.items[i].crossed)
			continue;
		r = sd_bus_message_append(reply, "s", fs->thresholds.items[i].spec.name);
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(reply);
}

static int property_get_codes(sd_bus *sd, const char *path, const char *interface,
			      const char *property, sd_bus_message *reply, void *userdata,
			      sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return marshal_codes(reply,
			     strcmp(property, "Events") == 0 ? fs->events : fs->capabilities);
}

static int property_get_error_count(sd_bus *sd, const char *path, const char *interface,
				    const char *property, sd_bus_message *reply, void *userdata,
				    sd_bus_error *error)
{
	const struct filesystem *fs = userdata;

	return sd_bus_message_append(reply, "t", fs->error_count);
}

static int property_get_last_event(sd_bus *sd, const char *path, const char *interface,
				   const char *property, sd_bus_message *reply, void *userdata,
				   sd_bus_error *error)
{
	const struct filesystem *fs = userdata;
	const struct event *event = &fs->last_event;
	const struct details none = {};
	bool known = fs->has_last_event;
	int r;

	r = sd_bus_message_open_container(reply, 'r', "ttssuta{sv}");
	if (r < 0)
		return r;
	r = sd_bus_message_append(reply, "ttssut", event->id, event->realtime_us,
				  known ? event_code_name(event->code) : "",
				  known ? event_severity_name(event->severity) : "", event->pid,
				  event->data);
	if (r < 0)
		return r;
	r = marshal_details(reply, known ? &event->details : &none, false, 1, known && event->test);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(reply);
}

static int method_get_usage(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus *bus = bus_of_call(sd_bus_message_get_bus(call));
	struct bus_reply *reply;
	int r;

	r = options_none(call);
	if (r != 0)
		return r;
	r = bus_reply_new(&reply, bus, call);
	if (r != 0)
		return r;
	bus->ops->get_usage(userdata, reply, bus->userdata);
	return 1;
}

static int method_set_thresholds(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_authorize(bus_of_call(sd_bus_message_get_bus(call)), call, AUTHORIZE_CONFIGURE,
			     filesystem_set_thresholds);
}

static int method_set_events(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_authorize(bus_of_call(sd_bus_message_get_bus(call)), call, AUTHORIZE_CONFIGURE,
			     filesystem_set_events);
}

/* What stands for itself in a change; see enum bus_property. */
#define ANNOUNCED SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define CONSTANT SD_BUS_VTABLE_PROPERTY_CONST

const sd_bus_vtable filesystem_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Major", "u", property_get_u32, 0, CONSTANT),
	SD_BUS_PROPERTY("Minor", "u", property_get_u32, 0, CONSTANT),
	SD_BUS_PROPERTY("Type", "s", property_get_type, 0, CONSTANT),
	SD_BUS_PROPERTY("Generation", "t", property_get_generation, 0, CONSTANT),
	SD_BUS_PROPERTY("BlockSize", "t", property_get_block_size, 0, CONSTANT),
	SD_BUS_PROPERTY("Source", "s", property_get_source, 0, ANNOUNCED),
	SD_BUS_PROPERTY("Where", "s", property_get_where, 0, ANNOUNCED),
	SD_BUS_PROPERTY("MountPoints", "aay", property_get_mount_points, 0, ANNOUNCED),
	SD_BUS_PROPERTY("ReadOnly", "b", property_get_read_only, 0, ANNOUNCED),
	SD_BUS_PROPERTY("ReadOnlyReason", "s", property_get_read_only_reason, 0, ANNOUNCED),
	SD_BUS_PROPERTY("State", "s", property_get_state, 0, ANNOUNCED),
	SD_BUS_PROPERTY("Thresholds", "a(sstts)", property_get_thresholds, 0, ANNOUNCED),
	SD_BUS_PROPERTY("Crossed", "as", property_get_crossed, 0, ANNOUNCED),
	SD_BUS_PROPERTY("Events", "as", property_get_codes, 0, ANNOUNCED),
	SD_BUS_PROPERTY("Capabilities", "as", property_get_codes, 0, ANNOUNCED),
	SD_BUS_PROPERTY("ErrorCount", "t", property_get_error_count, 0, 0),
	SD_BUS_PROPERTY("LastEvent", "(ttssuta{sv})", property_get_last_event, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("GetUsage", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("a{st}", usage), method_get_usage,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"SetThresholds", SD_BUS_ARGS("a(sstts)", thresholds, "a{sv}", options),
		SD_BUS_NO_RESULT, method_set_thresholds, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetEvents", SD_BUS_ARGS("as", events, "a{sv}", options),
				SD_BUS_NO_RESULT, method_set_events, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("Event",
				SD_BUS_ARGS("t", id, "t", realtime_usec, "s", code, "s", severity,
					    "u", pid, "t", data, "a{sv}", details),
				0),
	SD_BUS_VTABLE_END
};

struct bus *bus_of_call(sd_bus *sd)
{
	return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd));
}

struct filesystem *bus_find_path(struct bus *bus, const char *path)
{
	struct fs_key key;

	if (!path || fs_key_parse(path, &key) < 0)
		return NULL;
	return bus->ops->find(&key, bus->userdata);
}

static int find_object(sd_bus *sd, const char *path, const char *interface, void *userdata,
		       void **ret_found, sd_bus_error *error)
{
	struct filesystem *fs;

	/* The folder itself is no object, but may be asked for its children. */
	if (strcmp(path, BUS_PATH_FILESYSTEM) == 0)
		return 0;

	fs = bus_find_path(userdata, path);
	if (!fs)
		return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_OBJECT,
					 "There is no filesystem %s; it may have been unmounted",
					 path);
	*ret_found = fs;
	return 1;
}

static int list_objects(sd_bus *sd, const char *prefix, void *userdata, char ***ret_nodes,
			sd_bus_error *error)
{
	struct bus *bus = userdata;
	struct filesystem *fs = NULL;
	size_t n = 0, i = 0;
	char **nodes;

	while ((fs = bus->ops->next(fs, bus->userdata)))
		n++;
	nodes = calloc(n + 1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;

	while (i < n && (fs = bus->ops->next(fs, bus->userdata))) {
		nodes[i] = malloc(FS_PATH_MAX);
		if (!nodes[i]) {
			while (i > 0)
				free(nodes[--i]);
			free(nodes);
			return -ENOMEM;
		}
		fs_key_path(&fs->sb->key, nodes[i++]);
	}

	*ret_nodes = nodes;
	return 1;
}

int filesystem_object_add(struct bus *bus, sd_bus *sd)
{
	int r;

	r = sd_bus_add_fallback_vtable(sd, NULL, BUS_PATH_FILESYSTEM, BUS_IFACE_FILESYSTEM,
				       filesystem_vtable, find_object, bus);
	if (r < 0)
		return r;
	return sd_bus_add_node_enumerator(sd, NULL, BUS_PATH_FILESYSTEM, list_objects, bus);
}
