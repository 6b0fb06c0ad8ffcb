/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A feed with what it told
 *
 * Processes of user 1000 that a test makes step by step; include <cmocka.h>
 * before. Times go on by a millisecond an event.
 */

#include <errno.h>
#include <string.h>

#include "daemon/core/feed.h"

#define LEADER 10
#define LEADER_START 50
#define USER 1000

static const struct group_options user_group = {
	.leader = LEADER,
	.start_ticks = LEADER_START,
	.owner = USER,
	.events = GROUP_EVENTS_ALL,
};

static const struct group_options accounted_group = {
	.leader = LEADER,
	.start_ticks = LEADER_START,
	.owner = USER,
	.events = GROUP_EVENTS_ALL,
	.accounting = true,
};

static const struct group_options root_group = {
	.leader = LEADER,
	.start_ticks = LEADER_START,
	.events = GROUP_EVENTS_ALL,
};

struct fixture {
	struct feed *feed;
	struct group *group;
	uint64_t now_ns, seq;
	uint64_t clock_ns, tick_ns; /* as the feed is told; how far it goes on each time */

	struct group_event events[64]; /* the first ones */
	size_t n_events;
	unsigned int n_ready, n_found, n_empty, n_lost, n_warnings, n_identified;
	uint64_t lost;
	const char *comm; /* of whoever is asked for; NULL: it is gone */
	uint32_t saved_uid; /* likewise; all others are of USER */
	bool uids_gone;
};

static void on_ready(struct group *group, bool found, void *userdata)
{
	struct fixture *f = userdata;

	f->n_ready++;
	f->n_found += found;
}

static void on_event(struct group *group, uint64_t seq, const struct group_event *event,
		     void *userdata)
{
	struct fixture *f = userdata;

	if (group != f->group)
		return;
	assert_int_equal(seq, ++f->seq);
	if (f->n_events < sizeof(f->events) / sizeof(*f->events))
		f->events[f->n_events] = *event;
	f->n_events++;
}

static void on_lost(struct group *group, uint64_t count, void *userdata)
{
	struct fixture *f = userdata;

	f->n_lost++;
	f->lost += count;
}

static void on_empty(struct group *group, void *userdata)
{
	((struct fixture *)userdata)->n_empty++;
}

static bool on_check(struct relay *relay, enum relay_end *ret_why, void *userdata)
{
	return true;
}

static int on_send(struct relay *relay, uint32_t parent, uint32_t child, void *userdata)
{
	return 0;
}

static uint64_t on_now(void *userdata)
{
	struct fixture *f = userdata;

	return f->clock_ns += f->tick_ns;
}

static void on_ended(struct relay *relay, enum relay_end why, void *userdata)
{
}

static void on_warn(const struct process_warning *warning, void *userdata)
{
	((struct fixture *)userdata)->n_warnings++;
}

static bool on_identify(uint32_t pid, struct process_identity *ret, void *userdata)
{
	struct fixture *f = userdata;

	f->n_identified++;
	*ret = (struct process_identity){ .comm = f->comm };
	return f->comm;
}

static bool on_read_uids(uint32_t pid, uint32_t ret[static 4], void *userdata)
{
	const struct fixture *f = userdata;

	for (size_t i = 0; i < 4; i++)
		ret[i] = i == 2 ? f->saved_uid : USER;
	return !f->uids_gone;
}

static const struct feed_ops fixture_ops = {
	.group = { on_ready, on_event, on_lost, on_empty },
	.relay = { .check = on_check, .send = on_send, .now_ns = on_now, .ended = on_ended },
	.policy = { on_warn },
	.identify = on_identify,
	.read_uids = on_read_uids,
};

static inline void turn(struct fixture *f)
{
	const struct feed_clock clock = { .ticks_per_second = 100 };

	feed_round_end(f->feed, true);
	feed_round_begin(f->feed, &clock);
}

/* Until those whom nobody follows are gone. */
static inline void purge(struct fixture *f)
{
	while (feed_wants_round(f->feed))
		turn(f);
}

/* Of the user's. */
static inline struct process_scan_entry entry_of(uint32_t pid, uint32_t parent,
						 uint64_t start_ticks)
{
	return (struct process_scan_entry){
		.pid = pid,
		.parent = parent,
		.start_ticks = start_ticks,
		.uid = USER,
		.n_threads = 1,
	};
}

