/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A feed beside a model of the kernel
 *
 * What it told of a group of the model's leader, and how far a scan is; include
 * <cmocka.h> before.
 */

#include "daemon/core/feed.h"
#include "tests/unit/process-model.h"

struct world {
	struct model model;
	struct feed *feed;
	struct group *group;
	struct group *roots; /* of the same leader, told exactly what is lost */
	struct relay *relay;
	bool lossy;
	bool sliced; /* what is applied takes several turns */
	uint64_t now_ns;
	unsigned int n_now;

	struct group_event got[MODEL_QUEUE];
	size_t n_got, told_from;
	uint64_t lost, lost_told, lost_pending, next_seq;
	bool ready, empty;
	uint64_t forks_from;
	bool relay_ready;

	bool scanning, scan_read, applying;
	unsigned int scan_pass;
	uint32_t scan_pid;
	size_t n_scans, n_slices;
};

static void on_ready(struct group *group, bool found, void *userdata)
{
	struct world *w = userdata;

	assert_true(found);
	if (group == w->roots)
		return;
	assert_ptr_equal(group_userdata(group), w);
	w->ready = true;
}

static void on_event(struct group *group, uint64_t seq, const struct group_event *event,
		     void *userdata)
{
	struct world *w = userdata;

	assert_true(w->ready && !w->empty);
	assert_int_equal(seq, w->next_seq++);
	w->got[w->n_got++] = *event;
}

static void on_lost(struct group *group, uint64_t count, void *userdata)
{
	struct world *w = userdata;

	assert_true(w->lossy && (count > 0) == (group == w->roots));
	w->lost_told += count;
}

static void on_empty(struct group *group, void *userdata)
{
	struct world *w = userdata;

	if (group == w->roots)
		return;
	assert_true(w->ready && !w->empty);
	w->empty = true;
}

static void on_relay_ready(struct relay *relay, void *userdata)
{
	struct world *w = userdata;

	w->relay_ready = true;
}

static bool on_check(struct relay *relay, enum relay_end *ret_why, void *userdata)
{
	return true;
}

static int on_send(struct relay *relay, uint32_t parent, uint32_t child, void *userdata)
{
	return 0;
}

static void on_ended(struct relay *relay, enum relay_end why, void *userdata)
{
	assert_int_equal(why, RELAY_STOPPED);
}

static uint64_t on_now(void *userdata)
{
	struct world *w = userdata;

	if (w->sliced && ++w->n_now % 3 == 0)
		w->now_ns += FEED_SLICE_NS;
	return w->now_ns;
}

static void on_warn(const struct process_warning *warning, void *userdata)
{
	fail();
}

static bool on_identify(uint32_t pid, struct process_identity *ret, void *userdata)
{
	return false;
}

static const struct feed_ops ops = {
	.group = { on_ready, on_event, on_lost, on_empty },
	.relay = { on_relay_ready, on_check, on_send, on_now, on_ended },
	.policy = { on_warn },
	.identify = on_identify,
};
