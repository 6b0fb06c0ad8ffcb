/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/overrun.h"
#include "daemon/source/connector.h"
#include "daemon/source/late-reader.h"
#include "daemon/source/netlink-batch.h"
#include "daemon/source/netlink.h"

/* In which the kernel acknowledges; it does so while it is asked. */
#define ACKNOWLEDGE_US 2000000

/* A batch of this many is the middle of something: the next is not waited for by poll. */
#define MANY 64

/* What the kernel charges a buffer for one event, about. */
#define EVENT_CHARGE 832

/*
 * As many as a batch should have: more fall out of the caches before they are
 * read, fewer cost more wake-ups.
 */
#define FULL 1024

/* One event in one datagram is what kernels send. */
#define DATAGRAM_MAX 512

/* Taken by one call. */
#define DATAGRAMS 64

struct connector {
	sd_event *loop;
	const struct process_events_ops *ops;
	void *userdata;
	uint32_t n_buffer;

	struct netlink *netlink; /* NULL: not subscribed */
	struct netlink_batch *datagrams; /* likewise */
	struct late_reader reader; /* the next batch; before the answer, its deadline */
	uint32_t ack;
	bool started;
	bool prompt; /* some signs are read at once */
	uint64_t pause_us;
	uint64_t read_us; /* when the last batch was */
	uint64_t n_pause; /* events since the socket was last empty */
	struct overrun overrun;
	struct wire_proc_sequence sequence;
	struct process_events_statistics statistics;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t now_us(void)
{
	return now_ns() / 1000;
}

static int connector_ask(struct connector *connector, enum proc_cn_mcast_op op)
{
	const uint32_t asked = op;
	uint8_t request[sizeof(struct nlmsghdr) + sizeof(struct cn_msg) + sizeof(asked)];
	const struct nlmsghdr header = {
		.nlmsg_len = sizeof(request),
		.nlmsg_type = NLMSG_DONE,
		.nlmsg_pid = netlink_port(connector->netlink),
	};
	const struct cn_msg message = {
		.id = { .idx = CN_IDX_PROC, .val = CN_VAL_PROC },
		.ack = connector->ack,
		/* Without a filter: its victims are numbered too, and no loss would be known. */
		.len = sizeof(asked),
	};

	memcpy(request, &header, sizeof(header));
	memcpy(request + sizeof(header), &message, sizeof(message));
	memcpy(request + sizeof(header) + sizeof(message), &asked, sizeof(asked));
	return netlink_send(connector->netlink, request, sizeof(request));
}

static void connector_fail(struct connector *connector, int error)
{
	connector_stop(connector);
	connector->ops->started(error, connector->userdata);
}

static void note_lost(struct connector *connector, uint64_t count)
{
	connector->statistics.lost += count;
	connector->ops->lost(count, connector->userdata);
}

static void note_overrun(struct connector *connector)
{
	connector->statistics.overruns++;
	overrun_note(&connector->overrun, now_ns());
}

static void connector_take(struct connector *connector, const struct wire_proc_event *event)
{
	uint64_t lost = 0;

	/* Without memory for the numbers of this CPU its losses are not known. */
	if (wire_proc_sequence_note(&connector->sequence, event, &lost) < 0)
		note_lost(connector, 0);
	if (lost > 0) {
		overrun_note_gap(&connector->overrun, event->monotonic_ns);
		note_lost(connector, lost);
	}

	/* To another listener. */
	if (event->kind == WIRE_PROC_ACK)
		return;

	connector->statistics.events++;
	connector->ops->event(event, connector->userdata);
}

static void connector_decode(struct connector *connector, const void *data, size_t n_data)
{
	struct wire_proc_event event;
	size_t offset = 0;
	int r;

	while ((r = wire_proc_next(data, n_data, &offset, &event)) > 0)
		connector_take(connector, &event);
	if (r < 0) {
		connector->statistics.malformed++;
		note_lost(connector, 0);
	}
}

static void connector_decode_batch(struct connector *connector, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const void *data;
		size_t n_data;
		int r;

		r = netlink_batch_get(connector->datagrams, i, &data, &n_data);
		if (r == 0) {
			connector_decode(connector, data, n_data);
		} else if (r == NETLINK_FOREIGN) {
			connector->statistics.foreign++;
		} else {
			connector->statistics.malformed++;
			note_lost(connector, 0);
		}
	}
}

