/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <systemd/sd-bus-vtable.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/fdinfo.h"
#include "daemon/bus/process-methods.h"
#include "daemon/bus/watch-methods.h"
#include "daemon/core/escape.h"

/* All methods are marked unprivileged: each authorizes by itself. */

/* Longest paths are those of PATH_MAX, escaped. */
#define PATH_TEXT_MAX (4 * 4096)

static int reply_filesystem(sd_bus_message *call, const struct filesystem *fs)
{
	char path[FS_PATH_MAX];

	fs_key_path(&fs->sb->key, path);
	return sd_bus_reply_method_return(call, "o", path);
}

static int method_get_filesystem(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	_cleanup_free_ char *path = NULL;
	struct bus *bus = userdata;
	struct filesystem *fs;
	const char *text;
	size_t n;
	int r;

	r = sd_bus_message_read(call, "s", &text);
	if (r < 0)
		return r;

	if (text[0] != '/')
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS, "The path must be absolute");
	n = strlen(text);
	if (n > PATH_TEXT_MAX)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The path is longer than a path can be");

	path = malloc(n + 1);
	if (!path)
		return -ENOMEM;
	if (unescape(path, text, n) < 0)
		return bus_refuse(
			call, SD_BUS_ERROR_INVALID_ARGS,
			"A backslash in a path must be followed by three octal digits (001-377)");

	fs = bus->ops->resolve(path, bus->userdata);
	if (!fs)
		return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED,
				  "The filesystem of this path is not watched");
	return reply_filesystem(call, fs);
}

static int method_get_filesystem_by_device(sd_bus_message *call, void *userdata,
					   sd_bus_error *error)
{
	struct bus *bus = userdata;
	struct filesystem *fs;
	uint32_t major, minor;
	int r;

	r = sd_bus_message_read(call, "uu", &major, &minor);
	if (r < 0)
		return r;

	fs = bus->ops->find_device(major, minor, bus->userdata);
	if (!fs)
		return bus_refuse(call, SD_BUS_ERROR_UNKNOWN_OBJECT,
				  "No watched filesystem is on the device %u:%u", major, minor);
	return reply_filesystem(call, fs);
}

static int method_get_filesystem_by_fd(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;
	struct filesystem *fs = NULL;
	uint32_t mnt_id;
	int fd, r;

	/* Descriptors are taken out of messages where there is no room for them. */
	r = sd_bus_message_read(call, "h", &fd);
	if (r == -EBADMSG)
		return bus_refuse(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
				  "The descriptor could not be received; try again later");
	if (r < 0)
		return r;
	r = options_none(call);
	if (r != 0)
		return r;

	r = fdinfo_mount_id(&mnt_id, fd);
	if (r >= 0)
		fs = bus->ops->find_mount(mnt_id, bus->userdata);
	if (!fs)
		return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED,
				  "The descriptor must be opened with O_PATH, and on a filesystem "
				  "that is watched");
	return reply_filesystem(call, fs);
}

static int method_get_events(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_learn_details(userdata, call, events_query);
}

static int open_events(struct bus *bus, sd_bus_message *call)
{
	_cleanup_close_ int fd = -1;
	struct bus_refusal refusal = {};
	struct bus_sender sender;
	uint64_t since_id;
	int r;

	r = sd_bus_message_read(call, "t", &since_id);
	if (r < 0)
		return r;
	r = options_none(call);
	if (r == 0)
		r = bus_refuse_descriptor(call);
	if (r != 0)
		return r;

	bus_sender(bus, call, &sender);
	if (bus->ops->open_events(since_id, &sender, &fd, &refusal, bus->userdata) < 0)
		return bus_refuse_with(call, &refusal);

	peers_keep(bus->peers, sender.name);
	return sd_bus_reply_method_return(call, "h", fd);
}

static int method_open_events(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_learn_details(userdata, call, open_events);
}

