/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/escape.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/standard.h"
#include "daemon/names.h"

void client_mount_points_free(char **mount_points, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(mount_points[i]);
	free(mount_points);
}

static void strv_free(char **strings)
{
	for (char **at = strings; at && *at; at++)
		free(*at);
	free(strings);
}

static void client_filesystem_deinit(struct client_filesystem *fs)
{
	for (size_t i = 0; i < fs->n_thresholds; i++) {
		free(fs->thresholds[i].name);
		free(fs->thresholds[i].resource);
		free(fs->thresholds[i].severity);
	}
	free(fs->thresholds);
	client_mount_points_free(fs->mount_points, fs->n_mount_points);
	strv_free(fs->crossed);
	strv_free(fs->events);
	strv_free(fs->capabilities);
	feed_event_deinit(&fs->last_event);
	free(fs->path);
	free(fs->type);
	free(fs->source);
	free(fs->where);
	free(fs->read_only_reason);
	free(fs->state);
	free(fs->usage_error);
}

void client_filesystems_deinit(struct client_filesystems *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		client_filesystem_deinit(&list->items[i]);
	free(list->items);
	*list = (struct client_filesystems){};
}

int client_resolve(sd_bus *bus, const char *where, char **ret_path)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_free_ char *absolute = NULL, *escaped = NULL;
	const char *path;
	int r;

	if (strncmp(where, BUS_PATH_FILESYSTEM "/", sizeof(BUS_PATH_FILESYSTEM)) == 0) {
		*ret_path = strdup(where);
		return *ret_path ? CTL_DONE : client_failed(NULL, -ENOMEM, where);
	}

	if (where[0] == '/') {
		absolute = strdup(where);
	} else {
		_cleanup_free_ char *here = getcwd(NULL, 0);

		if (!here || asprintf(&absolute, "%s/%s", here, where) < 0)
			absolute = NULL;
	}
	if (!absolute)
		return client_failed(NULL, -ENOMEM, where);

	/* Names are bytes and the argument is a string: \ooo for what is not UTF-8. */
	escaped = escape_new(absolute, strlen(absolute), 0);
	if (!escaped)
		return client_failed(NULL, -ENOMEM, where);

	r = client_call(bus, CLIENT_MANAGER("GetFilesystem"), &error, &reply, "s", escaped);
	if (r < 0)
		return client_failed(&error, r, escaped);
	r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return client_failed(NULL, r, escaped);

	*ret_path = strdup(path);
	return *ret_path ? CTL_DONE : client_failed(NULL, -ENOMEM, where);
}

/* Keeps of @list only what @wheres name, in their order. */
static int client_select(sd_bus *bus, char **wheres, int n_wheres, struct client_filesystems *list)
{
	size_t n = 0;

	for (int i = 0; i < n_wheres; i++) {
		_cleanup_free_ char *path = NULL;
		size_t k;
		int r;

		r = client_resolve(bus, wheres[i], &path);
		if (r != CTL_DONE)
			return r;

		for (k = 0; k < list->n_items; k++)
			if (strcmp(list->items[k].path, path) == 0)
				break;
		if (k == list->n_items) {
			standard_error("there is no filesystem %s", path);
			return CTL_FAILED;
		}
		/* One that was named before has its place. */
		if (k >= n) {
			struct client_filesystem taken = list->items[k];

			list->items[k] = list->items[n];
			list->items[n++] = taken;
		}
	}

	for (size_t i = n; i < list->n_items; i++)
		client_filesystem_deinit(&list->items[i]);
	list->n_items = n;
	return CTL_DONE;
}

/* Those without a place come last. */
static int compare_where(const void *a, const void *b)
{
	const struct client_filesystem *x = a, *y = b;

	if (!x->where[0] != !y->where[0])
		return x->where[0] ? -1 : 1;
	return strcmp(x->where, y->where) ?: strcmp(x->path, y->path);
}

int client_filesystems(sd_bus *bus, char **wheres, int n_wheres, struct client_filesystems *ret)
{
	static const struct client_method get_objects = {
		BUS_PATH_ROOT,
		"org.freedesktop.DBus.ObjectManager",
		"GetManagedObjects",
	};
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(client_filesystems_deinit) struct client_filesystems list = {};
	int r;

	r = client_call(bus, &get_objects, &error, &reply, NULL);
	if (r < 0)
		return client_failed(&error, r, "cannot ask for the filesystems");

	r = client_read_objects(reply, &list);
	if (r < 0)
		return client_failed(NULL, r, "cannot read the filesystems");

	if (list.n_items > 1)
		qsort(list.items, list.n_items, sizeof(*list.items), compare_where);
	if (n_wheres > 0) {
		r = client_select(bus, wheres, n_wheres, &list);
		if (r != CTL_DONE)
			return r;
	}

	*ret = list;
	list = (struct client_filesystems){};
	return CTL_DONE;
}
