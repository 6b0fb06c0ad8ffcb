/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/selection.h"
#include "daemon/names.h"

struct selected {
	char *where; /* its mount point in bytes; NULL when it has none */
	char path[FS_PATH_MAX];
	/* Before the last mount or restart: the history still tells of it. */
	char former[FS_PATH_MAX];
};

void selection_deinit(struct selection *selection)
{
	for (int i = 0; i < selection->n_items; i++)
		free(selection->items[i].where);
	free(selection->items);
	*selection = (struct selection){};
}

struct places {
	char **items;
	size_t n_items;
};

static void places_deinit(struct places *places)
{
	client_mount_points_free(places->items, places->n_items);
}

static int read_places(sd_bus *bus, const char *path, sd_bus_error *error, struct places *ret)
{
	const struct client_method get = { path, "org.freedesktop.DBus.Properties", "Get" };
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = client_call(bus, &get, error, &reply, "ss", BUS_IFACE_FILESYSTEM, "MountPoints");
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'v', "aay");
	return r < 0 ? r : client_read_mount_points(reply, &ret->items, &ret->n_items);
}

static bool places_have(const struct places *places, const char *where)
{
	for (size_t i = 0; i < places->n_items; i++)
		if (strcmp(places->items[i], where) == 0)
			return true;
	return false;
}

static int selected_init(struct selected *selected, sd_bus *bus, const char *where)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(places_deinit) struct places places = {};
	_cleanup_free_ char *path = NULL;
	const char *place = NULL;
	int r;

	r = client_resolve(bus, where, &path);
	if (r != CTL_DONE)
		return r;
	r = read_places(bus, path, &error, &places);
	if (r < 0)
		return client_failed(&error, r, path);

	if (places_have(&places, where))
		place = where;
	else if (places.n_items > 0)
		place = places.items[0];
	if (place) {
		selected->where = strdup(place);
		if (!selected->where)
			return client_failed(NULL, -ENOMEM, where);
	}
	snprintf(selected->path, sizeof(selected->path), "%s", path);
	return CTL_DONE;
}

int selection_init(struct selection *ret, sd_bus *bus, char **wheres, int n_wheres)
{
	_cleanup_(selection_deinit) struct selection selection = {};

	selection.items = calloc((size_t)n_wheres + 1, sizeof(*selection.items));
	if (!selection.items)
		return client_failed(NULL, -ENOMEM, "monitor");
	for (int i = 0; i < n_wheres; i++) {
		int r = selected_init(&selection.items[selection.n_items++], bus, wheres[i]);

		if (r != CTL_DONE)
			return r;
	}

	*ret = selection;
	selection = (struct selection){};
	return CTL_DONE;
}

static void selected_move(struct selected *selected, const char *path)
{
	if (strcmp(selected->path, path) == 0)
		return;
	memcpy(selected->former, selected->path, sizeof(selected->former));
	snprintf(selected->path, sizeof(selected->path), "%s", path);
}

static void selected_renew(struct selected *selected, sd_bus *bus)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(places_deinit) struct places places = {};
	_cleanup_free_ char *escaped = NULL;
	const char *path;

	if (selected->where)
		escaped = escape_new(selected->where, strlen(selected->where), 0);
	if (!escaped)
		return;

	if (client_call(bus, CLIENT_MANAGER("GetFilesystem"), &error, &reply, "s", escaped) < 0 ||
	    sd_bus_message_read(reply, "o", &path) < 0)
		return;
	/* The longest prefix may be the filesystem below, which was not asked for. */
	if (read_places(bus, path, &error, &places) >= 0 && places_have(&places, selected->where))
		selected_move(selected, path);
}

void selection_renew(struct selection *selection, sd_bus *bus)
{
	for (int i = 0; i < selection->n_items; i++)
		selected_renew(&selection->items[i], bus);
}

static bool is_mounted_at(const struct feed_event *told, const char *where)
{
	struct detail detail;

	return where && told->event.code == EVENT_MOUNTED &&
	       details_find(&told->event.details, "where", &detail) &&
	       detail.type == DETAIL_BYTES && detail.n_value == strlen(where) &&
	       memcmp(detail.value, where, detail.n_value) == 0;
}

bool selection_takes(struct selection *selection, const struct feed_event *told)
{
	bool takes = selection->n_items == 0;

	for (int i = 0; i < selection->n_items; i++) {
		struct selected *selected = &selection->items[i];

		if (is_mounted_at(told, selected->where))
			selected_move(selected, told->path);
		if (strcmp(selected->path, told->path) == 0 ||
		    strcmp(selected->former, told->path) == 0)
			takes = true;
	}
	return takes;
}
