/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/standard.h"
#include "daemon/ctl/track-signal.h"

#define GROUP_METHOD(_feed, _member)                                                               \
	(&(const struct client_method){ (_feed)->path, BUS_IFACE_GROUP, (_member) })

/* One (uuutiay). Return: 1, 0 at the end, or a negative errno. */
static int read_event(sd_bus_message *m, struct track_event *ret)
{
	const void *file;
	int r;

	r = sd_bus_message_enter_container(m, 'r', "uuutiay");
	if (r <= 0)
		return r;
	r = sd_bus_message_read(m, "uuuti", &ret->kind, &ret->pid, &ret->other, &ret->realtime_us,
				&ret->status);
	if (r < 0)
		return r;
	r = sd_bus_message_read_array(m, 'y', &file, &ret->n_file);
	if (r < 0)
		return r;
	ret->file = file ?: "";
	ret->n_file = strnlen(ret->file, ret->n_file);
	r = sd_bus_message_exit_container(m);
	return r < 0 ? r : 1;
}

static int take_changed(struct track_feed *feed, sd_bus_message *m)
{
	struct track_event event = {};
	uint64_t seq;
	int r;

	r = sd_bus_message_read(m, "t", &seq);
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(m, 'a', "(uuutiay)");
	if (r < 0)
		return r;
	while ((r = read_event(m, &event)) > 0) {
		event.seq = seq++;
		tree_event(feed->tree, &event);
	}
	return r;
}

static int take_lost(struct track_feed *feed, sd_bus_message *m)
{
	uint64_t count;
	int r;

	r = sd_bus_message_read(m, "t", &count);
	if (r >= 0)
		tree_lost(feed->tree, count);
	return r;
}

/* The value of one total, or of the property of that name. */
static int read_total(sd_bus_message *m, const char *key, struct track_totals *totals)
{
	const struct {
		const char *key, *property;
		uint64_t *value;
		bool accounting;
	} numbers[] = {
		{ "forks", "Forks", &totals->forks, false },
		{ "execs", "Execs", &totals->execs, false },
		{ "exits", "Exits", &totals->exits, false },
		{ "lost", "Lost", &totals->lost, false },
		{ "user-usec", "UserUsec", &totals->user_us, true },
		{ "system-usec", "SystemUsec", &totals->system_us, true },
		{ "read-bytes", "ReadBytes", &totals->read_bytes, true },
		{ "write-bytes", "WriteBytes", &totals->write_bytes, true },
		{ "peak-rss", "PeakRss", &totals->peak_rss_kib, true },
	};
	int incomplete, r;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(numbers[i].key, key) != 0 && strcmp(numbers[i].property, key) != 0)
			continue;
		totals->accounting |= numbers[i].accounting;
		return sd_bus_message_read(m, "v", "t", numbers[i].value);
	}
	if (strcmp(key, "leader") == 0 || strcmp(key, "Leader") == 0)
		return sd_bus_message_read(m, "v", "u", &totals->leader);
	if (strcmp(key, "incomplete") == 0 || strcmp(key, "Incomplete") == 0) {
		r = sd_bus_message_read(m, "v", "b", &incomplete);
		totals->incomplete = r >= 0 && incomplete;
		return r;
	}
	return sd_bus_message_skip(m, "v");
}

static int read_totals(sd_bus_message *m, struct track_totals *ret)
{
	int r;

	*ret = (struct track_totals){};
	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		const char *key;

		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0)
			r = read_total(m, key, ret);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	return r;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct track_feed *feed = userdata;
	const char *sender = sd_bus_message_get_sender(m), *path = sd_bus_message_get_path(m);
	int r = 0;

	if (!sender || strcmp(sender, feed->sender) != 0 || !path || strcmp(path, feed->path) != 0)
		return 0;

	if (sd_bus_message_is_signal(m, BUS_IFACE_GROUP, "Changed")) {
		r = take_changed(feed, m);
	} else if (sd_bus_message_is_signal(m, BUS_IFACE_GROUP, "Lost")) {
		r = take_lost(feed, m);
	} else if (sd_bus_message_is_signal(m, BUS_IFACE_GROUP, "Empty")) {
		r = read_totals(m, &feed->totals);
		feed->has_totals = r >= 0;
		feed->live = false;
	}
	if (r < 0)
		standard_error("cannot read what the daemon tells: %s", strerror(-r));
	return 0;
}