/* Return: true where the socket is empty. */
static bool connector_read(struct connector *connector, uint64_t *ret_n)
{
	uint64_t before = connector->statistics.events;
	bool empty = false;

	for (unsigned int i = 0; i < CONNECTOR_BATCH / DATAGRAMS && !empty; i++) {
		size_t n;
		int r;

		r = netlink_batch_receive(connector->datagrams, netlink_fd(connector->netlink), &n);
		if (r == 0)
			connector_decode_batch(connector, n);
		else if (r == NETLINK_OVERRUN)
			note_overrun(connector);
		else
			/* A socket that fails is asked again with the next sign. */
			empty = true;
	}

	*ret_n = connector->statistics.events - before;
	return empty;
}

/* The longer things go on, the later it reads; but not so late that it is too much. */
static void connector_grow(struct connector *connector, uint64_t n)
{
	if (n > FULL || n * EVENT_CHARGE > connector->n_buffer / 2)
		connector->pause_us = connector->pause_us / 2;
	else if (connector->prompt)
		connector->pause_us = CONNECTOR_PAUSE_MIN_US;
	else if (n < FULL / 4)
		connector->pause_us = connector->pause_us * 2;
	if (connector->pause_us < CONNECTOR_PAUSE_MIN_US)
		connector->pause_us = CONNECTOR_PAUSE_MIN_US;
	if (connector->pause_us > CONNECTOR_PAUSE_MAX_US)
		connector->pause_us = CONNECTOR_PAUSE_MAX_US;
}

static void connector_pace(struct connector *connector, bool again)
{
	uint64_t n = connector->n_pause;
	bool goes_on;

	connector->n_pause = 0;
	connector->read_us = now_us();
	connector_grow(connector, n);
	goes_on = n >= MANY || (n > 0 && connector->pause_us == CONNECTOR_PAUSE_MAX_US);

	if (goes_on || again)
		late_reader_wait(&connector->reader, connector->pause_us);
	else if (overrun_is_open(&connector->overrun))
		late_reader_wait(&connector->reader, OVERRUN_SHOW_NS / 1000);
	else
		late_reader_hear(&connector->reader);

	if (n < MANY && connector->prompt)
		late_reader_hear(&connector->reader);
}

static void connector_batch(struct connector *connector)
{
	uint64_t n = 0;
	bool empty, again;

	connector->statistics.batches++;
	connector->ops->begin(connector->userdata);
	empty = connector_read(connector, &n);
	connector->n_pause += n;
	if (empty && overrun_settle(&connector->overrun, now_ns()))
		note_lost(connector, 0);
	again = connector->ops->end(empty, connector->userdata);

	if (!empty)
		late_reader_wait(&connector->reader, 0);
	else
		connector_pace(connector, again);
}

/* Before the acknowledgement events may come already; what they tell the scan will. */
static void connector_await(struct connector *connector)
{
	for (unsigned int i = 0; i < CONNECTOR_BATCH; i++) {
		uint8_t data[DATAGRAM_MAX];
		struct wire_proc_event event;
		size_t n_data, offset = 0;
		int r;

		r = netlink_receive(connector->netlink, data, sizeof(data), &n_data);
		if (r == NETLINK_EMPTY || r < 0)
			break;
		/* It goes on beyond the acknowledgement. */
		if (r == NETLINK_OVERRUN)
			note_overrun(connector);
		if (r != 0)
			continue;
		while (wire_proc_next(data, n_data, &offset, &event) > 0) {
			uint64_t lost;

			(void)wire_proc_sequence_note(&connector->sequence, &event, &lost);
			if (event.kind != WIRE_PROC_ACK || event.ack != connector->ack + 1)
				continue;
			if (event.error != 0) {
				connector_fail(connector, -(int)event.error);
				return;
			}
			connector->started = true;
			late_reader_wait(&connector->reader, CONNECTOR_PAUSE_MIN_US);
			connector->ops->started(0, connector->userdata);
			return;
		}
	}

	late_reader_hear(&connector->reader);
}

/* Who was silent is told of soon. */
static void connector_sign(struct connector *connector)
{
	if (now_us() > connector->read_us + CONNECTOR_PAUSE_MAX_US)
		connector->pause_us = CONNECTOR_PAUSE_MIN_US;
	late_reader_wait(&connector->reader, connector->pause_us);
}

