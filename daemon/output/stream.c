/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/core/record.h"
#include "daemon/output/stream.h"
#include "include/fsevents_stream.h"

/* A fraction of the socket's buffer, so that a slow reader makes room soon. */
#define STREAM_PACKET 16384

/* Packets sent per wake-up, so that a long replay cannot starve the bus. */
#define STREAM_BATCH 8

/* Events that may wait for the loop; more are sent from stream_kick(). */
#define STREAM_LAG 32

/* Below the bus, which stays responsive in a flood. */
#define STREAM_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

static_assert(STREAM_PACKET >= RECORD_MAX + 2 * sizeof(struct fsevents_lost),
	      "a packet takes any one record with the loss before it");
static_assert(STREAM_PACKET <= FSEVENTS_PACKET_MAX, "as specified");

enum {
	_STREAM_E_SUCCESS,

	STREAM_E_BLOCKED, /* the socket is full */
	STREAM_E_EMPTY, /* all is sent */
};

struct stream {
	int fd;
	sd_event_source *io; /* EPOLLOUT while blocked, else only the hang-up */
	sd_event_source *later; /* one more round of the loop, then send */
	const struct stream_ops *ops;
	void *userdata;

	/* What the client has, or knows that it lacks. */
	uint64_t last_id;
	uint64_t amendment_seq;
	bool greeted;
	bool reset;
	bool private;
	bool blocked;
	bool closed;
	char epoch[40];

	struct stream_statistics statistics;
};

/* The packet being filled, and the stream's state once it is sent. */
struct packet {
	size_t n;
	uint64_t last_id;
	uint64_t amendment_seq;
	uint64_t sent, lost;
	bool greeted;
	_Alignas(8) uint8_t data[STREAM_PACKET];
};

static bool packet_take(struct packet *packet, size_t n)
{
	packet->n += n;
	return n > 0;
}

static void packet_put_hello(struct packet *packet, const struct stream *stream,
			     const struct history *history)
{
	const struct record_hello hello = {
		.since_id = stream->last_id,
		.oldest_id = history_oldest(history),
		.newest_id = history_newest(history),
		.reset = stream->reset,
		.epoch = stream->epoch,
	};

	if (packet->greeted)
		return;

	/* It is the first one of an empty packet. */
	packet_take(packet, record_put_hello(packet->data, STREAM_PACKET, &hello));
	packet->greeted = true;
}

/*
 * Amendments of events that were sent before they were amended. Those of
 * later events are passed over: the events will come with them.
 */
static bool packet_put_amendments(struct packet *packet, const struct history *history)
{
	struct history_amendment amendment;

	while (history_amendment_after(history, packet->amendment_seq, &amendment)) {
		bool fits = true;

		if (amendment.gap && packet->last_id >= history_oldest(history))
			fits = packet_take(packet,
					   record_put_lost(packet->data + packet->n,
							   STREAM_PACKET - packet->n,
							   history_oldest(history), packet->last_id,
							   FSEVENTS_LOST_AMENDS));
		if (fits && amendment.id <= packet->last_id)
			fits = packet_take(packet,
					   record_put_amend(packet->data + packet->n,
							    STREAM_PACKET - packet->n, amendment.id,
							    amendment.data, amendment.n_data));
		if (!fits)
			return false;
		packet->amendment_seq = amendment.seq;
	}

	packet->amendment_seq = history_amendment_seq(history);
	return true;
}

/* From behind the last id of the packet to @last_id: what is a gap, and what is not, apart. */
static bool packet_put_lost(struct packet *packet, const struct history *history, uint64_t last_id)
{
	while (packet->last_id < last_id) {
		uint64_t first = packet->last_id + 1, last = last_id;
		struct history_gap gap;
		uint32_t flags = 0;

		if (history_gap_after(history, packet->last_id, &gap)) {
			flags = gap.first_id <= first ? FSEVENTS_LOST_UNKNOWN : 0;
			if (flags && gap.last_id < last)
				last = gap.last_id;
			else if (!flags && gap.first_id <= last)
				last = gap.first_id - 1;
		}

		if (!packet_take(packet,
				 record_put_lost(packet->data + packet->n,
						 STREAM_PACKET - packet->n, first, last, flags)))
			return false;
		if (!flags)
			packet->lost += last - packet->last_id;
		packet->last_id = last;
	}

	return true;
}