static int configure(struct bus *bus, sd_bus_message *call)
{
	struct bus_refusal refusal = {};
	const char *line;
	int r;

	r = sd_bus_message_read(call, "s", &line);
	if (r < 0)
		return r;
	r = options_none(call);
	if (r != 0)
		return r;

	if (bus->ops->configure(line, &refusal, bus->userdata) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

static int method_configure(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_authorize(userdata, call, AUTHORIZE_CONFIGURE, configure);
}

static int method_get_configuration(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct bus *bus = userdata;

	text = bus->ops->get_configuration(bus->userdata);
	if (!text)
		return -ENOMEM;
	return sd_bus_reply_method_return(call, "s", text);
}

static int reload(struct bus *bus, sd_bus_message *call)
{
	struct bus_reply *reply;
	int r;

	r = bus_reply_new(&reply, bus, call);
	if (r != 0)
		return r;
	bus->ops->reload(reply, bus->userdata);
	return 1;
}

static int method_reload(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_authorize(userdata, call, AUTHORIZE_CONFIGURE, reload);
}

static int emit_test_event(struct bus *bus, sd_bus_message *call)
{
	struct bus_refusal refusal = {};
	const char *path, *name;
	struct filesystem *fs;
	enum event_code code;
	int r;

	r = sd_bus_message_read(call, "os", &path, &name);
	if (r < 0)
		return r;
	r = options_none(call);
	if (r != 0)
		return r;

	fs = bus_find_path(bus, path);
	if (!fs)
		return bus_refuse(call, SD_BUS_ERROR_UNKNOWN_OBJECT, "There is no filesystem %s",
				  path);
	r = event_code_from_name(name, &code);
	if (r < 0)
		return bus_refuse_code(call, name);

	if (bus->ops->test(fs, code, &refusal, bus->userdata) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

static int method_emit_test_event(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_authorize(userdata, call, AUTHORIZE_TEST, emit_test_event);
}

/* What fills a list of pairs; the first failure is kept. */
struct pairs {
	sd_bus_message *message;
	int error;
};

static void add_text(const char *key, const char *value, void *ctx)
{
	struct pairs *pairs = ctx;

	if (pairs->error >= 0)
		pairs->error = sd_bus_message_append(pairs->message, "{ss}", key, value);
}

static void add_number(const char *key, uint64_t value, void *ctx)
{
	struct pairs *pairs = ctx;

	if (pairs->error >= 0)
		pairs->error = sd_bus_message_append(pairs->message, "{st}", key, value);
}

static int property_get_version(sd_bus *sd, const char *path, const char *interface,
				const char *property, sd_bus_message *reply, void *userdata,
				sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", FSEVENTSD_VERSION);
}

static int property_get_sources(sd_bus *sd, const char *path, const char *interface,
				const char *property, sd_bus_message *reply, void *userdata,
				sd_bus_error *error)
{
	struct pairs pairs = { .message = reply };
	struct bus *bus = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{ss}");
	if (r < 0)
		return r;
	bus->ops->sources(add_text, &pairs, bus->userdata);
	if (pairs.error < 0)
		return pairs.error;
	return sd_bus_message_close_container(reply);
}

static int property_get_limits(sd_bus *sd, const char *path, const char *interface,
			       const char *property, sd_bus_message *reply, void *userdata,
			       sd_bus_error *error)
{
	struct pairs pairs = { .message = reply };
	struct bus *bus = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{st}");
	if (r < 0)
		return r;
	bus->ops->limits(add_number, &pairs, bus->userdata);
	if (pairs.error < 0)
		return pairs.error;
	return sd_bus_message_close_container(reply);
}

static int property_get_statistics(sd_bus *sd, const char *path, const char *interface,
				   const char *property, sd_bus_message *reply, void *userdata,
				   sd_bus_error *error)
{
	struct bus_sender sender = { .uid = (uid_t)-1 };
	struct pairs pairs = { .message = reply };
	struct bus *bus = userdata;
	sd_bus_message *call;
	int r;

	/* A getter is told what is asked, not by whom. */
	call = sd_bus_get_current_message(sd);
	if (call)
		bus_sender(bus, call, &sender);

	r = sd_bus_message_open_container(reply, 'a', "{st}");
	if (r < 0)
		return r;
	bus->ops->statistics(sender.uid == 0, add_number, &pairs, bus->userdata);
	if (pairs.error < 0)
		return pairs.error;
	return sd_bus_message_close_container(reply);
}

const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("GetFilesystem", SD_BUS_ARGS("s", path),
				SD_BUS_RESULT("o", filesystem), method_get_filesystem,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetFilesystemByDevice", SD_BUS_ARGS("u", major, "u", minor),
				SD_BUS_RESULT("o", filesystem), method_get_filesystem_by_device,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetFilesystemByFd", SD_BUS_ARGS("h", fd, "a{sv}", options),
				SD_BUS_RESULT("o", filesystem), method_get_filesystem_by_fd,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetEvents", SD_BUS_ARGS("t", since_id, "a{sv}", options),
				SD_BUS_RESULT("t", oldest_id, "t", newest_id, "a(ttossuta{sv})",
					      events, "a{sv}", info),
				method_get_events, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenEvents", SD_BUS_ARGS("t", since_id, "a{sv}", options),
				SD_BUS_RESULT("h", fd), method_open_events,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Configure", SD_BUS_ARGS("s", line, "a{sv}", options),
				SD_BUS_NO_RESULT, method_configure, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetConfiguration", SD_BUS_NO_ARGS,
				SD_BUS_RESULT("s", configuration), method_get_configuration,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"EmitTestEvent", SD_BUS_ARGS("o", filesystem, "s", code, "a{sv}", options),
		SD_BUS_NO_RESULT, method_emit_test_event, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Watch", SD_BUS_ARGS("h", fd, "as", events, "a{sv}", options),
				SD_BUS_RESULT("o", watch), method_watch,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("WatchPath", SD_BUS_ARGS("s", path, "as", events, "a{sv}", options),
				SD_BUS_RESULT("o", watch), method_watch_path,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"WatchInode",
		SD_BUS_ARGS("u", major, "u", minor, "t", inode, "as", events, "a{sv}", options),
		SD_BUS_RESULT("o", watch), method_watch_inode, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("TrackProcess", SD_BUS_ARGS("u", pid, "a{sv}", options),
				SD_BUS_RESULT("o", group), method_track_process,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("TrackPidfd", SD_BUS_ARGS("h", pidfd, "a{sv}", options),
				SD_BUS_RESULT("o", group), method_track_pidfd,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RelayForks", SD_BUS_ARGS("u", pid, "i", signal, "a{sv}", options),
				SD_BUS_NO_RESULT, method_relay_forks, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"RelayForksPidfd", SD_BUS_ARGS("h", pidfd, "i", signal, "a{sv}", options),
		SD_BUS_NO_RESULT, method_relay_forks_pidfd, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("StopRelay", SD_BUS_ARGS("u", pid), SD_BUS_NO_RESULT,
				method_stop_relay, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListRelays", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(uiut)", relays),
				method_list_relays, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SubscribeProcessWarnings", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_NO_RESULT, method_subscribe_process_warnings,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("ProcessWarning",
				SD_BUS_ARGS("t", id, "t", realtime_usec, "s", code, "s", severity,
					    "u", pid, "u", uid, "a{sv}", details),
				0),
	SD_BUS_PROPERTY("Version", "s", property_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Sources", "a{ss}", property_get_sources, 0, 0),
	SD_BUS_PROPERTY("Limits", "a{st}", property_get_limits, 0, 0),
	SD_BUS_PROPERTY("Statistics", "a{st}", property_get_statistics, 0, 0),
	SD_BUS_VTABLE_END
};

int manager_object_add(struct bus *bus, sd_bus *sd)
{
	int r;

	r = sd_bus_add_object_vtable(sd, NULL, BUS_PATH_ROOT, BUS_IFACE_MANAGER, manager_vtable,
				     bus);
	if (r < 0)
		return r;
	return sd_bus_add_object_manager(sd, NULL, BUS_PATH_ROOT);
}
