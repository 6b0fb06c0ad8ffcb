/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <systemd/sd-bus.h>

#include "daemon/bus/bus-watch.h"
#include "daemon/watches-branch.h"

/* What the bus may ask about watches: see struct bus_watch_ops. */

static void watch(const struct bus_watch_request *request, const struct bus_sender *sender,
		  struct bus_reply *reply, void *userdata)
{
	struct bus_refusal refusal;

	if (watched_new(userdata, request, sender, reply, &refusal) < 0)
		bus_reply_refuse(reply, &refusal);
}

static int find(struct watches *watches, uint64_t id, struct watched **ret,
		struct bus_refusal *refusal)
{
	*ret = watches_find(watches, id);
	if (*ret)
		return 0;
	return bus_refusal_set(refusal, SD_BUS_ERROR_UNKNOWN_OBJECT, "There is no such watch");
}

static int start(uint64_t id, struct bus_refusal *refusal, void *userdata)
{
	struct watched *watched;

	if (find(userdata, id, &watched, refusal) < 0)
		return -1;

	watched_release(watched);
	return 0;
}

static int set_mask(uint64_t id, uint32_t mask, struct bus_refusal *refusal, void *userdata)
{
	struct watched *watched;

	if (find(userdata, id, &watched, refusal) < 0)
		return -1;

	return watched_set_mask(watched, mask, refusal);
}

static int stream(uint64_t id, int *ret_fd, struct bus_refusal *refusal, void *userdata)
{
	struct watched *watched;

	if (find(userdata, id, &watched, refusal) < 0)
		return -1;

	return watched_open_stream(watched, ret_fd, refusal);
}

static const char *source_of(const struct watched *watched)
{
	if (watched->state != WATCHED_STANDING)
		return "none: its filesystem is not mounted";
	if (watched->by_path)
		return "inotify";
	if (watched->anchor->side->by_module)
		return "module";
	return watched->recursive ? "fanotify-filesystem" : "fanotify-inode";
}

static void properties(uint64_t id, struct bus_watch_properties *ret, void *userdata)
{
	struct watched *watched = watches_find(userdata, id);
	struct watch_queue_statistics statistics;

	*ret = (struct bus_watch_properties){ .path = "", .source = "none: it was removed" };
	if (!watched)
		return;

	watch_queue_statistics(watched->queue, &statistics);
	ret->path = watched->path;
	ret->mask = watched->mask;
	ret->recursive = watched->recursive;
	ret->source = source_of(watched);
	ret->delivered = statistics.delivered;
	ret->lost = statistics.lost;
	if (watched->branch)
		branch_count(watched->branch, &ret->directories, &ret->unwatched);
}

static void remove_watch(uint64_t id, void *userdata)
{
	struct watched *watched = watches_find(userdata, id);

	if (watched)
		watched_remove(watched);
}

static void room(void *userdata)
{
	watches_room(userdata);
}

const struct bus_watch_ops watches_bus_ops = {
	.watch = watch,
	.start = start,
	.set_mask = set_mask,
	.stream = stream,
	.properties = properties,
	.remove = remove_watch,
	.room = room,
};
