/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/core/name-ring.h"
#include "daemon/core/overrun.h"
#include "daemon/core/wire-event.h"
#include "daemon/core/wire-records.h"
#include "daemon/source/late-reader.h"
#include "daemon/source/module-process.h"
#include "daemon/source/module-socket.h"
#include "daemon/source/netlink.h"

/* Longer than the module waits by itself. */
#define ACKNOWLEDGE_US 5000000ULL

/* A key of the workers that no superblock has; another than that of filesystems, which may be stuck. */
#define REQUEST_KEY (UINT64_MAX - 17)

/* A batch of this many is the middle of something: the next is not waited for by poll. */
#define MANY 64

/* Taken by one call, each of some eighty records. */
#define DATAGRAMS 16

#define EVENTS                                                                                     \
	(1U << FS_RECORD_FORK | 1U << FS_RECORD_EXEC | 1U << FS_RECORD_EXIT | 1U << FS_RECORD_UID)

struct module_process {
	sd_event *loop;
	struct pool *pool;
	const struct process_events_ops *ops;
	void *userdata;
	uint32_t n_buffer;

	struct module_socket *socket; /* NULL: nothing is asked for */
	struct late_reader reader; /* the next batch; before the answer, its deadline */
	struct pool_ticket *ticket; /* the request is under way */
	uint32_t seq; /* of requests; the last one's */
	bool started;
	bool synced; /* the barrier of this batch was granted, as far as is known */
	struct overrun overrun;
	struct wire_event_sequence sequence;
	struct name_ring names;
	struct process_events_statistics statistics;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void process_fail(struct module_process *process, int error)
{
	module_process_stop(process);
	process->ops->started(error, process->userdata);
}

static void note_lost(struct module_process *process, uint64_t count)
{
	process->statistics.lost += count;
	process->ops->lost(count, process->userdata);
}

static void note_malformed(struct module_process *process)
{
	process->statistics.malformed++;
	note_lost(process, 0);
}

static void note_overrun(struct module_process *process)
{
	process->statistics.overruns++;
	overrun_note(&process->overrun, now_ns());
}

/* Return: false for what is no event of a process. */
static bool event_from(struct module_process *process, const struct wire_record *record,
		       struct wire_proc_event *ret)
{
	const struct wire_record_process *told = &record->process;

