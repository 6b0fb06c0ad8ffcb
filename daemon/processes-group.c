/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "daemon/processes-internal.h"

/* One signal has at most so many events, and names of so many bytes. */
#define CHANGED_EVENTS 128
#define CHANGED_BYTES 16384

/* Signals for one group in one turn of the loop. */
#define CHANGED_BATCH 8

/* Between two tries for who has not read what was sent. */
#define BLOCKED_US 1000000

/* About a packet full: a stream takes so many at once, whatever the latency. */
#define STREAM_ITEMS (PACKET_STREAM_PACKET / 64)

struct tracked *tracked_find(struct processes *processes, uint64_t id)
{
	struct tracked *tracked;

	LIST_FOREACH(tracked, &processes->tracked, all)
		if (tracked->id == id && !tracked->released)
			return tracked;

	return NULL;
}

void tracked_totals(const struct tracked *tracked, struct bus_group_totals *ret)
{
	struct group_totals totals;

	group_totals(tracked->group, &totals);
	*ret = (struct bus_group_totals){
		.leader = totals.leader,
		.live = totals.live,
		.forks = totals.forks,
		.execs = totals.execs,
		.exits = totals.exits,
		.user_usec = totals.user_us,
		.system_usec = totals.system_us,
		.read_bytes = totals.read_bytes,
		.write_bytes = totals.write_bytes,
		.peak_rss = totals.peak_rss_kib,
		.lost = totals.lost + tracked->dropped,
		.incomplete = totals.incomplete,
		.accounting = totals.accounting,
	};
}

/*
 * What a group tells. The bus is not called from in here: it may want to
 * release the group at once.
 */

static void on_ready(struct group *group, bool found, void *userdata)
{
	struct tracked *tracked = group_userdata(group);

	tracked->ready = true;
	tracked->found = found;
}

/* Of one that is in several groups it is read once. */
static const struct process_program *read_program(struct processes *processes,
						  const struct group_event *event)
{
	if (processes->program_pid != event->pid || processes->program_us != event->monotonic_us) {
		processes->program_pid = event->pid;
		processes->program_us = event->monotonic_us;
		processes->program_error = process_read_program(event->pid, &processes->program);
	}
	return processes->program_error < 0 ? NULL : &processes->program;
}

/*
 * A moment late: who has ended or executed again by now has no name, or the
 * later one. Marks of fanotify for FAN_OPEN_EXEC would tell all, but slow down each
 * fork and exec by 2 % and each open of a file of that filesystem by 4 %, whosever it is.
 * Another's name is not told: who has the pid by now, or became
 * somebody else by what it executed.
 */
static const struct process_program *find_program(struct tracked *tracked,
						  const struct group_event *event)
{
	struct processes *processes = tracked->processes;
	const struct process_program *program;

	program = read_program(processes, event);
	if (!program || program->start_ticks > processes_ticks(processes, event->monotonic_us))
		return NULL;
	if (tracked->uid == 0 || group_options(tracked->group)->all)
		return program;
	for (size_t i = 0; i < 4; i++)
		if (program->uids[i] != tracked->uid)
			return NULL;

	return program;
}

/* Whether the last parts of two paths are the same. */
static bool end_alike(const char *a, size_t n_a, const char *b, size_t n_b)
{
	const char *slash_a = memrchr(a, '/', n_a), *slash_b = memrchr(b, '/', n_b);
	size_t n_last_a = slash_a ? (size_t)(a + n_a - slash_a) - 1 : n_a;
	size_t n_last_b = slash_b ? (size_t)(b + n_b - slash_b) - 1 : n_b;

	return n_last_a == n_last_b &&
	       memcmp(a + n_a - n_last_a, b + n_b - n_last_b, n_last_a) == 0;
}

/* Return: what is told of an exec, until the next call; NULL: nothing. */
static const char *find_file(struct tracked *tracked, const struct group_event *event,
			     size_t *ret_n)
{
	struct processes *processes = tracked->processes;
	const struct process_program *program;
	size_t n_given;

	*ret_n = 0;
	if (event->kind != GROUP_EXEC)
		return NULL;
	/* What is lost anyway needs no name. */
	if (!process_queue_takes(processes->quota, tracked->uid, 0))
		return NULL;

	program = find_program(tracked, event);
	n_given = process_source_find_name(processes->source, event->name, processes->given);
	/* The whole path, where it is that of this exec, and of no script or later exec. */
	if (program && (n_given == 0 ||
			end_alike(program->file, program->n_file, processes->given, n_given))) {
		*ret_n = program->n_file;
		return program->file;
	}

	*ret_n = n_given;
	return n_given > 0 ? processes->given : NULL;
}

bool processes_want_files(const struct processes *processes)
{
	const struct tracked *tracked;

	LIST_FOREACH(tracked, &processes->tracked, all)
		if (!tracked->over && group_options(tracked->group)->events & 1U << GROUP_EXEC)
			return true;

	return false;
}

