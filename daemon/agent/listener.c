/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/listener-internal.h"
#include "daemon/ctl/client.h"

#define RETRY_MAX_US (30 * 1000 * 1000ULL)

static int listener_connect(struct listener *listener);
static void listener_open(struct listener *listener);
static int on_retry(sd_event_source *source, uint64_t usec, void *userdata);

int listener_arm(struct listener *listener, sd_event_source **source, uint64_t delay_us,
		 sd_event_time_handler_t handler)
{
	int r;

	if (!*source)
		return sd_event_add_time_relative(listener->loop, source, CLOCK_MONOTONIC, delay_us,
						  0, handler, listener);
	r = sd_event_source_set_time_relative(*source, delay_us);
	return r < 0 ? r : sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
}

void listener_retry(struct listener *listener)
{
	int r = listener_arm(listener, &listener->retry, listener->retry_us, on_retry);

	if (r < 0)
		agent_log("cannot set a timer: %s", strerror(-r));
	listener->retry_us *= 2;
	if (listener->retry_us > RETRY_MAX_US)
		listener->retry_us = RETRY_MAX_US;
}

static void listener_answer(struct listener *listener, struct client_filesystems *list)
{
	if (!listener->wanted)
		return;
	listener->wanted = false;
	listener->ops->objects(list, listener->refreshed_id, listener->userdata);
}

static void listener_disconnect(struct listener *listener)
{
	listener_close_stream(listener);
	listener->open_slot = sd_bus_slot_unref(listener->open_slot);
	listener->refresh_slot = sd_bus_slot_unref(listener->refresh_slot);
	if (listener->bus)
		sd_bus_detach_event(listener->bus);
	listener->bus = sd_bus_close_unref(listener->bus);
	listener->cut_off = false;
}

static int on_opened(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct listener *listener = userdata;
	const sd_bus_error *error = sd_bus_message_get_error(m);
	int r;

	listener->open_slot = sd_bus_slot_unref(listener->open_slot);
	if (error) {
		bool is_gone = client_is_gone(error, 0);

		if (!listener->told && is_gone)
			agent_log("fseventsd does not run; waiting for it");
		else if (!listener->told)
			agent_log("cannot follow events: %s", error->message);
		listener->told = true;
		/* One that is not there is waited for without a timer. */
		if (!is_gone)
			listener_retry(listener);
		return 0;
	}

	r = listener_begin(listener, m);
	if (r < 0) {
		agent_log("cannot follow events: %s", strerror(-r));
		listener_close_stream(listener);
		listener_retry(listener);
	}
	return 0;
}

static int listener_call(struct listener *listener, sd_bus_slot **ret, sd_bus_message *m,
			 sd_bus_message_handler_t handler)
{
	int r = sd_bus_message_set_auto_start(m, false);

	return r < 0 ? r : sd_bus_call_async(listener->bus, ret, m, handler, listener, 0);
}

static void listener_open(struct listener *listener)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(listener->bus, &m, BUS_NAME, BUS_PATH_ROOT,
					   BUS_IFACE_MANAGER, "OpenEvents");
	if (r >= 0)
		r = sd_bus_message_append(m, "ta{sv}", listener->since, 0);
	if (r >= 0)
		r = listener_call(listener, &listener->open_slot, m, on_opened);
	if (r < 0)
		listener_retry(listener);
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	_cleanup_(client_filesystems_deinit) struct client_filesystems list = {};
	struct listener *listener = userdata;
	bool is_good;

	listener->refresh_slot = sd_bus_slot_unref(listener->refresh_slot);
	is_good = !sd_bus_message_is_method_error(m, NULL) && client_read_objects(m, &list) >= 0;
	listener_answer(listener, is_good ? &list : NULL);
	return 0;
}

static int on_no_list(sd_event_source *source, void *userdata)
{
	struct listener *listener = userdata;

	if (!listener->refresh_slot)
		listener_answer(listener, NULL);
	return 0;
}

