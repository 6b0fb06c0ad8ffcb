/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "daemon/bus/pump.h"
#include "daemon/bus/pump-socket.h"

/* Messages handled per wake-up and direction. */
#define PUMP_BATCH 32

#define INNER_BUFFER (64 << 10)

/*
 * Before sd-bus, so that the bytes of one reply are counted before the next
 * call is handled. It cannot starve the rest of the loop: it waits for sd-bus
 * as soon as the small buffer between them is full.
 */
#define PUMP_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 1)

struct pump {
	sd_event *loop;
	sd_event_source *real;
	sd_event_source *inner;
	sd_event_source *stuck;
	struct strangers *strangers;
	const struct pump_ops *ops;
	void *userdata;
	int real_fd;
	int inner_fd;
	int null_fd;
	struct auth auth;
	struct reader from_bus;
	struct reader from_us;
	struct queue to_us;
	struct queue to_bus;
	uint64_t bytes_out_armed; /* bytes_out when the stuck timer was set */
	bool stuck_armed;
	struct pump_statistics statistics;
};

/* Those of a message that goes no further. */
static void pump_forget_fds(struct pump *pump)
{
	pump->statistics.descriptors_refused +=
		reader_give_fds(&pump->from_bus, NULL, pump->strangers);
}

static void pump_incoming(struct pump *pump, struct pump_message *message, bool truncated)
{
	_cleanup_(pump_message_freep) struct pump_message *owned = message;
	enum pump_verdict verdict;

	if (envelope_decode(&message->envelope, message->data, message->n_data) < 0) {
		pump_forget_fds(pump);
		return;
	}

	if (message->cut) {
		pump->statistics.messages_cut++;
		envelope_drop_body(&message->envelope, message->data);
	}
	pump->statistics.descriptors_refused +=
		reader_give_fds(&pump->from_bus, message, pump->strangers);
	message_admit_fds(message, pump->null_fd, truncated);

	verdict = pump->ops->incoming(message, pump->userdata);
	if (verdict == PUMP_DROP)
		return;
	message = TAKE_PTR(owned);
	if (verdict == PUMP_PASS)
		queue_push(&pump->to_us, message);
}

/* Return: 1 when something was read, 0 when there is nothing, negative errno. */
static int pump_read_bus(struct pump *pump)
{
	struct pump_message *message = NULL;
	struct reader *reader = &pump->from_bus;
	bool truncated;
	int r;

	if (!auth_is_done(&pump->auth)) {
		r = auth_read_bus(&pump->auth, pump->real_fd, &message);
		if (r > 0)
			queue_push(&pump->to_us, message);
		return r;
	}

	/*
	 * Nothing is installed then: the kernel drops descriptors unseen. It
	 * may wait for that, hence it is the last resort.
	 */
	reader->blind = strangers_lost(pump->strangers);
	r = reader_read(reader, pump->real_fd, &message);
	if (r <= 0)
		return r;

	if (message) {
		pump->statistics.bytes_in += message->n_data;
		truncated = reader->truncated;
		reader->truncated = false;
		pump_incoming(pump, message, truncated);
	} else if (reader_is_skipping(reader)) {
		pump_forget_fds(pump);
		reader->truncated = false;
	}
	return 1;
}

static int pump_outgoing(struct pump *pump, struct pump_message *message)
{
	_cleanup_(pump_message_freep) struct pump_message *owned = message;
	struct reader *reader = &pump->from_us;
	bool truncated = reader->truncated;
	int r;

	r = envelope_decode(&message->envelope, message->data, message->n_data);
	if (r < 0)
		return r;

	memcpy(message->fds, reader->fds, reader->n_fds * sizeof(int));
	message->n_fds = reader->n_fds;
	reader->n_fds = 0;
	reader->truncated = false;

	/* A bus ends the connection over a message that lacks what it promises. */
	if (truncated || message->n_fds != message->envelope.n_fds) {
		struct envelope call = {
			.sender = message->envelope.destination,
			.serial = message->envelope.reply_serial,
		};

		if (call.sender && call.serial)
			pump_refuse(pump, &call, "org.freedesktop.DBus.Error.LimitsExceeded",
				    "No descriptors are left in the daemon; try again later");
		return 0;
	}

	pump->ops->outgoing(&message->envelope, message->n_data, pump->userdata);
	queue_push(&pump->to_bus, TAKE_PTR(owned));
	return 0;
}

static int pump_read_us(struct pump *pump)
{
	struct pump_message *message = NULL;
	int r;

	if (!pump->auth.begun) {
		r = auth_read_us(&pump->auth, pump->inner_fd, &message);
		if (r > 0)
			queue_push(&pump->to_bus, message);
		return r;
	}

	r = reader_read(&pump->from_us, pump->inner_fd, &message);
	if (r <= 0 || !message)
		return r;

	r = pump_outgoing(pump, message);
	return r < 0 ? r : 1;
}

