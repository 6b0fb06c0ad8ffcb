/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Stream of packets
 *
 * The daemon's end of what OpenStream of a process group or a watch gives: packets of records
 * of fsevents_stream.h on the same kind of socket as stream.h has. It has
 * no queue: who has one is told when there is room again.
 */

#include <stddef.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"

/* A fraction of the socket's buffer, so that a slow reader makes room soon. */
#define PACKET_STREAM_PACKET 16384

struct packet_stream;

struct packet_stream_ops {
	/* After -EAGAIN: there is room again. */
	void (*writable)(struct packet_stream *stream, void *userdata);
	/* The client has gone. From the loop, never from within a call; packet_stream_free() is allowed. */
	void (*closed)(struct packet_stream *stream, void *userdata);
};

/**
 * packet_stream_new() - make a stream and the client's end of it
 * @ret_fd:	the client's end, owned by the caller, close-on-exec
 * @ops:	borrowed for the stream's life
 *
 * Return: 0 or a negative errno.
 */
int packet_stream_new(struct packet_stream **ret, int *ret_fd, sd_event *loop,
		      const struct packet_stream_ops *ops, void *userdata);
struct packet_stream *packet_stream_free(
	struct packet_stream *stream); /* the client reads what was sent and then the end */
DEFINE_FREEP(packet_stream, packet_stream_free)

/** packet_stream_take_fd() - as stream_take_fd() */
int packet_stream_take_fd(struct packet_stream *stream);

/** packet_stream_send() - one packet; Return: 0, or -EAGAIN: not now (or never: ->closed() follows) */
int packet_stream_send(struct packet_stream *stream, const void *packet, size_t n);
