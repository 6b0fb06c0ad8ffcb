/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/change.h"
#include "daemon/core/escape.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/standard.h"
#include "daemon/ctl/watch-open.h"

static int append_flag(sd_bus_message *m, const char *name, bool value)
{
	return value ? sd_bus_message_append(m, "{sv}", name, "b", 1) : 0;
}

/* The call of Watch for an object that is held by @fd, or of WatchPath for what is at @path. */
static int make_call(sd_bus_message **ret, const struct ctl *ctl,
		     const struct watch_options *options, int fd, const char *path)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	unsigned int bit = 0;
	const char *name;
	int r;

	r = sd_bus_message_new_method_call(ctl->bus, &m, BUS_NAME, BUS_PATH_ROOT, BUS_IFACE_MANAGER,
					   path ? "WatchPath" : "Watch");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		r = path ? sd_bus_message_append(m, "s", path) : sd_bus_message_append(m, "h", fd);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "s");
	while (r >= 0 && (name = watch_mask_next(options->mask, &bit)))
		r = sd_bus_message_append(m, "s", name);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0)
		r = append_flag(m, "hold", true);
	if (r >= 0)
		r = append_flag(m, "recursive", ctl->recursive);
	if (r >= 0)
		r = append_flag(m, "cross-mounts", ctl->cross_mounts);
	if (r >= 0 && ctl->latency)
		r = sd_bus_message_append(m, "{sv}", "latency-usec", "t", options->latency_us);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(m);
	return 0;
}

static int open_stream(sd_bus *bus, const char *path, sd_bus_error *error, int *ret_fd)
{
	const struct client_method open = { path, BUS_IFACE_WATCH, "OpenStream" };
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = client_call(bus, &open, error, &reply, "a{sv}", 0);
	return r < 0 ? r : client_read_fd(reply, ret_fd);
}

static int call_watch(sd_bus_message **ret_reply, const struct ctl *ctl,
		      const struct watch_options *options, int fd, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = make_call(&m, ctl, options, fd, NULL);
	return r < 0 ? r : sd_bus_call(ctl->bus, m, 0, error, ret_reply);
}

/* By the path that it has now. Return: 0, or a negative errno with the old @error where it has none. */
static int call_watch_path(sd_bus_message **ret_reply, const struct ctl *ctl,
			   const struct watch_options *options, int fd, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)], path[PATH_MAX];
	_cleanup_free_ char *escaped = NULL;
	ssize_t n;
	int r;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	if (n <= 0 || (size_t)n == sizeof(path) || path[0] != '/')
		return -EOPNOTSUPP;
	escaped = escape_new(path, (size_t)n, 0);
	if (!escaped)
		return -ENOMEM;
	r = make_call(&m, ctl, options, -1, escaped);
	if (r < 0)
		return r;
	sd_bus_error_free(error);
	return sd_bus_call(ctl->bus, m, 0, error, ret_reply);
}

int watch_open(int *ret_fd, const struct ctl *ctl, const struct watch_options *options,
	       const char *where)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *shown = escape_new(where, strlen(where), 0);
	const char *path;
	int r;

	/* It names the object without a race, and proves nothing: the daemon asks for itself. */
	fd = open(where, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		/* Of a dead FUSE server ENOTCONN, which says nothing of the daemon. */
		standard_error("%s: %s", shown ?: "watch", strerror(errno));
		return CTL_FAILED;
	}

	r = call_watch(&reply, ctl, options, fd, &error);
	/* What has no handle has its path. */
	if (r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_NOT_SUPPORTED))
		r = call_watch_path(&reply, ctl, options, fd, &error);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		r = open_stream(ctl->bus, path, &error, ret_fd);
	if (client_is_gone(&error, r))
		return CTL_NOT_RUNNING;
	return r < 0 ? client_failed(&error, r, shown ?: "watch") : CTL_DONE;
}