static void packet_put_events(struct packet *packet, const struct history *history, bool private)
{
	const struct event *event;

	while ((event = history_after(history, packet->last_id))) {
		if (event->id > packet->last_id + 1 &&
		    !packet_put_lost(packet, history, event->id - 1))
			return;
		if (!packet_take(packet,
				 record_put_event(packet->data + packet->n,
						  STREAM_PACKET - packet->n, event, private)))
			return;
		packet->last_id = event->id;
		packet->sent++;
	}

	/* Numbered, and not kept or not any more. */
	if (history_newest(history) > packet->last_id)
		packet_put_lost(packet, history, history_newest(history));
}

/* One packet. Return: 0, STREAM_E_..., or a negative errno: the client has gone. */
static int stream_send(struct stream *stream)
{
	const struct history *history = stream->ops->history(stream->userdata);
	struct packet packet;
	ssize_t n;

	packet.n = 0;
	packet.sent = 0;
	packet.lost = 0;
	packet.last_id = stream->last_id;
	packet.amendment_seq = stream->amendment_seq;
	packet.greeted = stream->greeted;

	packet_put_hello(&packet, stream, history);
	if (!stream->private || packet_put_amendments(&packet, history))
		packet_put_events(&packet, history, stream->private);

	if (packet.n > 0) {
		n = send(stream->fd, packet.data, packet.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 &&
		    (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM))
			return STREAM_E_BLOCKED;
		if (n < 0)
			return -errno;
		stream->statistics.packets++;
	}

	stream->greeted = true;
	stream->last_id = packet.last_id;
	stream->amendment_seq = packet.amendment_seq;
	stream->statistics.sent += packet.sent;
	stream->statistics.lost += packet.lost;
	return packet.n > 0 ? 0 : STREAM_E_EMPTY;
}

static void stream_send_later(struct stream *stream)
{
	int r;

	r = sd_event_source_set_enabled(stream->later, SD_EVENT_ONESHOT);
	assert(r >= 0);
}

static void stream_set_blocked(struct stream *stream, bool blocked)
{
	int r;

	if (stream->blocked == blocked)
		return;

	stream->blocked = blocked;
	r = sd_event_source_set_io_events(stream->io, blocked ? EPOLLOUT : 0);
	assert(r >= 0);
}

static void stream_set_closed(struct stream *stream)
{
	int r;

	stream->closed = true;
	/* A hang-up would be told again and again until somebody frees the stream. */
	r = sd_event_source_set_enabled(stream->io, SD_EVENT_OFF);
	assert(r >= 0);
	stream_send_later(stream);
}

/* Sends what there is, within the bound for one wake-up. */
static void stream_flush(struct stream *stream)
{
	for (unsigned int i = 0; i < STREAM_BATCH; i++) {
		int r = stream_send(stream);

		if (r < 0) {
			stream_set_closed(stream);
			return;
		}
		if (r > 0) {
			stream_set_blocked(stream, r == STREAM_E_BLOCKED);
			return;
		}
	}

	stream_set_blocked(stream, false);
	stream_send_later(stream);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct stream *stream = userdata;

	stream->statistics.wakeups++;
	if (revents & (EPOLLHUP | EPOLLERR))
		stream_set_closed(stream);
	else
		stream_flush(stream);

	return 0;
}

static int on_later(sd_event_source *source, void *userdata)
{
	struct stream *stream = userdata;

	stream->statistics.wakeups++;
	if (stream->closed)
		/* The last look: it may be freed by this. */
		stream->ops->closed(stream, stream->userdata);
	else if (!stream->blocked)
		stream_flush(stream);

	return 0;
}

void stream_kick(struct stream *stream)
{
	const struct history *history;

	assert(stream);

	if (stream->closed || stream->blocked)
		return;

	history = stream->ops->history(stream->userdata);
	if (history_newest(history) - stream->last_id < STREAM_LAG)
		stream_send_later(stream);
	else
		stream_flush(stream);
}

