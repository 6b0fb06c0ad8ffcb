/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The pump between the bus and sd-bus
 *
 * sd-bus is not connected to the bus but to a socket pair; the pump relays
 * whole messages between its other end and the real socket. It is there for
 * two things that sd-bus cannot do:
 *
 * - Anybody may attach descriptors to any message. sd-bus closes them when it
 *   drops the message, on the event loop, also of messages that it answers
 *   itself or throws away; and close() of a file whose filesystem is somebody's
 *   program may never return (stranger.h). The pump looks at each descriptor
 *   with fcntl(F_GETFL) and readlink() only. Those opened with O_PATH and pidfds can be
 *   closed without asking anybody and pass. Each other one is replaced by /dev/null opened
 *   with O_PATH, so that their order stays, and given to strangers_close().
 *   Where descriptors are scarce, too many or did not all arrive, the message
 *   passes without any: at the descriptor limit sd-bus would end the
 *   connection over it.
 *
 * - Every message is seen before and after sd-bus: calls can be held until
 *   the caller is known, or refused; and what is sent is counted by receiver,
 *   also the replies that sd-bus makes itself.
 *
 * Authentication passes through; the credentials on the real socket are the
 * process's. All is non-blocking. Memory is bounded: a message from the bus
 * has at most PUMP_MESSAGE_MAX bytes (a longer one passes without its body,
 * marked as cut), no further one is read while sd-bus has not taken the last
 * or PUMP_PAUSE bytes wait for the bus. A bus that takes nothing for
 * PUMP_STUCK_US is given up: a dbus-daemon that has stopped to read us, since
 * somebody else reads nothing of what we sent, starts afresh with a new connection.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/bus/stranger.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/envelope.h"

#define PUMP_MESSAGE_MAX (256U << 10)
#define PUMP_HEADER_MAX (64U << 10)
#define PUMP_PAUSE (4U << 20)
#define PUMP_STUCK_US (10 * 1000 * 1000)

/* No method takes more; a bus allows 16 and more in a message. */
#define PUMP_FDS_PASS 4
#define PUMP_FDS_MAX 16

struct pump;

struct pump_message {
	struct pump_message *next;
	uint8_t *data;
	size_t n_data;
	size_t n_done;
	struct envelope envelope; /* valid unless part of the authentication */
	int fds[PUMP_FDS_MAX]; /* owned; -1: /dev/null takes the place */
	size_t n_fds;
	bool cut; /* its body was too large and is gone */
};

struct pump_message *pump_message_free(struct pump_message *message);
DEFINE_FREEP(pump_message, pump_message_free)

enum pump_verdict {
	PUMP_PASS, /* on to sd-bus */
	PUMP_TAKEN, /* owned by the callee now */
	PUMP_DROP,
};

struct pump_ops {
	/* A message from the bus, whole. */
	enum pump_verdict (*incoming)(struct pump_message *message, void *userdata);
	/* A message to the bus, before it is sent. */
	void (*outgoing)(const struct envelope *envelope, size_t n, void *userdata);
	/* Connection lost, nothing is relayed any more. The pump may be freed in it. */
	void (*closed)(int error, void *userdata);
};

struct pump_ends {
	int bus_fd; /* connected to the bus, non-blocking */
	struct strangers *strangers; /* borrowed */
};

/**
 * pump_new() - begin to relay
 * @ret_fd:	the end for sd-bus, owned by the caller
 * @ends:	of it, ->bus_fd is owned on success
 *
 * Return: 0 or a negative errno.
 */
int pump_new(struct pump **ret, int *ret_fd, sd_event *loop, const struct pump_ends *ends,
	     const struct pump_ops *ops, void *userdata);
struct pump *pump_free(struct pump *pump);
DEFINE_FREEP(pump, pump_free)

/** pump_deliver() - hand on a message that was taken; owned by the pump from now on */
void pump_deliver(struct pump *pump, struct pump_message *message);

/** pump_refuse() - answer a call with an error without sd-bus; counted as outgoing; none where none is expected */
void pump_refuse(struct pump *pump, const struct envelope *call, const char *name,
		 const char *text);

/** pump_resume() - what strangers_full() says may have changed */
void pump_resume(struct pump *pump);

/** pump_queued() - bytes that the bus has not taken yet */
size_t pump_queued(const struct pump *pump);

/** pump_bound_inner() - keep what waits between the two small; once sd-bus has set its buffers up */
void pump_bound_inner(struct pump *pump, int fd);

/** pump_drain() - relay what sd-bus has written, waiting for the bus until @deadline_us (monotonic) */
void pump_drain(struct pump *pump, uint64_t deadline_us);

struct pump_statistics {
	uint64_t bytes_in, bytes_out;
	uint64_t descriptors_refused;
	uint64_t messages_cut;
};
void pump_statistics(const struct pump *pump, struct pump_statistics *ret);