bool processes_take_prompt(void *userdata)
{
	struct processes *processes = userdata;
	uint64_t now_us = 0;

	(void)sd_event_now(processes->loop, CLOCK_MONOTONIC, &now_us);
	return process_prompt_take(&processes->prompt, now_us);
}

static void on_event(struct group *group, uint64_t seq, const struct group_event *event,
		     void *userdata)
{
	struct tracked *tracked = group_userdata(group);
	struct processes *processes = tracked->processes;
	const struct process_item item = {
		.seq = seq,
		.realtime_us = event->monotonic_us + processes->realtime_minus_monotonic_us,
		.event = *event,
	};
	size_t n_file;
	const char *file = find_file(tracked, event, &n_file);

	if (process_queue_push(&tracked->queue, processes->quota, tracked->uid, &item, file,
			       n_file) == PROCESS_QUEUE_E_DROPPED) {
		tracked->dropped++;
		processes->dropped++;
	} else if (tracked->stream && tracked->queue.n_items % STREAM_ITEMS == 0) {
		/* In a storm it would be full before its time. A full socket is not asked each time. */
		(void)tracked_flush_stream(tracked);
	}
	processes_flush_later(processes);
}

static void on_lost(struct group *group, uint64_t count, void *userdata)
{
	struct tracked *tracked = group_userdata(group);

	process_queue_push_lost(&tracked->queue, count);
	processes_flush_later(tracked->processes);
}

static void on_empty(struct group *group, void *userdata)
{
	struct tracked *tracked = group_userdata(group);

	tracked->over = true;
	processes_flush_later(tracked->processes);
}

const struct group_ops processes_group_ops = {
	.ready = on_ready,
	.event = on_event,
	.lost = on_lost,
	.empty = on_empty,
};

