/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/dirnotify.h"
#include "daemon/agent/folders-internal.h"
#include "daemon/core/change.h"
#include "daemon/names.h"
#include "include/fsevents_stream.h"

/* Soon enough for who looks, and late enough that a copy of many files is few signals. */
#define LATENCY_US 200000

static void tell(struct folder *folder, int (*what)(struct dirnotify *dirnotify))
{
	struct dirnotify dirnotify = { .bus = folder->folders->session, .folder = folder->path };

	(void)what(&dirnotify);
	(void)dirnotify_flush(&dirnotify);
}

static int on_watched(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct folder *folder = userdata;
	const char *watch;

	folder->call = sd_bus_slot_unref(folder->call);
	if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "o", &watch) >= 0)
		folder->watch = strdup(watch);
	folder->state = folder->watch ? FOLDER_WATCHED : FOLDER_FAILED;
	if (folder->dropped) {
		folder_drop(folder);
		return 0;
	}
	if (folder->list_again)
		tell(folder, dirnotify_list_again);
	folder->list_again = false;
	return 0;
}

static int ask(struct folder *folder, int fd)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	sd_bus *bus = folder->folders->daemon;
	int r;

	r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH_ROOT, BUS_IFACE_MANAGER,
					   "Watch");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		r = sd_bus_message_append(m, "h", fd);
	if (r >= 0)
		r = sd_bus_message_append(m, "as", 9, "create", "delete", "move", "attrib",
					  "close-write", "delete-self", "move-self", "mount",
					  "unmount");
	if (r >= 0)
		r = sd_bus_message_append(m, "a{sv}", 1, "latency-usec", "t", (uint64_t)LATENCY_US);
	if (r >= 0)
		r = sd_bus_call_async(bus, &folder->call, m, on_watched, folder, 0);
	return r;
}

static void on_opened(int opened, void *userdata)
{
	_cleanup_close_ int fd = opened;
	struct folder *folder = userdata;

	folder->opener = opener_free(folder->opener);
	folder->state = FOLDER_FAILED;
	if (fd >= 0 && ask(folder, fd) >= 0)
		folder->state = FOLDER_ASKING;
}

void folder_watch(struct folder *folder)
{
	struct folders *folders = folder->folders;
	int r;

	if (folder->state != FOLDER_WAITING || folder->dropped || !folders->daemon)
		return;
	r = opener_start(&folder->opener, &folders->pool, folder->path, on_opened, folder);
	if (r >= 0)
		folder->state = FOLDER_OPENING;
	else if (r != -EAGAIN)
		folder->state = FOLDER_FAILED;
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	return 0;
}

void folder_unwatch(struct folder *folder)
{
	_cleanup_free_ char *watch = TAKE_PTR(folder->watch);
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	if (!watch)
		return;
	/*
	 * Where the daemon was another one, there is none of this name. An answer is
	 * asked for all the same: calls of users that want none are not carried out.
	 */
	r = sd_bus_message_new_method_call(folder->folders->daemon, &m, BUS_NAME, watch,
					   BUS_IFACE_WATCH, "Remove");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		(void)sd_bus_call_async(folder->folders->daemon, NULL, m, on_removed, NULL, 0);
}

/* Another object may be at its path now, or none. */
static void folder_look_again(struct folder *folder)
{
	folder_unwatch(folder);
	folder->state = FOLDER_WAITING;
	folder->list_again = true;
	folders_watch_soon(folder->folders);
}

/* Return: 1, 0 at the end, or a negative errno. */
static int read_change(sd_bus_message *m, struct change *ret)
{
	const void *name, *former;
	size_t n_name, n_former;
	int r;

	*ret = (struct change){};
	r = sd_bus_message_enter_container(m, 'r', "uayayuttt");
	if (r <= 0)
		return r;
	r = sd_bus_message_read(m, "u", &ret->mask);
	if (r >= 0)
		r = sd_bus_message_read_array(m, 'y', &name, &n_name);
	if (r >= 0)
		r = sd_bus_message_read_array(m, 'y', &former, &n_former);
	if (r >= 0)
		r = sd_bus_message_skip(m, "uttt");
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0)
		return r;
	ret->name = name;
	ret->n_name = n_name ? strnlen(name, n_name) : 0;
	ret->former = former;
	ret->n_former = n_former ? strnlen(former, n_former) : 0;
	return 1;
}

static int take_changes(struct folder *folder, sd_bus_message *m)
{
	struct dirnotify dirnotify = { .bus = folder->folders->session, .folder = folder->path };
	uint32_t self = 0;
	size_t n = 0;
	struct change change;
	int r, sent;

	r = sd_bus_message_skip(m, "t");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(uayayuttt)");
	while (r >= 0 && (r = read_change(m, &change)) > 0) {
		if (change.n_name == 0)
			self |= change.mask;
		else if (++n <= DIRNOTIFY_CHANGES_MAX)
			r = dirnotify_take(&dirnotify, &change);
	}
	if (r >= 0 && n > DIRNOTIFY_CHANGES_MAX)
		r = dirnotify_list_again(&dirnotify);
	if (r >= 0 && self & FSEVENTS_DELETE_SELF)
		r = dirnotify_folder_gone(&dirnotify);
	sent = dirnotify_flush(&dirnotify);

	if (self & (FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF | FSEVENTS_MOUNT | FSEVENTS_UNMOUNT))
		folder_look_again(folder);
	return r < 0 ? r : sent;
}

static int on_changes(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct folders *folders = userdata;
	const char *path = sd_bus_message_get_path(m);
	struct folder *folder = path ? folders_find_watch(folders, path) : NULL;
	int r = 0;

	if (!folder || folder->dropped)
		return 0;
	if (sd_bus_message_is_signal(m, BUS_IFACE_WATCH, "Changed"))
		r = take_changes(folder, m);
	else if (sd_bus_message_is_signal(m, BUS_IFACE_WATCH, "Lost"))
		tell(folder, dirnotify_list_again);
	if (r < 0 && !folders->told) {
		agent_log("cannot tell what changes in folders: %s", strerror(-r));
		folders->told = true;
	}
	return 0;
}

int folders_follow(struct folders *folders)
{
	return sd_bus_add_match_async(folders->daemon, &folders->changes,
				      "type='signal',sender='" BUS_NAME
				      "',interface='" BUS_IFACE_WATCH
				      "',path_namespace='" BUS_PATH_WATCH "'",
				      on_changes, NULL, folders);
}