static void on_sign(void *userdata)
{
	struct connector *connector = userdata;

	if (!connector->started)
		connector_await(connector);
	else if (connector->prompt && connector->ops->prompt(connector->userdata))
		connector_batch(connector);
	else
		connector_sign(connector);
}

static void on_due(void *userdata)
{
	struct connector *connector = userdata;

	if (!connector->started)
		connector_fail(connector, -ETIMEDOUT);
	else
		connector_batch(connector);
}

static const struct late_reader_ops reader_ops = {
	.sign = on_sign,
	.due = on_due,
};

/* The answer is waited for. */
static int connector_start_reader(struct connector *connector)
{
	const struct late_reader_options options = {
		.fd = netlink_fd(connector->netlink),
		.name = "connector",
		.ops = &reader_ops,
		.userdata = connector,
	};
	int r;

	r = late_reader_start(&connector->reader, connector->loop, &options);
	if (r < 0)
		return r;
	late_reader_wait(&connector->reader, ACKNOWLEDGE_US);
	late_reader_hear(&connector->reader);
	return 0;
}

int connector_new(struct connector **ret, sd_event *loop, const struct connector_options *options,
		  const struct process_events_ops *ops, void *userdata)
{
	struct connector *connector;

	assert(ret);
	assert(loop);
	assert(options);
	assert(ops && ops->started && ops->begin && ops->event && ops->lost && ops->end);

	connector = calloc(1, sizeof(*connector));
	if (!connector)
		return -ENOMEM;

	connector->loop = sd_event_ref(loop);
	connector->n_buffer = options->buffer ? options->buffer : CONNECTOR_BUFFER;
	connector->ops = ops;
	connector->userdata = userdata;

	*ret = connector;
	return 0;
}

int connector_start(struct connector *connector)
{
	int r;

	assert(connector);

	if (connector->netlink)
		return -EALREADY;

	r = netlink_new(&connector->netlink, NETLINK_CONNECTOR, 1U << (CN_IDX_PROC - 1),
			(int)connector->n_buffer);
	if (r < 0)
		return r;
	r = netlink_batch_new(&connector->datagrams, DATAGRAMS, DATAGRAM_MAX);
	if (r < 0) {
		connector->netlink = netlink_free(connector->netlink);
		return r;
	}

	connector->pause_us = CONNECTOR_PAUSE_MIN_US;
	connector->read_us = 0;
	connector->n_pause = 0;
	connector->overrun = (struct overrun){};
	/* So that the answers to others are not taken for ours. */
	if (getrandom(&connector->ack, sizeof(connector->ack), GRND_NONBLOCK) < 0)
		connector->ack = (uint32_t)getpid();

	r = connector_start_reader(connector);
	if (r >= 0)
		r = connector_ask(connector, PROC_CN_MCAST_LISTEN);
	if (r < 0)
		connector_stop(connector);
	return r < 0 ? r : 0;
}

void connector_stop(struct connector *connector)
{
	assert(connector);

	if (!connector->netlink)
		return;

	/* The kernel counts who listens by what they say: closing alone leaves it at work. */
	(void)connector_ask(connector, PROC_CN_MCAST_IGNORE);
	late_reader_stop(&connector->reader);
	connector->netlink = netlink_free(connector->netlink);
	connector->datagrams = netlink_batch_free(connector->datagrams);
	connector->started = false;
	wire_proc_sequence_deinit(&connector->sequence);
}

void connector_kick(struct connector *connector)
{
	assert(connector);

	if (connector->started)
		late_reader_wait(&connector->reader, 0);
}

void connector_set_prompt(struct connector *connector, bool prompt)
{
	assert(connector);
	assert(connector->ops->prompt || !prompt);

	connector->prompt = prompt;
}

bool connector_is_started(const struct connector *connector)
{
	assert(connector);

	return connector->started;
}

struct connector *connector_free(struct connector *connector)
{
	if (!connector)
		return NULL;

	connector_stop(connector);
	sd_event_unref(connector->loop);
	free(connector);
	return NULL;
}

void connector_statistics(const struct connector *connector, struct process_events_statistics *ret)
{
	assert(connector);
	assert(ret);

	*ret = connector->statistics;
}