static int pump_flush(struct pump *pump, struct queue *queue, int fd)
{
	while (queue->first) {
		ssize_t n = message_send(queue->first, fd, pump->null_fd);

		if (n == -ETOOMANYREFS) {
			message_drop_fds(queue->first);
			continue;
		}
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;

		queue->n_bytes -= (size_t)n;
		if (queue == &pump->to_bus)
			pump->statistics.bytes_out += (uint64_t)n;
		if (queue->first->n_done == queue->first->n_data)
			(void)pump_message_free(queue_pop(queue));
	}
	return 0;
}

static bool pump_may_read_bus(const struct pump *pump)
{
	return !pump->to_us.first && pump->to_bus.n_bytes < PUMP_PAUSE &&
	       (!strangers_full(pump->strangers) || strangers_lost(pump->strangers));
}

static int pump_relay(struct pump *pump)
{
	int r;

	r = pump_flush(pump, &pump->to_us, pump->inner_fd);

	for (unsigned int i = 0; r >= 0 && i < PUMP_BATCH && pump->to_bus.n_bytes < 2 * PUMP_PAUSE;
	     i++) {
		r = pump_read_us(pump);
		if (r == 0)
			break;
	}
	if (r < 0)
		return r;

	r = pump_flush(pump, &pump->to_bus, pump->real_fd);
	if (r < 0)
		return r;

	for (unsigned int i = 0; i < PUMP_BATCH && pump_may_read_bus(pump); i++) {
		r = pump_read_bus(pump);
		if (r <= 0)
			break;
		r = pump_flush(pump, &pump->to_us, pump->inner_fd);
		if (r < 0)
			break;
	}
	return r < 0 ? r : 0;
}

static void pump_update_stuck(struct pump *pump)
{
	uint64_t now;

	if (!pump->to_bus.first) {
		if (pump->stuck_armed)
			(void)sd_event_source_set_enabled(pump->stuck, SD_EVENT_OFF);
		pump->stuck_armed = false;
		return;
	}

	if (pump->stuck_armed && pump->bytes_out_armed == pump->statistics.bytes_out)
		return;

	(void)sd_event_now(pump->loop, CLOCK_MONOTONIC, &now);
	(void)sd_event_source_set_time(pump->stuck, now + PUMP_STUCK_US);
	(void)sd_event_source_set_enabled(pump->stuck, SD_EVENT_ONESHOT);
	pump->bytes_out_armed = pump->statistics.bytes_out;
	pump->stuck_armed = true;
}

static void pump_update(struct pump *pump)
{
	uint32_t real = 0, inner = 0;

	if (pump_may_read_bus(pump))
		real |= EPOLLIN;
	if (pump->to_bus.first)
		real |= EPOLLOUT;
	if (pump->to_bus.n_bytes < 2 * PUMP_PAUSE)
		inner |= EPOLLIN;
	if (pump->to_us.first)
		inner |= EPOLLOUT;

	(void)sd_event_source_set_io_events(pump->real, real);
	(void)sd_event_source_set_io_events(pump->inner, inner);
	pump_update_stuck(pump);
}

