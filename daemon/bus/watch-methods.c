/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/confinement.h"
#include "daemon/bus/fdinfo.h"
#include "daemon/bus/watch-methods.h"
#include "daemon/core/escape.h"

/* Longest paths are those of PATH_MAX, NUL included, escaped. */
#define PATH_BYTES_MAX 4095
#define PATH_TEXT_MAX (4 * PATH_BYTES_MAX)

/* What a call asks for; the same whenever it is read again. */
struct asked {
	struct bus_watch_request request;
	struct handle handle;
	char path[PATH_TEXT_MAX + 1];
	char shown[PATH_BYTES_MAX + 1];
};

static int refuse_event(sd_bus_message *call, const char *name)
{
	char shown[64], known[256] = "";
	unsigned int bit = 0;
	const char *one;
	size_t used = 0;

	while ((one = watch_mask_next(WATCH_MASK_ALL, &bit)))
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
					 used ? ", " : "", one);

	if (!name)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "No events are asked for; there are: %s", known);
	escape(shown, sizeof(shown), name, strlen(name), 0);
	return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS, "Unknown event \"%s\"; there are: %s",
			  shown, known);
}

int bus_watch_read_mask(sd_bus_message *call, uint32_t *ret)
{
	const char *name;
	uint32_t mask = 0;
	int r;

	assert(call && ret);

	r = sd_bus_message_enter_container(call, 'a', "s");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read_basic(call, 's', &name)) > 0) {
		uint32_t bit = watch_mask_from_name(name);

		if (!bit)
			return refuse_event(call, name);
		mask |= bit;
	}
	if (r < 0)
		return r;
	r = sd_bus_message_exit_container(call);
	if (r < 0)
		return r;

	if (!mask)
		return refuse_event(call, NULL);
	*ret = mask;
	return 0;
}

/* Return: 0, 1 when the call was refused, or a negative errno; likewise all that read. */
static int read_options(sd_bus_message *call, bool inode, struct bus_watch_request *ret)
{
	int recursive = 0, cross_mounts = 0, hold = 0;
	const struct option options[] = {
		{ "recursive", "b", { .flag = &recursive } },
		{ "latency-usec", "t", { .t = &ret->latency_us } },
		{ "cross-mounts", "b", { .flag = &cross_mounts } },
		{ "hold", "b", { .flag = &hold } },
		{ "subvolume", "t", { .t = &ret->subvolume } },
	};
	int r;

	ret->latency_us = BUS_WATCH_LATENCY_DEFAULT_US;
	r = options_read(call, options, sizeof(options) / sizeof(options[0]) - (inode ? 0 : 1));
	ret->recursive = recursive;
	ret->cross_mounts = cross_mounts;
	ret->hold = hold;
	if (ret->latency_us < BUS_WATCH_LATENCY_MIN_US)
		ret->latency_us = BUS_WATCH_LATENCY_MIN_US;
	if (ret->latency_us > BUS_WATCH_LATENCY_MAX_US)
		ret->latency_us = BUS_WATCH_LATENCY_MAX_US;
	return r;
}

static int read_rest(sd_bus_message *call, bool inode, struct bus_watch_request *ret)
{
	int r;

	r = bus_watch_read_mask(call, &ret->mask);
	return r != 0 ? r : read_options(call, inode, ret);
}

/* Any other one was closed unseen, and what stands in its place is none. */
static int read_descriptor(sd_bus_message *call, struct asked *ret)
{
	union {
		struct file_handle handle;
		uint8_t bytes[sizeof(struct file_handle) + HANDLE_MAX];
	} got = { .handle = { .handle_bytes = HANDLE_MAX } };
	int fd, mount_id, r;

	r = sd_bus_message_read_basic(call, 'h', &fd);
	if (r == -EBADMSG)
		return bus_refuse(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
				  "The descriptor could not be received; try again later");
	if (r < 0)
		return r;
	if (!fdinfo_is_path(fd) || fdinfo_is_null(fd))
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The descriptor must be of a directory or a regular file and "
				  "opened with O_PATH: any other one "
				  "is not looked at, because that may wait for whoever serves "
				  "its filesystem");

	if (fdinfo_mount_id(&ret->request.mnt_id, fd) < 0 ||
	    name_to_handle_at(fd, "", &got.handle, &mount_id, AT_EMPTY_PATH) < 0)
		return bus_refuse(
			call, SD_BUS_ERROR_NOT_SUPPORTED,
			"Its filesystem has no handles for files, so it cannot be watched by "
			"a descriptor; WatchPath may do it");

	ret->handle = (struct handle){
		.type = got.handle.handle_type,
		.n = got.handle.handle_bytes,
	};
	memcpy(ret->handle.bytes, got.handle.f_handle, got.handle.handle_bytes);
	ret->request.handle = &ret->handle;
	return 0;
}