	*ret = (struct wire_proc_event){
		.monotonic_ns = record->time_ns,
		.tid = told->pid,
		.tgid = told->tgid,
	};
	switch (record->kind) {
	case FS_RECORD_FILE:
		return false;
	case FS_RECORD_FORK:
		ret->kind = WIRE_PROC_FORK;
		ret->parent_tid = told->by_pid;
		ret->parent_tgid = told->by_tgid;
		return told->by_tgid != 0;
	case FS_RECORD_EXEC:
		ret->kind = WIRE_PROC_EXEC;
		ret->name = name_ring_push(&process->names, told->name.bytes, told->name.n);
		return true;
	case FS_RECORD_EXIT:
		ret->kind = WIRE_PROC_EXIT;
		ret->parent_tid = ret->parent_tgid = told->parent;
		ret->status = told->status;
		return true;
	case FS_RECORD_UID:
		ret->kind = WIRE_PROC_UID;
		ret->ruid = told->uid;
		ret->euid = told->status;
		return true;
	}
	return false;
}

static void records_take(struct module_process *process, const struct wire_message *message)
{
	struct wire_proc_event event;
	struct wire_records records;
	struct wire_record record;
	bool shown = false;
	uint64_t n_lost;
	int r;

	if (wire_records_decode(message->attributes, message->n_attributes, &records) <= 0) {
		note_malformed(process);
		return;
	}

	n_lost = wire_event_sequence_note(&process->sequence, records.seq, records.n);
	if (n_lost > 0)
		note_lost(process, n_lost);
	while ((r = wire_record_next(&records, &record)) > 0) {
		if (n_lost > 0 && !shown)
			overrun_note_gap(&process->overrun, record.time_ns);
		shown = true;
		if (!event_from(process, &record, &event))
			continue;
		process->statistics.events++;
		process->ops->event(&event, process->userdata);
	}
	if (r < 0)
		note_malformed(process);
}

static void datagram_take(struct module_process *process, const void *data, size_t n)
{
	struct wire_message message;
	size_t offset = 0;
	int r;

	while ((r = wire_message_next(data, n, &offset, &message)) > 0) {
		if (message.is_ack)
			process->synced &= message.error == 0;
		else if (message.family == module_socket_family(process->socket) &&
			 message.command == FS_NL_C_RECORDS)
			records_take(process, &message);
	}
	if (r < 0)
		note_malformed(process);
}

/* Return: true where the socket is empty. */
static bool process_read(struct module_process *process)
{
	uint64_t before = process->statistics.events;

	while (process->statistics.events - before < MODULE_PROCESS_BATCH) {
		const void *data;
		size_t n;
		int r;

		r = module_socket_receive(process->socket, &data, &n);
		/* A socket that fails is asked again with the next sign. */
		if (r == NETLINK_EMPTY || r < 0)
			return true;
		if (r == NETLINK_OVERRUN)
			note_overrun(process);
		else if (r == NETLINK_FOREIGN)
			process->statistics.foreign++;
		else if (r == NETLINK_TRUNCATED)
			note_malformed(process);
		else
			datagram_take(process, data, n);
	}

	return false;
}

static void process_batch(struct module_process *process)
{
	uint64_t n = process->statistics.events;
	bool empty, again;

	process->statistics.batches++;
	process->ops->begin(process->userdata);
	/* What it had in its own buffers is in the socket now. */
	process->synced = module_socket_sync(process->socket, ++process->seq) == 0;
	empty = process_read(process);
	if (empty && overrun_settle(&process->overrun, now_ns()))
		note_lost(process, 0);
	again = process->ops->end(empty && process->synced, process->userdata);
	n = process->statistics.events - n;

	if (!empty)
		late_reader_wait(&process->reader, 0);
	else if (n >= MANY || again || !process->synced)
		late_reader_wait(&process->reader, MODULE_PROCESS_PAUSE_US);
	else if (overrun_is_open(&process->overrun))
		late_reader_wait(&process->reader, OVERRUN_SHOW_NS / 1000);
	else
		late_reader_hear(&process->reader);
}

/* What comes before the answer is of what others asked for; what it tells the scan will. */
static void process_await(struct module_process *process)
{
	struct wire_message message;
	const void *data;
	size_t n, offset;
	int r;

	while ((r = module_socket_receive(process->socket, &data, &n)) != NETLINK_EMPTY && r >= 0) {
		if (r == NETLINK_OVERRUN)
			note_overrun(process);
		offset = 0;
		while (r == 0 && wire_message_next(data, n, &offset, &message) > 0) {
			if (!message.is_ack || message.seq != process->seq)
				continue;
			if (message.error < 0) {
				process_fail(process, message.error);
				return;
			}
			process->started = true;
			late_reader_wait(&process->reader, 0);
			process->ops->started(0, process->userdata);
			return;
		}
	}

	late_reader_hear(&process->reader);
}

static void on_sign(void *userdata)
{
	struct module_process *process = userdata;

	if (process->started)
		process_batch(process);
	else
		process_await(process);
}

static void on_due(void *userdata)
{
	struct module_process *process = userdata;

	if (process->started)
		process_batch(process);
	else
		process_fail(process, -ETIMEDOUT);
}

static const struct late_reader_ops reader_ops = {
	.sign = on_sign,
	.due = on_due,
};

/* The answer is waited for. */
static int process_start_reader(struct module_process *process)
{
	const struct late_reader_options options = {
		.fd = module_socket_fd(process->socket),
		.name = "module-process",
		.ops = &reader_ops,
		.userdata = process,
	};
	int r;

	r = late_reader_start(&process->reader, process->loop, &options);
	if (r < 0)
		return r;
	late_reader_wait(&process->reader, ACKNOWLEDGE_US);
	late_reader_hear(&process->reader);
	return 0;
}

static void on_asked(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct module_process *process = userdata;

	process->ticket = NULL;
	/* Its answer comes by the socket. */
	if (result != POOL_DONE)
		process_fail(process, pool_result_error(result));
}

static void on_withdrawn(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
}

static int process_ask(struct module_process *process, uint32_t events, pool_reply_fn reply,
		       struct pool_ticket **ret_ticket)
{
	const struct module_attribute attribute = { FS_NL_A_PROC_EVENTS, &events, sizeof(events) };
	const struct module_request request = {
		.command = FS_NL_C_PROC_SET,
		.seq = ++process->seq,
		.acknowledged = true,
		.attributes = &attribute,
		.n_attributes = 1,
	};
	struct pool_submission submission = {
		.lane = POOL_LANE_LOCAL,
		.lane_key = REQUEST_KEY,
		.job = JOB_SEND,
		.fd = module_socket_fd(process->socket),
		.deadline_us = ACKNOWLEDGE_US,
		.reply = reply,
		.userdata = process,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = module_socket_compose(process->socket, &request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	return pool_submit(process->pool, &submission, ret_ticket);
}

int module_process_new(struct module_process **ret, sd_event *loop, struct pool *pool,
		       uint32_t n_buffer, const struct process_events_ops *ops, void *userdata)
{
	struct module_process *process;

	assert(ret);
	assert(loop);
	assert(pool);
	assert(ops && ops->started && ops->begin && ops->event && ops->lost && ops->end);

	process = calloc(1, sizeof(*process));
	if (!process)
		return -ENOMEM;

	process->loop = sd_event_ref(loop);
	process->pool = pool;
	process->n_buffer = n_buffer ? n_buffer : MODULE_PROCESS_BUFFER;
	process->ops = ops;
	process->userdata = userdata;

	*ret = process;
	return 0;
}

int module_process_start(struct module_process *process)
{
	const struct module_socket_options options = {
		.group = FS_EVENTS_GRP_PROC,
		.n_buffer = (int)process->n_buffer,
		.n_datagrams = DATAGRAMS,
	};
	int r;

	assert(process);

	if (process->socket)
		return -EALREADY;

	r = module_socket_new(&process->socket, &options);
	if (r < 0)
		return r;
	process->overrun = (struct overrun){};
	process->sequence = (struct wire_event_sequence){};
	r = name_ring_init(&process->names, MODULE_PROCESS_NAMES);
	if (r >= 0)
		r = process_start_reader(process);
	if (r >= 0)
		r = process_ask(process, EVENTS, on_asked, &process->ticket);
	if (r < 0)
		module_process_stop(process);
	return r < 0 ? r : 0;
}

void module_process_stop(struct module_process *process)
{
	assert(process);

	if (!process->socket)
		return;

	pool_cancel(process->ticket);
	process->ticket = NULL;
	/* The worker closes it last: where a request ends with its socket, whoever closes it waits. */
	(void)process_ask(process, 0, on_withdrawn, NULL);
	late_reader_stop(&process->reader);
	process->socket = module_socket_free(process->socket);
	process->started = false;
	name_ring_deinit(&process->names);
}

void module_process_kick(struct module_process *process)
{
	assert(process);

	if (process->started)
		late_reader_wait(&process->reader, 0);
}

bool module_process_is_started(const struct module_process *process)
{
	assert(process);

	return process->started;
}

size_t module_process_name(const struct module_process *process, uint64_t id, char *ret)
{
	assert(process);

	return name_ring_find(&process->names, id, ret);
}

struct module_process *module_process_free(struct module_process *process)
{
	if (!process)
		return NULL;

	module_process_stop(process);
	sd_event_unref(process->loop);
	free(process);
	return NULL;
}

void module_process_statistics(const struct module_process *process,
			       struct process_events_statistics *ret)
{
	assert(process);
	assert(ret);

	*ret = process->statistics;
}
