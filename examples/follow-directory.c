/* SPDX-License-Identifier: GPL-2.0-or-later OR MIT */

/*
 * Prints what is created (+), deleted (-) and renamed (>) below a directory
 *
 *	cc follow-directory.c $(pkg-config --cflags --libs gio-2.0)
 */

#include <gio/gio.h>

#define WATCH "org.fsevents1.Watch"
static char *watch;

static void on_signal(GDBusConnection *bus, const char *sender, const char *path,
		      const char *interface, const char *member, GVariant *told, void *directory)
{
	g_autoptr(GVariantIter) all = NULL;
	const char *name, *from;
	guint32 mask;

	if (g_strcmp0(path, watch) != 0)
		return;
	if (g_str_equal(member, "Lost")) {
		g_variant_get(told, "(t^&ay)", NULL, &name);
		g_print("look through \"%s\" again\n", name);
		return;
	}
	g_variant_get(told, "(ta(uayayuttt))", NULL, &all);
	while (g_variant_iter_next(all, "(u^&ay^&ayuttt)", &mask, &name, &from, 0, 0, 0, 0))
		g_print("%c %s %s\n", mask & 0x100 ? '+' : mask & 0x200 ? '-' : '>', name, from);
}

/* At first, and after each restart of the service: a watch ends with it. */
static void on_service(GDBusConnection *bus, const char *name, const char *owner, void *directory)
{
	const char *format = "(%s, ['create', 'delete', 'move'], "
			     "{'recursive': <true>, 'hold': <true>})";
	g_autoptr(GVariant) made =
		g_dbus_connection_call_sync(bus, name, "/org/fsevents1", "org.fsevents1.Manager",
					    "WatchPath", g_variant_new_parsed(format, directory),
					    NULL, 0, -1, NULL, NULL);

	if (!made)
		g_error("%s cannot be watched", (const char *)directory);
	g_variant_get(made, "(o)", &watch);
	g_print("look through \"\" again\n");
	/* What happened since the call was kept until now. */
	g_dbus_connection_call(bus, name, watch, WATCH, "Start", 0, 0, 0, -1, 0, 0, 0);
}

int main(int argc, char **argv)
{
	GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);

	g_dbus_connection_signal_subscribe(bus, "org.fsevents1", WATCH, NULL, NULL, NULL, 0,
					   on_signal, NULL, NULL);
	g_bus_watch_name_on_connection(bus, "org.fsevents1", 0, on_service, NULL, argv[1], NULL);
	g_main_loop_run(g_main_loop_new(NULL, FALSE));
}