/*
 * What the caller could read of it, too, but only where both see the same paths.
 * It waits for nobody, as long as the descriptor is O_PATH.
 */
static void read_shown(struct bus *bus, sd_bus_message *call, struct asked *ret)
{
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	ssize_t n;
	int fd;

	if (confinement_check(peers_find_pid(bus->peers, sd_bus_message_get_sender(call))) < 0 ||
	    sd_bus_message_rewind(call, true) < 0 || sd_bus_message_read_basic(call, 'h', &fd) <= 0)
		return;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, ret->shown, sizeof(ret->shown));
	if (n <= 0 || (size_t)n == sizeof(ret->shown) || ret->shown[0] != '/')
		return;
	ret->shown[n] = '\0';
	ret->request.shown = ret->shown;
}

static int read_path(sd_bus_message *call, struct asked *ret)
{
	const char *text;
	ssize_t n;
	int r;

	r = sd_bus_message_read_basic(call, 's', &text);
	if (r < 0)
		return r;

	if (text[0] != '/')
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS, "The path must be absolute");
	if (strlen(text) > PATH_TEXT_MAX)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The path is longer than a path can be");
	n = unescape(ret->path, text, strlen(text));
	if (n < 0)
		return bus_refuse(
			call, SD_BUS_ERROR_INVALID_ARGS,
			"A backslash in a path must be followed by three octal digits (001-377)");
	if (n > PATH_BYTES_MAX)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The path is longer than a path can be");
	ret->request.path = ret->path;
	return 0;
}

static int read_inode(sd_bus_message *call, struct asked *ret)
{
	int r;

	r = sd_bus_message_read(call, "uut", &ret->request.major, &ret->request.minor,
				&ret->request.inode);
	if (r < 0)
		return r;
	if (ret->request.inode == 0)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS, "There is no inode 0");
	return 0;
}

/* @asked: is complete. Return: as handlers do. */
static int begin(struct bus *bus, sd_bus_message *call, struct asked *asked)
{
	struct bus_sender sender;
	struct bus_reply *reply;
	int r;

	r = bus_reply_new(&reply, bus, call);
	if (r != 0)
		return r;

	bus_sender(bus, call, &sender);
	peers_find_groups(bus->peers, sender.name, &asked->request.groups,
			  &asked->request.n_groups);
	bus->ops->watch->watch(&asked->request, &sender, reply,
			       bus->ops->watch_userdata(bus->userdata));
	return 1;
}

static int refuse_unsupported(sd_bus_message *call)
{
	return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED, "No files are watched here");
}

int method_watch(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;
	struct asked asked = {};
	int r;

	if (!bus->ops->watch)
		return refuse_unsupported(call);
	r = read_descriptor(call, &asked);
	if (r == 0)
		r = read_rest(call, false, &asked.request);
	if (r != 0)
		return r;
	read_shown(bus, call, &asked);
	return begin(bus, call, &asked);
}

int method_watch_path(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;
	struct asked asked = {};
	int r;

	if (!bus->ops->watch)
		return refuse_unsupported(call);
	r = read_path(call, &asked);
	if (r == 0)
		r = read_rest(call, false, &asked.request);
	if (r != 0)
		return r;

	if (confinement_check(peers_find_pid(bus->peers, sd_bus_message_get_sender(call))) < 0) {
		bus->statistics.denied++;
		return bus_refuse(call, SD_BUS_ERROR_ACCESS_DENIED,
				  "A path means the same to you and to this service only in its "
				  "mount namespace and below its root directory, and you are not "
				  "known to be there; call Watch with a descriptor instead");
	}
	return begin(bus, call, &asked);
}

static int inode_asked(struct asked *ret, sd_bus_message *call)
{
	int r;

	*ret = (struct asked){};
	r = read_inode(call, ret);
	return r != 0 ? r : read_rest(call, true, &ret->request);
}

static int watch_inode(struct bus *bus, sd_bus_message *call)
{
	struct asked asked;
	int r;

	r = sd_bus_message_rewind(call, true);
	if (r < 0)
		return r;
	r = inode_asked(&asked, call);
	return r != 0 ? r : begin(bus, call, &asked);
}

int method_watch_inode(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;
	struct asked asked;
	int r;

	if (!bus->ops->watch)
		return refuse_unsupported(call);
	/* Nobody is asked about a call that makes no sense. */
	r = inode_asked(&asked, call);
	return r != 0 ? r : bus_authorize(bus, call, AUTHORIZE_WATCH_INODE, watch_inode);
}