int stream_make_sockets(int *ret_ours, int *ret_client)
{
	_cleanup_close_ int ours = -1, client = -1;
	int fds[2], size = STREAM_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;

	ours = fds[0];
	client = fds[1];

	/* The client's flags are its own; most expect reads to wait. */
	if (fcntl(client, F_SETFL, 0) < 0)
		return -errno;
	if (setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
		return -errno;
	if (shutdown(ours, SHUT_RD) < 0 || shutdown(client, SHUT_WR) < 0)
		return -errno;

	*ret_ours = TAKE_FD(ours);
	*ret_client = TAKE_FD(client);
	return 0;
}

static int stream_add_sources(struct stream *stream, sd_event *loop)
{
	int r;

	/* No input: that end is shut, which would count as readable for ever. */
	r = sd_event_add_io(loop, &stream->io, stream->fd, 0, on_io, stream);
	if (r < 0)
		return r;

	r = sd_event_add_defer(loop, &stream->later, on_later, stream);
	if (r < 0)
		return r;

	r = sd_event_source_set_priority(stream->io, STREAM_PRIORITY);
	if (r < 0)
		return r;

	r = sd_event_source_set_priority(stream->later, STREAM_PRIORITY);
	if (r < 0)
		return r;

	r = sd_event_source_set_exit_on_failure(stream->io, true);
	if (r < 0)
		return r;

	r = sd_event_source_set_exit_on_failure(stream->later, true);
	if (r < 0)
		return r;

	(void)sd_event_source_set_description(stream->io, "stream");
	(void)sd_event_source_set_description(stream->later, "stream-later");
	return 0;
}

/* Where replay begins: what is missing before it is no loss to this client. */
static void stream_set_start(struct stream *stream, uint64_t since_id, uint64_t first_id)
{
	const struct history *history = stream->ops->history(stream->userdata);
	uint64_t oldest = history_oldest(history);

	/* The id before the first is what the newest was when the epoch began. */
	stream->reset = since_id > history_newest(history) ||
			(since_id > 0 && first_id > 0 && since_id < first_id - 1);
	stream->last_id = since_id;
	if (stream->reset || since_id == 0)
		stream->last_id = oldest > 0 ? oldest - 1 : history_newest(history);

	/* Events come with the amendments that they have by now. */
	stream->amendment_seq = history_amendment_seq(history);
}

int stream_new(struct stream **ret, int *ret_fd, sd_event *loop,
	       const struct stream_options *options, const struct stream_ops *ops, void *userdata)
{
	_cleanup_(stream_freep) struct stream *stream = NULL;
	_cleanup_close_ int client = -1;
	int r;

	assert(ret);
	assert(ret_fd);
	assert(loop);
	assert(options);
	assert(ops && ops->history && ops->closed);

	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return -ENOMEM;

	stream->fd = -1;
	stream->ops = ops;
	stream->userdata = userdata;
	stream->private = options->private;
	if (options->epoch)
		memcpy(stream->epoch, options->epoch,
		       strnlen(options->epoch, sizeof(stream->epoch) - 1));

	r = stream_make_sockets(&stream->fd, &client);
	if (r < 0)
		return r;

	r = stream_add_sources(stream, loop);
	if (r < 0)
		return r;

	stream_set_start(stream, options->since_id, options->first_id);

	*ret_fd = TAKE_FD(client);
	*ret = TAKE_PTR(stream);
	return 0;
}

int stream_take_fd(struct stream *stream)
{
	assert(stream);

	/* A descriptor is watched once. */
	stream->io = sd_event_source_disable_unref(stream->io);
	return TAKE_FD(stream->fd);
}

struct stream *stream_free(struct stream *stream)
{
	if (!stream)
		return NULL;

	sd_event_source_disable_unref(stream->later);
	sd_event_source_disable_unref(stream->io);
	if (stream->fd >= 0)
		close(stream->fd);
	free(stream);
	return NULL;
}

void stream_statistics(const struct stream *stream, struct stream_statistics *ret)
{
	assert(stream);
	assert(ret);

	*ret = stream->statistics;
}
