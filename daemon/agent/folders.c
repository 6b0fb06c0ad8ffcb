/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/folders-internal.h"
#include "daemon/core/file-url.h"
#include "daemon/names.h"

/* Until the daemon has said how many watches the user may have. */
#define LIMIT_UNKNOWN 16

static struct folder *folder_free(struct folder *folder)
{
	if (!folder)
		return NULL;
	opener_free(folder->opener);
	sd_bus_slot_unref(folder->call);
	sd_bus_track_unref(folder->viewers);
	free(folder->watch);
	free(folder->path);
	free(folder);
	return NULL;
}
DEFINE_FREEP(folder, folder_free);

struct folder *folders_find(struct folders *folders, const char *path)
{
	for (size_t i = 0; i < folders->n_items; i++)
		if (!folders->items[i]->dropped && strcmp(folders->items[i]->path, path) == 0)
			return folders->items[i];
	return NULL;
}

struct folder *folders_find_watch(struct folders *folders, const char *watch)
{
	for (size_t i = 0; i < folders->n_items; i++)
		if (folders->items[i]->watch && strcmp(folders->items[i]->watch, watch) == 0)
			return folders->items[i];
	return NULL;
}

void folder_drop(struct folder *folder)
{
	struct folders *folders = folder->folders;

	folder->dropped = true;
	folder->opener = opener_free(folder->opener);
	if (folder->call)
		return;
	folder_unwatch(folder);
	for (size_t i = 0; i < folders->n_items; i++) {
		if (folders->items[i] != folder)
			continue;
		folders->n_items--;
		memmove(folders->items + i, folders->items + i + 1,
			(folders->n_items - i) * sizeof(*folders->items));
		break;
	}
	folder_free(folder);
}

static int on_no_viewer(sd_bus_track *track, void *userdata)
{
	struct folder *folder = userdata;

	folders_plan_keep(folder->folders);
	folder_drop(folder);
	return 0;
}

/* What is looked at now counts more than what was looked at first. */
static void folders_make_room(struct folders *folders, size_t limit)
{
	size_t n = 0;

	for (size_t i = folders->n_items; i-- > 0;)
		if (!folders->items[i]->dropped && ++n > limit)
			folder_drop(folders->items[i]);
}

int folders_add(struct folders *folders, const char *path, struct folder **ret)
{
	_cleanup_(folder_freep) struct folder *folder = calloc(1, sizeof(*folder));
	int r;

	if (!folder)
		return -ENOMEM;
	if (folders->limit == 0)
		return -ENOBUFS;
	folders_make_room(folders, folders->limit - 1);
	/* Full of those whose answers are on the way. */
	if (folders->n_items == FOLDERS_MAX)
		return -ENOBUFS;

	folder->folders = folders;
	folder->path = strdup(path);
	if (!folder->path)
		return -ENOMEM;
	r = sd_bus_track_new(folders->session, &folder->viewers, on_no_viewer, folder);
	if (r >= 0)
		r = sd_bus_track_set_recursive(folder->viewers, true);
	if (r < 0)
		return r;
	*ret = folders->items[folders->n_items++] = TAKE_PTR(folder);
	return 0;
}

/* Return: 0 or -EINVAL for what is no folder of this machine. */
static int read_path(sd_bus_message *m, char ret[static PATH_MAX])
{
	_cleanup_free_ char *path = NULL;
	const char *url;
	ssize_t n;

	if (sd_bus_message_read(m, "s", &url) < 0)
		return -EINVAL;
	path = malloc(strlen(url) + 1);
	if (!path)
		return -EINVAL;
	n = file_url_decode(path, url, strlen(url));
	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	if (n < 0 || n >= PATH_MAX)
		return -EINVAL;
	memcpy(ret, path, (size_t)n + 1);
	return 0;
}

static void on_entered(struct folders *folders, sd_bus_message *m, const char *path)
{
	struct folder *folder = folders_find(folders, path);
	int r = 0;

	if (!folder)
		r = folders_add(folders, path, &folder);
	if (r >= 0) {
		r = sd_bus_track_add_sender(folder->viewers, m);
		if (r < 0 && sd_bus_track_count(folder->viewers) == 0)
			folder_drop(folder);
	}
	if (r < 0)
		return;
	if (folder->state == FOLDER_FAILED)
		folder->state = FOLDER_WAITING;
	folders_watch_soon(folders);
}

static int on_announced(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct folders *folders = userdata;
	const char *member = sd_bus_message_get_member(m);
	struct folder *folder;
	char path[PATH_MAX];

	if (!member || !sd_bus_message_get_sender(m) ||
	    (strcmp(member, "enteredDirectory") != 0 && strcmp(member, "leftDirectory") != 0) ||
	    read_path(m, path) < 0)
		return 0;
	folders_plan_keep(folders);
	if (member[0] == 'e') {
		on_entered(folders, m, path);
		return 0;
	}
	folder = folders_find(folders, path);
	if (folder)
		(void)sd_bus_track_remove_sender(folder->viewers, m);
	return 0;
}

