/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A socket of cardboard: readable while what the test queued waits in it;
 * include <cmocka.h> before.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/source/netlink.h"
#include "tests/unit/event-fixture.h"

struct queued {
	int outcome; /* 0: the datagram */
	struct datagram datagram;
};

struct fake_socket {
	int fd;
	struct queued queue[16];
	size_t n, at;
};

static void fake_open(struct fake_socket *socket)
{
	*socket = (struct fake_socket){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	assert_return_code(socket->fd, errno);
}

static void fake_close(struct fake_socket *socket)
{
	close(socket->fd);
}

/* To be filled where @outcome is 0. */
static struct datagram *fake_queue(struct fake_socket *socket, int outcome)
{
	struct queued *queued = &socket->queue[socket->n];

	assert_true(socket->n < sizeof(socket->queue) / sizeof(socket->queue[0]));
	socket->n++;
	queued->outcome = outcome;
	assert_return_code(eventfd_write(socket->fd, 1), errno);
	return &queued->datagram;
}

static int fake_receive(struct fake_socket *socket, const void **ret, size_t *ret_n)
{
	struct queued *queued = &socket->queue[socket->at];
	eventfd_t value;

	if (socket->at == socket->n) {
		socket->at = socket->n = 0;
		(void)eventfd_read(socket->fd, &value);
		return NETLINK_EMPTY;
	}
	socket->at++;
	*ret = queued->datagram.bytes;
	*ret_n = queued->datagram.n;
	return queued->outcome;
}

/* The kernel's answer to a request that is acknowledged, or refused. */
static inline void fake_answer(struct fake_socket *socket, uint32_t seq, int32_t error)
{
	struct datagram *datagram = fake_queue(socket, 0);
	const struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = {
		.header = { .nlmsg_len = sizeof(answer),
			    .nlmsg_type = NLMSG_ERROR,
			    .nlmsg_seq = seq },
		.error.error = error,
	};

	memcpy(datagram->bytes, &answer, sizeof(answer));
	datagram->n = sizeof(answer);
}
