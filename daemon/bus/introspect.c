/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/bus/bus-internal.h"

/*
 * sd-bus gives introspection data only in answer to a call. So both ends of a
 * conversation are made here, without a bus between them.
 */

static const sd_id128_t server_id =
	SD_ID128_MAKE(66, 73, 65, 76, 65, 6e, 74, 73, 69, 6e, 74, 72, 6f, 73, 70, 65);

static void bus_closep(sd_bus **sd)
{
	if (*sd)
		sd_bus_close(*sd);
	*sd = sd_bus_unref(*sd);
}

static int connect_pair(sd_bus **ret_server, sd_bus **ret_client)
{
	_cleanup_(bus_closep) sd_bus *server = NULL;
	_cleanup_(bus_closep) sd_bus *client = NULL;
	int pair[2];
	int r;

	if (sd_bus_new(&server) < 0 || sd_bus_new(&client) < 0)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;

	/* Each takes its end over. */
	(void)sd_bus_set_fd(server, pair[0], pair[0]);
	(void)sd_bus_set_fd(client, pair[1], pair[1]);
	(void)sd_bus_set_server(server, true, server_id);
	(void)sd_bus_set_anonymous(server, true);
	(void)sd_bus_set_anonymous(client, true);

	r = sd_bus_start(server);
	if (r < 0)
		return r;
	r = sd_bus_start(client);
	if (r < 0)
		return r;

	*ret_server = TAKE_PTR(server);
	*ret_client = TAKE_PTR(client);
	return 0;
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	char **ret = userdata;
	const char *text;

	if (sd_bus_message_is_method_error(answer, NULL) ||
	    sd_bus_message_read(answer, "s", &text) < 0)
		return 0;
	*ret = strdup(text);
	return 0;
}

static int ask(char **ret, sd_bus *server, sd_bus *client, const char *path)
{
	int r;

	r = sd_bus_call_method_async(client, NULL, NULL, path,
				     "org.freedesktop.DBus.Introspectable", "Introspect", on_answer,
				     ret, NULL);
	if (r < 0)
		return r;

	/* Each step of either makes progress until the answer is there. */
	while (!*ret) {
		int n_server = sd_bus_process(server, NULL);
		int n_client = sd_bus_process(client, NULL);

		if (n_server < 0 || n_client < 0)
			return n_server < 0 ? n_server : n_client;
		if (n_server == 0 && n_client == 0 && !*ret)
			return -EPROTO;
	}
	return 0;
}

/* The one interface of ours in what sd-bus says of an object. */
static int print_interface(FILE *file, const char *text, const char *interface)
{
	static const char end[] = "</interface>\n";
	char start[128];
	const char *from, *to;

	snprintf(start, sizeof(start), " <interface name=\"%s\">", interface);
	from = strstr(text, start);
	to = from ? strstr(from, end) : NULL;
	if (!to)
		return -EPROTO;

	to += strlen(end);
	return fwrite(from, 1, (size_t)(to - from), file) == (size_t)(to - from) ? 0 : -EIO;
}

int bus_introspect(FILE *file)
{
	static const char object[] = BUS_PATH_FILESYSTEM "/0_0_0", one[] = BUS_PATH_GROUP "/0",
			  other[] = BUS_PATH_WATCH "/0";
	_cleanup_(bus_closep) sd_bus *server = NULL;
	_cleanup_(bus_closep) sd_bus *client = NULL;
	_cleanup_free_ char *manager = NULL;
	_cleanup_free_ char *filesystem = NULL;
	_cleanup_free_ char *group = NULL;
	_cleanup_free_ char *watch = NULL;
	int r;

	r = connect_pair(&server, &client);
	if (r < 0)
		return r;
	r = sd_bus_add_object_vtable(server, NULL, BUS_PATH_ROOT, BUS_IFACE_MANAGER, manager_vtable,
				     NULL);
	if (r < 0)
		return r;
	r = sd_bus_add_object_vtable(server, NULL, object, BUS_IFACE_FILESYSTEM, filesystem_vtable,
				     NULL);
	if (r < 0)
		return r;
	r = sd_bus_add_object_vtable(server, NULL, one, BUS_IFACE_GROUP, group_vtable, NULL);
	if (r < 0)
		return r;
	r = sd_bus_add_object_vtable(server, NULL, other, BUS_IFACE_WATCH, watch_vtable, NULL);
	if (r < 0)
		return r;

	r = ask(&manager, server, client, BUS_PATH_ROOT);
	if (r < 0)
		return r;
	r = ask(&filesystem, server, client, object);
	if (r < 0)
		return r;
	r = ask(&group, server, client, one);
	if (r < 0)
		return r;
	r = ask(&watch, server, client, other);
	if (r < 0)
		return r;

	if (fputs("<node>\n", file) < 0)
		return -EIO;
	r = print_interface(file, manager, BUS_IFACE_MANAGER);
	if (r < 0)
		return r;
	r = print_interface(file, filesystem, BUS_IFACE_FILESYSTEM);
	if (r < 0)
		return r;
	r = print_interface(file, group, BUS_IFACE_GROUP);
	if (r < 0)
		return r;
	r = print_interface(file, watch, BUS_IFACE_WATCH);
	if (r < 0)
		return r;
	return fputs("</node>\n", file) < 0 ? -EIO : 0;
}
