/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The sockets of the pump
 *
 * Reads one whole message at a time off a stream, never a byte of the next:
 * descriptors belong to the message whose bytes they came with, and the
 * kernel attaches them to bytes. Relays the lines of the authentication
 * before. Queues what is to be sent.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/bus/pump.h"

#define SURPLUS_MAX 256 /* SCM_MAX_FD is 253 */

struct reader {
	size_t header_max; /* a message with a longer header is skipped */
	size_t message_max; /* a longer one loses its body */
	bool blind; /* receive no descriptors */

	uint8_t fixed[ENVELOPE_FIXED];
	size_t n_fixed;
	struct pump_message *message;
	size_t skip; /* bytes to throw away */
	bool truncated; /* not all descriptors arrived */
	int fds[PUMP_FDS_MAX]; /* of the message being read */
	size_t n_fds;
	int surplus[SURPLUS_MAX];
	size_t n_surplus;
};

/**
 * reader_read() - read a piece
 * @ret:	a whole message, or NULL
 *
 * Return: 1 when something was read, 0 when there is nothing now,
 * -ECONNRESET at the end, -EBADMSG where it is no message, another negative errno.
 */
int reader_read(struct reader *reader, int fd, struct pump_message **ret);
bool reader_is_skipping(const struct reader *reader);
void reader_deinit(
	struct reader *reader); /* descriptors must be given away before, except our own */

/**
 * reader_give_fds() - what to do with the descriptors of the message just read
 * @message:	gets those opened with O_PATH, and -1 for each other one; NULL:
 *		nobody wants them
 * @strangers:	gets those that cannot be closed here
 *
 * Return: how many were refused.
 */
size_t reader_give_fds(struct reader *reader, struct pump_message *message,
		       struct strangers *strangers);

/** message_drop_fds() - let it pass without any */
void message_drop_fds(struct pump_message *message);

/**
 * message_admit_fds() - drops them where sd-bus might fail over them
 * @null_fd:	a descriptor to duplicate, to see whether there is room
 * @truncated:	not all arrived
 */
void message_admit_fds(struct pump_message *message, int null_fd, bool truncated);

struct queue {
	struct pump_message *first;
	struct pump_message **tail;
	size_t n_bytes; /* not yet sent */
};

void queue_init(struct queue *queue);
void queue_deinit(struct queue *queue);
void queue_push(struct queue *queue, struct pump_message *message); /* takes it over */
struct pump_message *queue_pop(struct queue *queue);

/** message_send() - Return: bytes sent, or a negative errno (-EAGAIN: later) */
ssize_t message_send(struct pump_message *message, int fd, int null_fd);

/*
 * Authentication: lines both ways until ours says BEGIN and each line before
 * it was answered by one.
 */
struct auth {
	char line[8];
	size_t n_line;
	unsigned int asked;
	unsigned int answered;
	bool begun;
};

bool auth_is_done(const struct auth *auth);

/* As reader_read(); @ret is set whenever 1 is returned. -EPROTO: bytes after the last line. */
int auth_read_us(struct auth *auth, int fd, struct pump_message **ret);
int auth_read_bus(struct auth *auth, int fd, struct pump_message **ret);