static void pump_fail(struct pump *pump, int error)
{
	(void)sd_event_source_set_enabled(pump->real, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(pump->inner, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(pump->stuck, SD_EVENT_OFF);
	pump->ops->closed(error, pump->userdata);
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct pump *pump = userdata;
	int r;

	r = pump_relay(pump);
	/* A hang-up is always reported, also while reading pauses. */
	if (r >= 0 && (revents & (EPOLLHUP | EPOLLERR)) && !(revents & EPOLLIN))
		r = -ECONNRESET;
	if (r < 0) {
		pump_fail(pump, r);
		return 0;
	}

	pump_update(pump);
	return 0;
}

static int on_stuck(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct pump *pump = userdata;

	pump->stuck_armed = false;
	if (pump->bytes_out_armed == pump->statistics.bytes_out)
		pump_fail(pump, -ETIMEDOUT);
	else
		pump_update_stuck(pump);
	return 0;
}

static int pump_add_sources(struct pump *pump)
{
	int r;

	r = sd_event_add_io(pump->loop, &pump->real, pump->real_fd, EPOLLIN, on_ready, pump);
	if (r < 0)
		return r;
	r = sd_event_add_io(pump->loop, &pump->inner, pump->inner_fd, EPOLLIN, on_ready, pump);
	if (r < 0)
		return r;
	r = sd_event_add_time(pump->loop, &pump->stuck, CLOCK_MONOTONIC, 0, 1000 * 1000, on_stuck,
			      pump);
	if (r < 0)
		return r;

	(void)sd_event_source_set_enabled(pump->stuck, SD_EVENT_OFF);
	(void)sd_event_source_set_description(pump->real, "bus-socket");
	(void)sd_event_source_set_description(pump->inner, "bus-library");
	(void)sd_event_source_set_description(pump->stuck, "bus-stuck");
	(void)sd_event_source_set_exit_on_failure(pump->real, true);
	(void)sd_event_source_set_exit_on_failure(pump->inner, true);
	(void)sd_event_source_set_exit_on_failure(pump->stuck, true);
	(void)sd_event_source_set_priority(pump->real, PUMP_PRIORITY);
	(void)sd_event_source_set_priority(pump->inner, PUMP_PRIORITY);
	return 0;
}

int pump_new(struct pump **ret, int *ret_fd, sd_event *loop, const struct pump_ends *ends,
	     const struct pump_ops *ops, void *userdata)
{
	_cleanup_(pump_freep) struct pump *pump = NULL;
	_cleanup_close_ int ours = -1;
	int pair[2];
	int r;

	assert(ret && ret_fd);
	assert(loop);
	assert(ends && ends->strangers && ends->bus_fd >= 0);
	assert(ops && ops->incoming && ops->outgoing && ops->closed);

	pump = calloc(1, sizeof(*pump));
	if (!pump)
		return -ENOMEM;

	pump->real_fd = -1;
	pump->inner_fd = -1;
	pump->null_fd = -1;
	pump->loop = sd_event_ref(loop);
	pump->strangers = ends->strangers;
	pump->ops = ops;
	pump->userdata = userdata;
	pump->from_bus.header_max = PUMP_HEADER_MAX;
	pump->from_bus.message_max = PUMP_MESSAGE_MAX;
	pump->from_us.header_max = ENVELOPE_TOTAL_MAX;
	pump->from_us.message_max = ENVELOPE_TOTAL_MAX;
	queue_init(&pump->to_us);
	queue_init(&pump->to_bus);

	pump->null_fd = open("/dev/null", O_PATH | O_CLOEXEC);
	if (pump->null_fd < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	pump->inner_fd = pair[0];
	ours = pair[1];

	pump->real_fd = ends->bus_fd;
	r = pump_add_sources(pump);
	if (r < 0) {
		pump->real_fd = -1;
		return r;
	}

	*ret_fd = TAKE_FD(ours);
	*ret = TAKE_PTR(pump);
	return 0;
}

struct pump *pump_free(struct pump *pump)
{
	if (!pump)
		return NULL;

	pump_forget_fds(pump);
	queue_deinit(&pump->to_us);
	queue_deinit(&pump->to_bus);
	reader_deinit(&pump->from_bus);
	reader_deinit(&pump->from_us);
	sd_event_source_disable_unref(pump->real);
	sd_event_source_disable_unref(pump->inner);
	sd_event_source_disable_unref(pump->stuck);
	sd_event_unref(pump->loop);
	closep(&pump->null_fd);
	closep(&pump->inner_fd);
	closep(&pump->real_fd);
	free(pump);
	return NULL;
}

void pump_deliver(struct pump *pump, struct pump_message *message)
{
	assert(pump);
	assert(message);

	queue_push(&pump->to_us, message);
	/* Sent from the loop: this may be called from within sd-bus. */
	pump_update(pump);
}

void pump_refuse(struct pump *pump, const struct envelope *call, const char *name, const char *text)
{
	_cleanup_(pump_message_freep) struct pump_message *message = NULL;

	assert(pump);
	assert(call && call->sender);

	if (call->no_reply)
		return;
	message = calloc(1, sizeof(*message));
	if (!message)
		return;
	if (envelope_refuse(&message->data, &message->n_data, call, name, text) < 0)
		return;
	if (envelope_decode(&message->envelope, message->data, message->n_data) < 0)
		return;

	pump->ops->outgoing(&message->envelope, message->n_data, pump->userdata);
	queue_push(&pump->to_bus, TAKE_PTR(message));
	pump_update(pump);
}

void pump_resume(struct pump *pump)
{
	assert(pump);

	pump_update(pump);
}

size_t pump_queued(const struct pump *pump)
{
	return pump->to_bus.n_bytes;
}

void pump_bound_inner(struct pump *pump, int fd)
{
	const int size = INNER_BUFFER;

	/* The sender's buffer is what counts on a socket pair. */
	(void)setsockopt(pump->inner_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void pump_drain(struct pump *pump, uint64_t deadline_us)
{
	assert(pump);

	for (;;) {
		struct pollfd poller = { .fd = pump->real_fd, .events = POLLOUT };
		uint64_t now = now_us();
		int r;

		while ((r = pump_read_us(pump)) > 0)
			;
		if (pump_flush(pump, &pump->to_bus, pump->real_fd) < 0)
			return;
		if (!pump->to_bus.first || now >= deadline_us)
			return;
		(void)poll(&poller, 1, (int)((deadline_us - now + 999) / 1000));
	}
}

void pump_statistics(const struct pump *pump, struct pump_statistics *ret)
{
	*ret = pump->statistics;
}