void listener_refresh(struct listener *listener)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = -ENOTCONN;

	if (listener->wanted)
		return;
	listener->wanted = true;
	listener->refreshed_id = listener->since;
	if (listener->bus && !listener->cut_off)
		r = sd_bus_message_new_method_call(listener->bus, &m, BUS_NAME, BUS_PATH_ROOT,
						   "org.freedesktop.DBus.ObjectManager",
						   "GetManagedObjects");
	if (r >= 0)
		r = listener_call(listener, &listener->refresh_slot, m, on_listed);
	if (r >= 0)
		return;
	/* Never from within the call. */
	listener->no_list = sd_event_source_disable_unref(listener->no_list);
	r = sd_event_add_defer(listener->loop, &listener->no_list, on_no_list, listener);
	if (r < 0)
		agent_log("cannot go on: %s", strerror(-r));
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct listener *listener = userdata;

	if (listener->cut_off) {
		listener_disconnect(listener);
		listener_answer(listener, NULL);
	}
	if (!listener->bus)
		(void)listener_connect(listener);
	else if (listener->fd < 0 && !listener->open_slot)
		listener_open(listener);
	return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct listener *listener = userdata;
	const char *name, *former, *owner;

	if (sd_bus_message_read(m, "sss", &name, &former, &owner) < 0 || !owner[0])
		return 0;
	/* What came of the one before is read to its end first. */
	listener->retry_us = LISTENER_RETRY_MIN_US;
	if (listener->fd < 0 && !listener->open_slot)
		listener_open(listener);
	return 0;
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct listener *listener = userdata;

	listener->ops->changed(listener->userdata);
	return 0;
}

/* The connection is let go from the loop, not from its own callback. */
static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct listener *listener = userdata;

	listener->cut_off = true;
	listener_retry(listener);
	return 0;
}

static int listener_match(struct listener *listener)
{
	static const struct {
		const char *rule;
		sd_bus_message_handler_t handler;
	} matches[] = {
		{ "type='signal',sender='org.freedesktop.DBus',"
		  "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" BUS_NAME "'",
		  on_owner },
		{ "type='signal',sender='" BUS_NAME "',"
		  "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
		  "path_namespace='" BUS_PATH_FILESYSTEM "'",
		  on_changed },
		{ "type='signal',sender='" BUS_NAME "',path='" BUS_PATH_ROOT "',"
		  "interface='org.freedesktop.DBus.ObjectManager'",
		  on_changed },
		{ "type='signal',sender='org.freedesktop.DBus.Local',"
		  "interface='org.freedesktop.DBus.Local',member='Disconnected'",
		  on_disconnected },
	};

	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		int r = sd_bus_add_match_async(listener->bus, NULL, matches[i].rule,
					       matches[i].handler, NULL, listener);

		if (r < 0)
			return r;
	}
	return 0;
}

static int listener_connect(struct listener *listener)
{
	int r;

	assert(!listener->bus);

	r = client_connect(&listener->bus, listener->address);
	if (r >= 0)
		r = sd_bus_attach_event(listener->bus, listener->loop, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = listener_match(listener);
	if (r < 0) {
		if (!listener->told)
			agent_log("cannot connect to the bus \"%s\": %s; trying again",
				  listener->address, strerror(-r));
		listener->told = true;
		listener_disconnect(listener);
		listener_retry(listener);
		return r;
	}
	listener_open(listener);
	return 0;
}

int listener_new(struct listener **ret, sd_event *loop, const char *address,
		 const struct listener_ops *ops, void *userdata)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return -ENOMEM;
	listener->loop = sd_event_ref(loop);
	listener->address = address;
	listener->ops = ops;
	listener->userdata = userdata;
	listener->fd = -1;
	listener->retry_us = LISTENER_RETRY_MIN_US;
	*ret = listener;
	return 0;
}

struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;
	listener_disconnect(listener);
	sd_event_source_disable_unref(listener->retry);
	sd_event_source_disable_unref(listener->patience);
	sd_event_source_disable_unref(listener->no_list);
	sd_event_unref(listener->loop);
	free(listener);
	return NULL;
}

int listener_start(struct listener *listener, uint64_t since, const char *epoch)
{
	listener->since = since;
	snprintf(listener->epoch, sizeof(listener->epoch), "%s", epoch);
	(void)listener_connect(listener);
	return 0;
}

uint64_t listener_seen(const struct listener *listener, const char **ret_epoch)
{
	*ret_epoch = listener->epoch;
	return listener->since;
}

bool listener_is_following(const struct listener *listener)
{
	return listener->greeted && !listener->behind;
}

sd_bus *listener_bus(const struct listener *listener)
{
	return listener->bus;
}