static int on_idle(sd_event_source *source, void *userdata)
{
	struct folders *folders = userdata;

	for (size_t i = folders->n_items; i-- > 0;)
		folder_watch(folders->items[i]);
	return 0;
}

void folders_watch_soon(struct folders *folders)
{
	(void)sd_event_source_set_enabled(folders->idle, SD_EVENT_ONESHOT);
}

static void on_room(void *userdata)
{
	folders_watch_soon(userdata);
}

static int on_limits(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct folders *folders = userdata;
	uint64_t value;
	const char *name;
	int r;

	folders->limits = sd_bus_slot_unref(folders->limits);
	if (sd_bus_message_is_method_error(m, NULL))
		return 0;
	r = sd_bus_message_enter_container(m, 'v', "a{st}");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{st}");
	while (r >= 0 && (r = sd_bus_message_read(m, "{st}", &name, &value)) > 0)
		if (strcmp(name, "watches-per-user") == 0)
			folders->limit = value / 2 < FOLDERS_MAX ? value / 2 : FOLDERS_MAX;
	folders_make_room(folders, folders->limit);
	return 0;
}

static void ask_limits(struct folders *folders)
{
	folders->limits = sd_bus_slot_unref(folders->limits);
	(void)sd_bus_call_method_async(folders->daemon, &folders->limits, BUS_NAME, BUS_PATH_ROOT,
				       "org.freedesktop.DBus.Properties", "Get", on_limits, folders,
				       "ss", BUS_IFACE_MANAGER, "Limits");
}

void folders_renew(struct folders *folders, sd_bus *bus)
{
	int r;

	for (size_t i = folders->n_items; i-- > 0;) {
		struct folder *folder = folders->items[i];

		/* Of what is on the way nothing more comes on a connection that is gone. */
		if (bus != folders->daemon)
			folder->call = sd_bus_slot_unref(folder->call);
		folder->opener = opener_free(folder->opener);
		folder->list_again = folder->list_again || folder->watch;
		if (!folder->call) {
			folder_unwatch(folder);
			folder->state = FOLDER_WAITING;
			if (folder->dropped)
				folder_drop(folder);
		}
	}
	if (bus != folders->daemon) {
		folders->changes = sd_bus_slot_unref(folders->changes);
		folders->limits = sd_bus_slot_unref(folders->limits);
		sd_bus_unref(folders->daemon);
		folders->daemon = sd_bus_ref(bus);
		r = folders_follow(folders);
		if (r < 0)
			agent_log("cannot follow folders: %s", strerror(-r));
	}
	ask_limits(folders);
	folders_watch_soon(folders);
}

size_t folders_count(const struct folders *folders)
{
	size_t n = 0;

	for (size_t i = 0; i < folders->n_items; i++)
		n += folders->items[i]->state == FOLDER_WATCHED;
	return n;
}

int folders_new(struct folders **ret, sd_event *loop, sd_bus *session)
{
	/* Not what is told to views: that is what is sent here. */
	static const char *const members[] = { "enteredDirectory", "leftDirectory" };
	_cleanup_(folders_freep) struct folders *folders = calloc(1, sizeof(*folders));
	int r;

	if (!folders)
		return -ENOMEM;
	folders->loop = sd_event_ref(loop);
	folders->session = sd_bus_ref(session);
	folders->limit = LIMIT_UNKNOWN;
	folders->pool = (struct opener_pool){ .loop = loop, .room = on_room, .userdata = folders };
	r = sd_event_add_defer(loop, &folders->idle, on_idle, folders);
	/* After all that was announced: of a flood only what is left of it is opened. */
	if (r >= 0)
		r = sd_event_source_set_priority(folders->idle, SD_EVENT_PRIORITY_IDLE);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		r = sd_bus_match_signal_async(session, &folders->announced[i], NULL, NULL,
					      DIRNOTIFY_IFACE, members[i], on_announced, NULL,
					      folders);
		if (r < 0)
			return r;
	}
	r = bus_id_get(&folders->id, session);
	if (r >= 0)
		r = place_new(&folders->place, loop);
	if (r < 0)
		return r;
	folders_recall(folders);
	*ret = TAKE_PTR(folders);
	return 0;
}

struct folders *folders_free(struct folders *folders)
{
	if (!folders)
		return NULL;
	if (folders->place)
		folders_keep(folders);
	for (size_t i = 0; i < folders->n_items; i++)
		folder_free(folders->items[i]);
	sd_event_source_disable_unref(folders->idle);
	sd_event_source_disable_unref(folders->keep);
	place_free(folders->place);
	sd_bus_slot_unref(folders->announced[0]);
	sd_bus_slot_unref(folders->announced[1]);
	sd_bus_slot_unref(folders->changes);
	sd_bus_slot_unref(folders->limits);
	sd_bus_unref(folders->daemon);
	sd_bus_unref(folders->session);
	sd_event_unref(folders->loop);
	free(folders);
	return NULL;
}
