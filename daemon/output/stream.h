/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Stream of events
 *
 * The daemon's end of what OpenEvents gives: a SOCK_SEQPACKET pair with
 * records of fsevents_stream.h. A stream has no queue of its own; it knows
 * the last id that it sent and reads on from the history when the socket has
 * room. What the history dropped meanwhile becomes a LOST record in its
 * place, and a gap where a run of the daemon ended abruptly one of its own.
 * Hence a client that never reads costs one socket buffer, and replay
 * and live are one and the same.
 *
 * The daemon's end is shut for reading and the client's for writing, so that
 * nobody can store data or descriptors in it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/history.h"

/* Kernel memory of a stream's socket, doubled by the kernel; charged to the user by the caller. */
#define STREAM_BUFFER 65536

/**
 * stream_make_sockets() - the two ends of any stream
 *
 * Ours is shut for reading and does not wait, the client's is shut for writing.
 * Return: 0 or a negative errno.
 */
int stream_make_sockets(int *ret_ours, int *ret_client);

struct stream;

struct stream_ops {
	/* The history to read from; the same one for the stream's life. */
	const struct history *(*history)(void *userdata);

	/*
	 * The client has gone or its end broke. Called once, from the loop,
	 * never from within a call to this file; stream_free() is allowed.
	 */
	void (*closed)(struct stream *stream, void *userdata);
};

struct stream_options {
	uint64_t since_id; /* 0: all that is kept; above the newest: likewise, marked reset */
	uint64_t first_id; /* of this epoch, 0: not known; a lesser ->since_id is reset too */
	bool private; /* with private details */
	const char *epoch; /* copied */
};

/**
 * stream_new() - make a stream and the client's end of it
 * @ret_fd:	the client's end, owned by the caller, close-on-exec
 * @ops:	borrowed for the stream's life
 *
 * The first packet goes out from the loop. Return: 0 or a negative errno.
 */
int stream_new(struct stream **ret, int *ret_fd, sd_event *loop,
	       const struct stream_options *options, const struct stream_ops *ops, void *userdata);

/** stream_free() - the client reads what was sent and then the end */
struct stream *stream_free(struct stream *stream);
DEFINE_FREEP(stream, stream_free)

/** stream_take_fd() - the daemon's end, owned by the caller; then comes stream_free() and nothing else */
int stream_take_fd(struct stream *stream);

/**
 * stream_kick() - the history has a new event or amendment
 *
 * To be called after each history_push() and history_amend(): a few are sent
 * together, later from the loop; many at once are sent from here, before the
 * history has to drop them.
 */
void stream_kick(struct stream *stream);

struct stream_statistics {
	uint64_t sent; /* events */
	uint64_t lost; /* events that the client was told it does not get; gaps do not count */
	uint64_t packets;
	uint64_t wakeups; /* of the loop, for this stream */
};
void stream_statistics(const struct stream *stream, struct stream_statistics *ret);
