/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Datagrams of the proc connector. What is accepted lies within the bytes,
 * has pids that can be, and can be followed: the feed with a group on the
 * first parent, relays and a rule for all must stand whatever order events
 * come in, and end with nothing left.
 */

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next_seq;

static void on_ready(struct group *group, bool found, void *userdata)
{
}

static void on_event(struct group *group, uint64_t seq, const struct group_event *event,
		     void *userdata)
{
	assert(seq == next_seq++);
	assert(event->kind >= GROUP_FORK && event->kind <= GROUP_EXIT && event->pid > 0);
}

static void on_lost(struct group *group, uint64_t count, void *userdata)
{
}

static void on_empty(struct group *group, void *userdata)
{
	assert(!group_member_next(group, NULL));
}

static bool on_check(struct relay *relay, enum relay_end *ret_why, void *userdata)
{
	*ret_why = RELAY_EXITED;
	return relay_sent(relay) < 3;
}

static int on_send(struct relay *relay, uint32_t parent, uint32_t child, void *userdata)
{
	assert(parent > 0 && child > 0);
	return (int)(child % 4) == 3 ? RELAY_E_LOST : 0;
}

static uint64_t on_now(void *userdata)
{
	return 0;
}

static void on_ended(struct relay *relay, enum relay_end why, void *userdata)
{
}

static void on_warn(const struct process_warning *warning, void *userdata)
{
	assert(strcmp(warning->rule, "all") == 0);
}

static bool on_identify(uint32_t pid, struct process_identity *ret, void *userdata)
{
	return false;
}

static const struct feed_ops ops = {
	.group = { on_ready, on_event, on_lost, on_empty },
	.relay = { .check = on_check, .send = on_send, .now_ns = on_now, .ended = on_ended },
	.policy = { on_warn },
	.identify = on_identify,
};

static const struct feed_clock clock_of_none = { .ticks_per_second = 100 };

static struct group *begin(struct feed *feed, uint32_t leader)
{
	const struct process_rule rule = { .name = "all",
					   .fork_rate = 2,
					   .exits = PROCESS_EXITS_STATUS };
	const struct relay_options own = { .pid = 2, .signal = 40, .owner = 1000 };
	const struct relay_options all = { .pid = 3, .signal = 40, .all = true };
	const struct group_options options = { .leader = leader,
					       .start_ticks = 1,
					       .owner = 1000,
					       .events = GROUP_EVENTS_ALL,
					       .accounting = true };
	const struct process_scan_entry entry = {
		.pid = leader, .start_ticks = 1, .uid = 1000, .n_threads = 1
	};
	struct group *group;
	struct relay *relay;

	next_seq = 1;
	assert(feed_set_rules(feed, &rule, 1) == 0);
	assert(relay_add(feed_relays(feed), &own, NULL, &relay) == 0);
	assert(relay_add(feed_relays(feed), &all, NULL, &relay) == 0);
	assert(group_new(&group, feed_groups(feed), &options, NULL) == 0);
	assert(feed_wants_scan(feed) && feed_scan_begin(feed) == 0);
	assert(feed_scan_add(feed, &entry) == 0);
	feed_scan_end(feed, true);
	feed_round_begin(feed, &clock_of_none);
	assert(feed_scan_apply(feed) == 0);
	assert(group_is_ready(group));
	return group;
}

static void check(const struct wire_proc_event *event)
{
	switch (event->kind) {
	case WIRE_PROC_FORK:
		assert(event->parent_tgid > 0 && event->parent_tgid <= INT32_MAX);
		/* fall through */
	case WIRE_PROC_EXEC:
	case WIRE_PROC_UID:
	case WIRE_PROC_EXIT:
		assert(event->tid > 0 && event->tid <= INT32_MAX);
		assert(event->tgid > 0 && event->tgid <= INT32_MAX);
		break;
	case WIRE_PROC_ACK:
	case WIRE_PROC_OTHER:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_proc_sequence sequence = {};
	struct wire_proc_event event;
	struct group *group = NULL;
	struct feed *feed;
	size_t offset = 0, before = 0;
	uint64_t lost;

	assert(feed_new(&feed, &ops, NULL) == 0);
	while (wire_proc_next(data, size, &offset, &event) == 1) {
		assert(offset > before && offset <= size);
		before = offset;
		check(&event);
		if (!group)
			group = begin(feed, event.kind == WIRE_PROC_FORK ? event.parent_tgid : 10);
		if (wire_proc_sequence_note(&sequence, &event, &lost) == 0 && lost > 0)
			feed_lost(feed, lost);
		feed_event(feed, &event);
		if (event.seq % 3 == 0) {
			feed_round_end(feed, event.seq % 2);
			feed_round_begin(feed, &clock_of_none);
		}
	}

	wire_proc_sequence_deinit(&sequence);
	group_free(group);
	feed_free(feed);
	return 0;
}