static void feed_left(struct track_feed *feed)
{
	standard_error("the daemon left");
	feed->live = false;
	feed->left = true;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct track_feed *feed = userdata;

	/* That ends by itself, behind what was told before. */
	if (feed->stream < 0)
		feed_left(feed);
	return 0;
}

static int listen(struct track_feed *feed, const char *sender)
{
	char rule[512];
	int r;

	feed->sender = strdup(sender);
	if (!feed->sender)
		return -ENOMEM;
	snprintf(rule, sizeof(rule),
		 "type='signal',sender='org.freedesktop.DBus',"
		 "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
		 sender);
	r = sd_bus_add_match(feed->bus, &feed->owner, rule, on_owner_changed, feed);
	if (r < 0)
		return r;
	return sd_bus_add_filter(feed->bus, &feed->filter, on_message, feed);
}

/* Those that are there already. */
static int read_members(struct track_feed *feed, sd_bus_message *m, uint32_t leader)
{
	uint64_t next_seq, start_ticks;
	uint32_t pid;
	int r;

	tree_member(feed->tree, leader);
	r = sd_bus_message_read(m, "t", &next_seq);
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(m, 'a', "(ut)");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(m, "(ut)", &pid, &start_ticks)) > 0)
		if (pid != leader)
			tree_member(feed->tree, pid);
	return r;
}

static int track(struct track_feed *feed, uint32_t pid, int pidfd, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *path;
	int r;

	if (pidfd >= 0)
		r = client_call(feed->bus, CLIENT_PERMITTED("TrackPidfd"), error, &reply, "ha{sv}",
				pidfd, 3, "events", "as", 3, "fork", "exec", "exit", "accounting",
				"b", 1, "hold", "b", 1);
	else
		r = client_call(feed->bus, CLIENT_PERMITTED("TrackProcess"), error, &reply,
				"ua{sv}", pid, 3, "events", "as", 3, "fork", "exec", "exit",
				"accounting", "b", 1, "hold", "b", 1);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return r;
	feed->path = strdup(path);
	if (!feed->path)
		return -ENOMEM;
	return listen(feed, sd_bus_message_get_sender(reply));
}

int track_feed_open(struct track_feed *feed, sd_bus *bus, uint32_t pid, int pidfd,
		    struct tree *tree)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *members = NULL;
	int r;

	*feed = (struct track_feed){ .bus = bus, .tree = tree, .stream = -1 };
	r = track(feed, pid, pidfd, &error);
	if (r >= 0)
		r = client_call(bus, GROUP_METHOD(feed, "ListMembers"), &error, &members, "a{sv}",
				0);
	if (r >= 0)
		r = read_members(feed, members, pid);
	if (r >= 0)
		r = track_stream_open(feed);
	if (r == TRACK_STREAM_E_REFUSED)
		r = client_call(bus, GROUP_METHOD(feed, "Start"), &error, NULL, NULL);
	if (r < 0)
		return client_failed(&error, r, "cannot follow the process");

	feed->live = true;
	return CTL_DONE;
}

static void process_stream(struct track_feed *feed)
{
	int r = track_stream_take(feed);

	if (r < 0) {
		standard_error("cannot read what the daemon tells: %s", strerror(-r));
		feed->live = false;
		feed->left = true;
	} else if (!feed->live && !feed->has_totals) {
		feed_left(feed);
	}
}

void track_feed_process(struct track_feed *feed)
{
	int r = 1;

	if (feed->live && feed->stream >= 0)
		process_stream(feed);
	while (feed->live && r > 0)
		r = sd_bus_process(feed->bus, NULL);
	if (r < 0)
		feed_left(feed);
}

bool track_feed_ask(struct track_feed *feed)
{
	const struct client_method get_all = {
		feed->path,
		"org.freedesktop.DBus.Properties",
		"GetAll",
	};
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	return client_call(feed->bus, &get_all, &error, &reply, "s", BUS_IFACE_GROUP) >= 0 &&
	       read_totals(reply, &feed->totals) >= 0;
}

void track_feed_deinit(struct track_feed *feed)
{
	sd_bus_slot_unref(feed->filter);
	sd_bus_slot_unref(feed->owner);
	free(feed->path);
	free(feed->sender);
	if (feed->stream >= 0)
		close(feed->stream);
}