static int refuse_group(int error, struct bus_refusal *refusal)
{
	if (error == -ENOSPC)
		return bus_refusal_set(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
				       "There are too many groups of all users together");
	return bus_refusal_set(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
}

int tracked_new(struct processes *processes, struct process_target *target,
		const struct tracked_request *request, struct bus_refusal *refusal)
{
	const struct bus_sender *sender = request->sender;
	/* Its start is what tells it from another one of its pid. */
	_cleanup_(process_target_freep) struct process_target *owned = target;
	struct group_options options = {
		.leader = process_target_pid(owned),
		.start_ticks = process_target_start_ticks(owned),
		.owner = sender->uid,
		.all = request->all,
		.events = request->options->events,
		.accounting = request->options->accounting,
	};
	_cleanup_free_ struct tracked *tracked = NULL;
	int r;

	tracked = calloc(1, sizeof(*tracked));
	if (!tracked)
		return refuse_group(-ENOMEM, refusal);
	r = quota_charge(processes->quota, &tracked->charge, sender->uid, QUOTA_GROUPS, 1);
	if (r == QUOTA_E_EXCEEDED)
		return bus_refusal_set(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
				       "You have too many groups; release one first");
	options.patient = r >= 0 && processes_be_patient(processes, sender->uid);
	if (r >= 0)
		r = group_new(&tracked->group, feed_groups(processes->feed), &options, tracked);
	if (r < 0) {
		quota_release(&tracked->charge);
		return refuse_group(r, refusal);
	}

	tracked->processes = processes;
	tracked->id = ++processes->last_group;
	tracked->uid = sender->uid;
	tracked->reply = request->reply;
	tracked->held = request->options->hold;
	process_queue_init(&tracked->queue);
	LIST_INSERT_HEAD(&processes->tracked, tracked, all);
	(void)TAKE_PTR(tracked);
	processes_review_later(processes);
	return 0;
}

void tracked_free(struct tracked *tracked)
{
	struct processes *processes = tracked->processes;

	LIST_REMOVE(tracked, all);
	tracked_forget_members(tracked);
	tracked_close_stream(tracked);
	group_free(tracked->group);
	process_queue_deinit(&tracked->queue);
	quota_release(&tracked->charge);
	free(tracked);
	processes_review_later(processes);
}

void tracked_release(struct tracked *tracked)
{
	if (tracked->processes->busy == 0) {
		tracked_free(tracked);
		return;
	}
	tracked->released = true;
	processes_review_later(tracked->processes);
}

static void tracked_answer(struct tracked *tracked)
{
	struct bus_reply *reply = TAKE_PTR(tracked->reply);
	struct bus_refusal refusal;

	if (!tracked->found) {
		(void)bus_refusal_set(&refusal, SD_BUS_ERROR_INVALID_ARGS, "The process has ended");
		bus_reply_refuse(reply, &refusal);
		tracked->released = true;
		return;
	}

	tracked->announced = true;
	bus_reply_group(reply, tracked->id);
	processes_flush_later(tracked->processes);
}

void processes_settle_groups(struct processes *processes)
{
	struct tracked *tracked, *next;

	if (processes->busy > 0)
		return;

	processes->busy++;
	LIST_FOREACH(tracked, &processes->tracked, all)
		if (tracked->ready && tracked->reply)
			tracked_answer(tracked);
	processes->busy--;

	for (tracked = LIST_FIRST(&processes->tracked); tracked; tracked = next) {
		next = LIST_NEXT(tracked, all);
		if (tracked->released)
			tracked_free(tracked);
	}
}

void processes_fail_groups(struct processes *processes, const struct bus_refusal *refusal)
{
	struct tracked *tracked;

	processes->busy++;
	LIST_FOREACH(tracked, &processes->tracked, all) {
		struct bus_reply *reply = TAKE_PTR(tracked->reply);

		if (!reply)
			continue;
		tracked->released = true;
		bus_reply_refuse(reply, refusal);
	}
	processes->busy--;
	processes_settle_groups(processes);
}

/*
 * To the bus
 */

/* Return: 0, or -EAGAIN: the rest later. */
static int flush_lost(struct tracked *tracked, struct process_loss *lost)
{
	struct bus *bus = tracked->processes->bus;

	if (lost->count > 0) {
		if (bus_group_lost(bus, tracked->id, lost->count) < 0)
			return -EAGAIN;
		lost->count = 0;
	}
	if (lost->unknown) {
		if (bus_group_lost(bus, tracked->id, 0) < 0)
			return -EAGAIN;
		lost->unknown = false;
	}

	return 0;
}

/* As many as follow each other without a gap. */
static int flush_changed(struct tracked *tracked)
{
	struct bus_group_event events[CHANGED_EVENTS];
	const struct process_item *first = STAILQ_FIRST(&tracked->queue.items), *item;
	uint64_t first_seq = first->seq;
	size_t n = 0, n_bytes = 0;

	STAILQ_FOREACH(item, &tracked->queue.items, next) {
		if (n == CHANGED_EVENTS || item->seq != first_seq + n)
			break;
		if (n > 0 && (item->lost.count > 0 || item->lost.unknown))
			break;
		n_bytes += strlen(item->file);
		if (n > 0 && n_bytes > CHANGED_BYTES)
			break;
		events[n++] = (struct bus_group_event){
			.kind = item->event.kind,
			.pid = item->event.pid,
			.other = item->event.other,
			.realtime_usec = item->realtime_us,
			.status = (int32_t)item->event.status,
			.file = item->file,
		};
	}

	if (bus_group_changed(tracked->processes->bus, tracked->id, first_seq, events, n) < 0)
		return -EAGAIN;
	for (size_t i = 0; i < n; i++)
		process_queue_pop(&tracked->queue);
	return 0;
}

static int flush_one(struct tracked *tracked)
{
	struct process_item *item = STAILQ_FIRST(&tracked->queue.items);
	struct bus_group_totals totals;

	if (tracked->stream)
		return tracked_flush_stream(tracked);
	if (item) {
		int r = flush_lost(tracked, &item->lost);

		return r < 0 ? r : flush_changed(tracked);
	}
	if (!process_queue_is_empty(&tracked->queue))
		return flush_lost(tracked, &tracked->queue.lost);
	if (!tracked->over || tracked->over_told)
		return 0;

	tracked_totals(tracked, &totals);
	if (bus_group_empty(tracked->processes->bus, tracked->id, &totals) < 0)
		return -EAGAIN;
	tracked->over_told = true;
	return 0;
}

static bool has_something(const struct tracked *tracked)
{
	if (tracked->released || !tracked->announced || tracked->held)
		return false;
	if (tracked->streamed && !tracked->stream)
		return false;

	return !process_queue_is_empty(&tracked->queue) || (tracked->over && !tracked->over_told);
}

/* As much as one turn may send. Return: whether it is stuck, with the rest. */
static bool flush(struct tracked *tracked)
{
	/* A stream ends this itself, when its socket is full. */
	for (unsigned int i = 0; has_something(tracked); i++) {
		if (!tracked->stream && i == CHANGED_BATCH)
			return false;
		if (flush_one(tracked) < 0)
			return true;
	}
	return false;
}

/* Room is told of, by the stream or by the bus; but a bus may be clogged by others. */
static void flush_blocked_later(struct processes *processes)
{
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(processes->flush, &enabled);
	if (enabled != SD_EVENT_OFF)
		return;
	processes->flush_blocked = true;
	processes_arm(processes->flush, BLOCKED_US);
}

void processes_flush(struct processes *processes)
{
	struct tracked *tracked;
	bool more = false, blocked = false;

	if (!processes->bus)
		return;

	processes->busy++;
	LIST_FOREACH(tracked, &processes->tracked, all) {
		if (flush(tracked))
			blocked |= !tracked->stream;
		else
			more |= has_something(tracked);
	}
	processes->busy--;

	if (more)
		processes_flush_later(processes);
	else if (blocked)
		flush_blocked_later(processes);
	processes_settle_groups(processes);
}
