/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/output/packet-stream.h"
#include "daemon/output/stream.h"

/* As all streams: below the bus. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

struct packet_stream {
	int fd;
	sd_event_source *io; /* EPOLLOUT while blocked, else only the hang-up */
	const struct packet_stream_ops *ops;
	void *userdata;
};

static void set_blocked(struct packet_stream *stream, bool blocked)
{
	int r;

	r = sd_event_source_set_io_events(stream->io, blocked ? EPOLLOUT : 0);
	assert(r >= 0);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct packet_stream *stream = userdata;

	if (revents & (EPOLLHUP | EPOLLERR)) {
		stream->ops->closed(stream, stream->userdata);
		return 0;
	}
	set_blocked(stream, false);
	stream->ops->writable(stream, stream->userdata);
	return 0;
}

int packet_stream_send(struct packet_stream *stream, const void *packet, size_t n)
{
	assert(stream);
	assert(packet && n > 0);

	if (send(stream->fd, packet, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;

	/* Where it has gone, that is told as well. */
	set_blocked(stream, true);
	return -EAGAIN;
}

int packet_stream_new(struct packet_stream **ret, int *ret_fd, sd_event *loop,
		      const struct packet_stream_ops *ops, void *userdata)
{
	_cleanup_(packet_stream_freep) struct packet_stream *stream = NULL;
	_cleanup_close_ int client = -1;
	int r;

	assert(ret);
	assert(ret_fd);
	assert(loop);
	assert(ops && ops->writable && ops->closed);

	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	stream->fd = -1;
	stream->ops = ops;
	stream->userdata = userdata;

	r = stream_make_sockets(&stream->fd, &client);
	if (r < 0)
		return r;
	/* No input: that end is shut, which would count as readable for ever. */
	r = sd_event_add_io(loop, &stream->io, stream->fd, 0, on_io, stream);
	if (r < 0)
		return r;
	r = sd_event_source_set_priority(stream->io, PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_exit_on_failure(stream->io, true);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(stream->io, "packet-stream");

	*ret_fd = TAKE_FD(client);
	*ret = TAKE_PTR(stream);
	return 0;
}

int packet_stream_take_fd(struct packet_stream *stream)
{
	assert(stream);

	stream->io = sd_event_source_disable_unref(stream->io);
	return TAKE_FD(stream->fd);
}

struct packet_stream *packet_stream_free(struct packet_stream *stream)
{
	if (!stream)
		return NULL;

	sd_event_source_disable_unref(stream->io);
	if (stream->fd >= 0)
		close(stream->fd);
	free(stream);
	return NULL;
}
