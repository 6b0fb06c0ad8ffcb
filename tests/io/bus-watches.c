/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/names.h"
#include "include/fsevents_stream.h"
#include "tests/io/bus-watches.h"

#define CHANGES_MAX 1000

static struct {
	uint64_t last_id;
	unsigned int n_watches, n_room;
	uint32_t mask;
	bool later;
	struct bus_reply *waiting;
} world;

static void answer(struct bus_reply *reply)
{
	world.n_watches++;
	bus_reply_watch(reply, ++world.last_id);
}

static void print_request(const struct bus_watch_request *request)
{
	static char shown[4 * 4096];

	if (request->path) {
		escape(shown, sizeof(shown), request->path, strlen(request->path), ESCAPE_GRAMMAR);
		printf("watch path=%s", shown);
	}
	if (request->handle)
		printf("watch handle=%u mnt=%u", request->handle->n, request->mnt_id);
	if (request->inode)
		printf("watch inode=%llu device=%u:%u subvolume=%llu",
		       (unsigned long long)request->inode, request->major, request->minor,
		       (unsigned long long)request->subvolume);
	printf(" mask=%x recursive=%d cross=%d hold=%d latency=%llu", request->mask,
	       request->recursive, request->cross_mounts, request->hold,
	       (unsigned long long)request->latency_us);
}

static void watch(const struct bus_watch_request *request, const struct bus_sender *sender,
		  struct bus_reply *reply, void *userdata)
{
	print_request(request);
	printf(" uid=%u groups=", sender->uid);
	for (size_t i = 0; i < request->n_groups; i++)
		printf("%s%u", i > 0 ? "," : "", request->groups[i]);
	printf("\n");
	if (request->handle) {
		printf("handle %d ", request->handle->type);
		for (size_t i = 0; i < request->handle->n; i++)
			printf("%02x", request->handle->bytes[i]);
		printf("\n");
	}

	world.mask = request->mask;
	if (world.later)
		world.waiting = reply;
	else
		answer(reply);
	world.later = false;
}

static int start(uint64_t id, struct bus_refusal *refusal, void *userdata)
{
	printf("start %llu\n", (unsigned long long)id);
	return 0;
}

static int set_mask(uint64_t id, uint32_t mask, struct bus_refusal *refusal, void *userdata)
{
	world.mask = mask;
	return 0;
}

static int stream(uint64_t id, int *ret_fd, struct bus_refusal *refusal, void *userdata)
{
	return bus_refusal_set(refusal, BUS_ERROR_STREAM_OPEN, "It has a stream");
}

static void properties(uint64_t id, struct bus_watch_properties *ret, void *userdata)
{
	*ret = (struct bus_watch_properties){
		.path = "/mnt/\xff",
		.mask = world.mask,
		.recursive = true,
		.source = "fanotify-filesystem",
		.delivered = id,
		.lost = UINT64_C(1) << 40,
		.directories = 5,
		.unwatched = UINT64_C(1) << 41,
	};
}

static void remove_watch(uint64_t id, void *userdata)
{
	world.n_watches--;
}

static void room(void *userdata)
{
	world.n_room++;
}

const struct bus_watch_ops fixture_watch_ops = {
	.watch = watch,
	.start = start,
	.set_mask = set_mask,
	.stream = stream,
	.properties = properties,
	.remove = remove_watch,
	.room = room,
};

static void told(int r)
{
	if (r < 0)
		printf("again\n");
}

static void tell_changed(struct bus *bus, uint64_t id, size_t n)
{
	static struct change changes[CHANGES_MAX];

	if (n > CHANGES_MAX)
		n = CHANGES_MAX;
	/* Names are not terminated. */
	for (size_t i = 0; i < n; i++)
		changes[i] = (struct change){
			.mask = i % 2 ? FSEVENTS_MOVE : FSEVENTS_CREATE | FSEVENTS_DIRECTORY,
			.pid = 10,
			.realtime_us = 11,
			.inode = UINT64_C(1) << 33,
			.cookie = i % 2,
			.name = "dir/\xff-and-more",
			.n_name = 5,
			.former = "old-and-more",
			.n_former = i % 2 ? 3 : 0,
		};
	told(bus_watch_changed(bus, id, 40, changes, n));
}

bool fixture_watch_do(struct bus *bus, const char *verb, unsigned long a, unsigned long b)
{
	if (strcmp(verb, "wchanged") == 0)
		tell_changed(bus, a, b);
	else if (strcmp(verb, "wlost") == 0)
		told(bus_watch_lost(bus, a, b, "a\xff-and-more", b > 0 ? 2 : 0));
	else if (strcmp(verb, "watches") == 0)
		printf("watches n=%u room=%u\n", world.n_watches, world.n_room);
	else if (strcmp(verb, "wlater") == 0)
		world.later = true;
	else if (strcmp(verb, "wnow") == 0 && world.waiting)
		answer(TAKE_PTR(world.waiting));
	else
		return false;
	return true;
}