/* All is read, and the round has ended. */
static inline void read_scan(struct fixture *f)
{
	feed_scan_end(f->feed, true);
	turn(f);
}

/* Likewise, and it is applied at once. */
static inline void end_scan(struct fixture *f)
{
	read_scan(f);
	assert_int_equal(feed_scan_apply(f->feed), 0);
}

/* A scan that shows these, and its round. */
static inline void scan(struct fixture *f, const struct process_scan_entry *entries, size_t n)
{
	assert_int_equal(feed_scan_begin(f->feed), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(feed_scan_add(f->feed, &entries[i]), 0);
	end_scan(f);
	purge(f);
}

static const struct process_scan_entry leader_entry = {
	.pid = LEADER,
	.parent = 1,
	.start_ticks = LEADER_START,
	.uid = USER,
	.n_threads = 1,
};

static inline void fixture_init(struct fixture *f, const struct group_options *options)
{
	*f = (struct fixture){ .now_ns = 1000000000, .saved_uid = USER };
	assert_int_equal(feed_new(&f->feed, &fixture_ops, f), 0);
	turn(f);
	if (!options)
		return;

	assert_int_equal(group_new(&f->group, feed_groups(f->feed), options, f), 0);
	assert_true(feed_wants_events(f->feed) && feed_wants_scan(f->feed));
	scan(f, &leader_entry, 1);
	assert_int_equal(f->n_ready, 1);
	assert_int_equal(f->n_found, 1);
}

static inline void fixture_deinit(struct fixture *f)
{
	group_free(f->group);
	feed_free(f->feed);
}

static inline void hand(struct fixture *f, struct wire_proc_event event)
{
	f->now_ns += 1000000;
	event.monotonic_ns = f->now_ns;
	feed_event(f->feed, &event);
}

static inline void hand_fork(struct fixture *f, uint32_t parent, uint32_t tid, uint32_t tgid)
{
	hand(f, (struct wire_proc_event){ .kind = WIRE_PROC_FORK,
					  .tid = tid,
					  .tgid = tgid,
					  .parent_tid = parent,
					  .parent_tgid = parent });
}

static inline void hand_exec(struct fixture *f, uint32_t pid)
{
	hand(f, (struct wire_proc_event){ .kind = WIRE_PROC_EXEC, .tid = pid, .tgid = pid });
}

static inline void hand_exit(struct fixture *f, uint32_t tid, uint32_t tgid, uint32_t status)
{
	hand(f, (struct wire_proc_event){
			.kind = WIRE_PROC_EXIT, .tid = tid, .tgid = tgid, .status = status });
}

static inline void hand_uid(struct fixture *f, uint32_t tid, uint32_t tgid, uint32_t ruid,
			    uint32_t euid)
{
	hand(f,
	     (struct wire_proc_event){
		     .kind = WIRE_PROC_UID, .tid = tid, .tgid = tgid, .ruid = ruid, .euid = euid });
}

static inline struct wire_taskstats record_of(uint32_t pid, uint64_t user_us)
{
	return (struct wire_taskstats){ .tid = pid, .tgid = pid, .user_us = user_us };
}

static inline void hand_record(struct fixture *f, uint32_t pid, uint64_t user_us)
{
	const struct wire_taskstats record = record_of(pid, user_us);

	feed_record(f->feed, &record);
}

static inline struct group_totals totals_of(const struct fixture *f)
{
	struct group_totals totals;

	group_totals(f->group, &totals);
	return totals;
}

/* Processes, whoever follows them. */
static inline uint64_t followed(const struct fixture *f)
{
	struct feed_statistics statistics;

	feed_statistics(f->feed, &statistics);
	return statistics.followed;
}

static inline void expect(const struct fixture *f, size_t i, enum group_event_kind kind,
			  uint32_t pid, uint32_t other, uint32_t status)
{
	assert_true(i < f->n_events);
	assert_int_equal(f->events[i].kind, kind);
	assert_int_equal(f->events[i].pid, pid);
	assert_int_equal(f->events[i].other, other);
	assert_int_equal(f->events[i].status, status);
}
