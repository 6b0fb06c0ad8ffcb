/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/names.h"
#include "tests/io/bus-processes.h"

#define EVENTS_MAX 128

struct process_target {
	uint32_t pid;
	uid_t uid;
};

static struct {
	uint64_t last_id;
	unsigned int n_groups, n_targets;
	struct bus_relay relays[16];
	size_t n_relays;
	bool later;
	struct bus_reply *waiting;
} world;

static int target(uint32_t pid, struct process_target **ret, struct bus_refusal *refusal,
		  void *userdata)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u", pid);
	if (stat(path, &st) < 0)
		return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS,
				       "There is no such process");
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		abort();
	**ret = (struct process_target){ .pid = pid, .uid = st.st_uid };
	world.n_targets++;
	return 0;
}

static void target_free(struct process_target *held, void *userdata)
{
	if (!held)
		return;
	world.n_targets--;
	free(held);
}

static bool target_is_of(const struct process_target *held, uid_t uid, void *userdata)
{
	return held->uid == uid;
}

static void track_answer(struct bus_reply *reply)
{
	world.n_groups++;
	bus_reply_group(reply, ++world.last_id);
}

static void track(struct process_target *held, const struct bus_track *options, bool all,
		  const struct bus_sender *sender, struct bus_reply *reply, void *userdata)
{
	printf("track %u events=%u accounting=%d hold=%d all=%d uid=%u\n", held->pid,
	       options->events, options->accounting, options->hold, all, sender->uid);
	target_free(held, NULL);
	if (world.later)
		world.waiting = reply;
	else
		track_answer(reply);
	world.later = false;
}

static void relay(struct process_target *held, int32_t signal, bool all,
		  const struct bus_sender *sender, struct bus_reply *reply, void *userdata)
{
	struct bus_refusal refusal = {};

	printf("relay %u signal=%d all=%d uid=%u\n", held->pid, signal, all, sender->uid);
	if (world.n_relays == 16) {
		(void)bus_refusal_set(&refusal, SD_BUS_ERROR_LIMITS_EXCEEDED, "Too many");
		bus_reply_refuse(reply, &refusal);
	} else {
		world.relays[world.n_relays++] = (struct bus_relay){
			.pid = held->pid,
			.signal = signal,
			.uid = sender->uid,
			.lost = UINT64_C(1) << 40,
		};
		bus_reply_done(reply);
	}
	target_free(held, NULL);
}

static int stop_relay(uint32_t pid, const struct bus_sender *sender, struct bus_refusal *refusal,
		      void *userdata)
{
	for (size_t i = 0; i < world.n_relays; i++) {
		if (world.relays[i].pid != pid ||
		    (sender->uid != 0 && world.relays[i].uid != sender->uid))
			continue;
		world.relays[i] = world.relays[--world.n_relays];
		return 0;
	}
	return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS, "You have none");
}

static void relays(const struct bus_sender *sender,
		   void (*add)(const struct bus_relay *relay, void *ctx), void *ctx, void *userdata)
{
	for (size_t i = 0; i < world.n_relays; i++)
		if (sender->uid == 0 || world.relays[i].uid == sender->uid)
			add(&world.relays[i], ctx);
}

static int group_start(uint64_t id, struct bus_refusal *refusal, void *userdata)
{
	printf("start %llu\n", (unsigned long long)id);
	return 0;
}

static int group_ask_members(uint64_t id, struct bus_reply *reply, struct bus_refusal *refusal,
			     void *userdata)
{
	bus_reply_members(reply, id);
	return 0;
}

static int group_members(uint64_t id, uint64_t *ret_next_seq,
			 void (*add)(const struct bus_group_member *member, void *ctx), void *ctx,
			 struct bus_refusal *refusal, void *userdata)
{
	*ret_next_seq = 7;
	for (uint32_t pid = 1; pid <= 1000; pid++) {
		const struct bus_group_member member = { .pid = pid, .start_ticks = 2 * pid };

		add(&member, ctx);
	}
	return 0;
}

static int group_stream(uint64_t id, int *ret_fd, struct bus_refusal *refusal, void *userdata)
{
	return bus_refusal_set(refusal, BUS_ERROR_STREAM_OPEN, "It has a stream");
}

static void group_totals(uint64_t id, struct bus_group_totals *ret, void *userdata)
{
	*ret = (struct bus_group_totals){
		.leader = 100 + (uint32_t)id,
		.live = 2,
		.forks = 3,
		.execs = 4,
		.exits = 5,
		.user_usec = 6,
		.system_usec = 7,
		.read_bytes = 8,
		.write_bytes = UINT64_C(1) << 33,
		.peak_rss = 10,
		.lost = 11,
		.incomplete = true,
	};
}

static void group_release(uint64_t id, void *userdata)
{
	world.n_groups--;
}

const struct bus_process_ops fixture_process_ops = {
	.target = target,
	.target_free = target_free,
	.target_is_of = target_is_of,
	.track = track,
	.relay = relay,
	.stop_relay = stop_relay,
	.relays = relays,
	.group_start = group_start,
	.group_ask_members = group_ask_members,
	.group_members = group_members,
	.group_stream = group_stream,
	.group_totals = group_totals,
	.group_release = group_release,
};

static void told(int r)
{
	if (r < 0)
		printf("again\n");
}

static void tell_changed(struct bus *bus, uint64_t id, size_t n)
{
	struct bus_group_event events[EVENTS_MAX];

	for (size_t i = 0; i < n && i < EVENTS_MAX; i++)
		events[i] = (struct bus_group_event){
			.kind = 1 + i % 3,
			.pid = 10,
			.other = 11,
			.realtime_usec = 12,
			.status = -1,
			.file = i % 3 == 1 ? "/bin/\xff" : "",
		};
	told(bus_group_changed(bus, id, 40, events, n < EVENTS_MAX ? n : EVENTS_MAX));
}

static void tell_empty(struct bus *bus, uint64_t id)
{
	struct bus_group_totals totals;

	group_totals(id, &totals, NULL);
	totals.accounting = id % 2;
	told(bus_group_empty(bus, id, &totals));
}

static void tell_warning(struct bus *bus, uint32_t uid)
{
	const struct bus_process_warning warning = {
		.id = 5,
		.realtime_usec = 6,
		.code = "exit-signal",
		.severity = "warning",
		.pid = 7,
		.uid = uid,
		.rule = "crash",
		.comm = "x",
		.status = 11,
		.suppressed = 3,
	};

	bus_process_warning(bus, &warning);
}

bool fixture_process_do(struct bus *bus, const char *verb, unsigned long a, unsigned long b)
{
	if (strcmp(verb, "changed") == 0)
		tell_changed(bus, a, b);
	else if (strcmp(verb, "lost") == 0)
		told(bus_group_lost(bus, a, b));
	else if (strcmp(verb, "empty") == 0)
		tell_empty(bus, a);
	else if (strcmp(verb, "warn") == 0)
		tell_warning(bus, (uint32_t)a);
	else if (strcmp(verb, "later") == 0)
		world.later = true;
	else if (strcmp(verb, "now") == 0 && world.waiting)
		track_answer(TAKE_PTR(world.waiting));
	else if (strcmp(verb, "processes") == 0)
		printf("processes groups=%u targets=%u relays=%zu\n", world.n_groups,
		       world.n_targets, world.n_relays);
	else
		return false;
	return true;
}
