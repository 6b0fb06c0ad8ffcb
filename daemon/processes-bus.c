/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/processes-internal.h"

/* What the bus may ask about processes: see struct bus_process_ops. */

static int target(uint32_t pid, struct process_target **ret, struct bus_refusal *refusal,
		  void *userdata)
{
	int r;

	r = process_target_new(ret, pid);
	if (r >= 0)
		return 0;
	if (r == -ESRCH || r == -EINVAL)
		return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS, "There is no process %u",
				       pid);
	return bus_refusal_set(refusal, SD_BUS_ERROR_FAILED, "Process %u cannot be held: %s", pid,
			       strerror(-r));
}

static void target_free(struct process_target *held, void *userdata)
{
	process_target_free(held);
}

static bool target_is_of(const struct process_target *held, uid_t uid, void *userdata)
{
	struct relay_uids uids;

	return process_target_uids(held, &uids) == 0 && uids.real == uid && uids.effective == uid &&
	       uids.saved == uid && uids.filesystem == uid;
}

static void track(struct process_target *held, const struct bus_track *options, bool all,
		  const struct bus_sender *sender, struct bus_reply *reply, void *userdata)
{
	const struct tracked_request request = {
		.options = options,
		.all = all,
		.sender = sender,
		.reply = reply,
	};
	struct bus_refusal refusal;

	if (tracked_new(userdata, held, &request, &refusal) < 0)
		bus_reply_refuse(reply, &refusal);
}

static void relay(struct process_target *held, int32_t signal, bool all,
		  const struct bus_sender *sender, struct bus_reply *reply, void *userdata)
{
	const struct relayed_request request = {
		.signal = signal,
		.all = all,
		.sender = sender,
		.reply = reply,
	};
	struct bus_refusal refusal;

	if (relayed_new(userdata, held, &request, &refusal) < 0)
		bus_reply_refuse(reply, &refusal);
}

static int stop_relay(uint32_t pid, const struct bus_sender *sender, struct bus_refusal *refusal,
		      void *userdata)
{
	struct processes *processes = userdata;
	struct relay *found = relays_find(feed_relays(processes->feed), pid);

	if (!found || (sender->uid != 0 && relay_options(found)->owner != sender->uid))
		return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS,
				       "You have no relay to process %u", pid);

	relay_stop(found);
	return 0;
}

static void relays(const struct bus_sender *sender,
		   void (*add)(const struct bus_relay *relay, void *ctx), void *ctx, void *userdata)
{
	struct processes *processes = userdata;
	struct relay *one = NULL;

	while ((one = relays_next(feed_relays(processes->feed), one))) {
		const struct relay_options *options = relay_options(one);
		const struct bus_relay told = {
			.pid = options->pid,
			.signal = options->signal,
			.uid = options->owner,
			.lost = relay_lost(one),
		};

		if (sender->uid == 0 || options->owner == sender->uid)
			add(&told, ctx);
	}
}

static int group_find(struct processes *processes, uint64_t id, struct tracked **ret,
		      struct bus_refusal *refusal)
{
	*ret = tracked_find(processes, id);
	if (*ret)
		return 0;
	return bus_refusal_set(refusal, SD_BUS_ERROR_UNKNOWN_OBJECT, "There is no such group");
}

static int group_start(uint64_t id, struct bus_refusal *refusal, void *userdata)
{
	struct processes *processes = userdata;
	struct tracked *tracked;

	if (group_find(processes, id, &tracked, refusal) < 0)
		return -1;

	tracked->held = false;
	processes_flush_later(processes);
	return 0;
}

static int group_ask_members(uint64_t id, struct bus_reply *reply, struct bus_refusal *refusal,
			     void *userdata)
{
	struct tracked *tracked;

	if (group_find(userdata, id, &tracked, refusal) < 0)
		return -1;

	tracked_ask_members(tracked, reply);
	return 0;
}

static int group_members(uint64_t id, uint64_t *ret_next_seq,
			 void (*add)(const struct bus_group_member *member, void *ctx), void *ctx,
			 struct bus_refusal *refusal, void *userdata)
{
	const struct process *process = NULL;
	struct tracked *tracked;

	if (group_find(userdata, id, &tracked, refusal) < 0)
		return -1;

	*ret_next_seq = group_next_seq(tracked->group);
	while ((process = group_member_next(tracked->group, process))) {
		const struct bus_group_member member = {
			.pid = process->pid,
			.start_ticks = process->start_ticks,
		};

		add(&member, ctx);
	}
	return 0;
}

static int group_stream(uint64_t id, int *ret_fd, struct bus_refusal *refusal, void *userdata)
{
	struct tracked *tracked;

	if (group_find(userdata, id, &tracked, refusal) < 0)
		return -1;

	return tracked_open_stream(tracked, ret_fd, refusal);
}

static void group_totals_of(uint64_t id, struct bus_group_totals *ret, void *userdata)
{
	struct tracked *tracked = tracked_find(userdata, id);

	*ret = (struct bus_group_totals){};
	if (tracked)
		tracked_totals(tracked, ret);
}

static void group_release(uint64_t id, void *userdata)
{
	struct tracked *tracked = tracked_find(userdata, id);

	if (tracked)
		tracked_release(tracked);
}

static void room(void *userdata)
{
	processes_flush_later(userdata);
}

const struct bus_process_ops processes_bus_ops = {
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
	.group_totals = group_totals_of,
	.group_release = group_release,
	.room = room,
};
