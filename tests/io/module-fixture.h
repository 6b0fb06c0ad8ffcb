/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Sockets and workers of cardboard, for the source of the module: what stands
 * here takes the place of module-link.c, netlink.c and pool.c.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/source/module-link.h"
#include "daemon/source/module.h"
#include "daemon/source/netlink.h"
#include "daemon/worker/protocol.h"
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

struct netlink {
	struct fake_socket socket;
};

struct module_link {
	struct fake_socket sockets[_MODULE_SOCKET_N];
};

struct pool_ticket {
	struct pool_submission submission;
	char payload[128]; /* the request that is sent */
	char where[32]; /* of JOB_SEND_ROOT */
	uint64_t mount_id;
	bool cancelled, answered;
};

static struct netlink control;
static struct module_link *current; /* NULL: closed */
static bool present;
static uint16_t family;
static struct pool_ticket tickets[32];
static size_t n_tickets;

static void fake_open(struct fake_socket *socket)
{
	*socket = (struct fake_socket){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	assert_return_code(socket->fd, errno);
}

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

int netlink_new(struct netlink **ret, int protocol, uint32_t groups, int n_buffer)
{
	assert_int_equal(protocol, NETLINK_GENERIC);
	assert_int_equal(groups, 1U << (GENL_ID_CTRL - 1));
	fake_open(&control.socket);
	*ret = &control;
	return 0;
}

struct netlink *netlink_free(struct netlink *netlink)
{
	if (netlink)
		close(netlink->socket.fd);
	return NULL;
}

int netlink_fd(const struct netlink *netlink)
{
	return netlink->socket.fd;
}

int netlink_receive(struct netlink *netlink, void *buffer, size_t n_buffer, size_t *ret_n)
{
	const void *data;
	int r;

	r = fake_receive(&netlink->socket, &data, ret_n);
	if (r == 0)
		memcpy(buffer, data, *ret_n);
	return r;
}

int module_link_new(struct module_link **ret)
{
	if (!present)
		return -ENOENT;
	assert_null(current);
	current = calloc(1, sizeof(*current));
	assert_non_null(current);
	for (size_t i = 0; i < _MODULE_SOCKET_N; i++)
		fake_open(&current->sockets[i]);
	*ret = current;
	return 0;
}

struct module_link *module_link_free(struct module_link *link)
{
	if (!link)
		return NULL;
	assert_ptr_equal(link, current);
	for (size_t i = 0; i < _MODULE_SOCKET_N; i++)
		close(link->sockets[i].fd);
	free(link);
	current = NULL;
	return NULL;
}

int module_link_fd(const struct module_link *link, enum module_socket_use socket)
{
	return link->sockets[socket].fd;
}

uint16_t module_link_family(const struct module_link *link)
{
	return family;
}

int module_link_receive(struct module_link *link, enum module_socket_use socket, const void **ret,
			size_t *ret_n)
{
	return fake_receive(&link->sockets[socket], ret, ret_n);
}

int module_link_compose(const struct module_link *link, uint32_t seq,
			const struct module_interest *interest, void **ret, size_t *ret_n)
{
	char text[128] = "";

	if (interest->fs_id != 0)
		snprintf(text, sizeof(text), "set %u #%u %llx", seq, interest->fs_id,
			 (unsigned long long)interest->events);
	else if (interest->type)
		snprintf(text, sizeof(text), "set %u %s %u:%u %llx", seq, interest->type,
			 interest->major, interest->minor, (unsigned long long)interest->events);
	else
		snprintf(text, sizeof(text), "set %u %llx", seq,
			 (unsigned long long)interest->events);
	*ret = malloc(sizeof(text));
	assert_non_null(*ret);
	memcpy(*ret, text, sizeof(text));
	*ret_n = sizeof(text);
	return 0;
}

int module_link_compose_end(const struct module_link *link, uint32_t seq, uint32_t fs_id,
			    void **ret, size_t *ret_n)
{
	char text[128];

	snprintf(text, sizeof(text), "del %u %u", seq, fs_id);
	*ret = strdup(text);
	*ret_n = strlen(text) + 1;
	return 0;
}

static void ticket_take_root(struct pool_ticket *ticket)
{
	struct send_root_request request;

	assert_return_code(send_root_request_decode(ticket->submission.payload,
						    ticket->submission.n_payload, &request),
			   0);
	assert_int_equal(request.attribute, FS_NL_A_FD);
	assert_int_equal(request.n_datagram, sizeof(ticket->payload));
	memcpy(ticket->payload, request.datagram, request.n_datagram);
	snprintf(ticket->where, sizeof(ticket->where), "%s", request.where);
	ticket->mount_id = request.mount_id;
}

int pool_submit(struct pool *pool, const struct pool_submission *submission,
		struct pool_ticket **ret_ticket)
{
	struct pool_ticket *ticket = &tickets[n_tickets];

	assert_true(n_tickets < sizeof(tickets) / sizeof(tickets[0]));
	assert_int_equal(submission->fd, current->sockets[MODULE_SOCKET_REQUESTS].fd);
	assert_true(submission->deadline_us > 1000000);
	n_tickets++;
	*ticket = (struct pool_ticket){ .submission = *submission };
	if (submission->job == JOB_SEND_ROOT) {
		ticket_take_root(ticket);
	} else {
		assert_int_equal(submission->job, JOB_SEND);
		assert_true(submission->n_payload <= sizeof(ticket->payload));
		memcpy(ticket->payload, submission->payload, submission->n_payload);
	}
	if (ret_ticket)
		*ret_ticket = ticket;
	return 0;
}

void pool_cancel(struct pool_ticket *ticket)
{
	if (ticket)
		ticket->cancelled = true;
}

static void pool_answer_one(struct pool_ticket *ticket, enum pool_result result, int error)
{
	assert_true(!ticket->cancelled && !ticket->answered);
	ticket->answered = true;
	ticket->submission.reply(result, error < 0 ? &error : NULL, error < 0 ? sizeof(error) : 0,
				 ticket->submission.userdata);
}

static void pool_answer(enum pool_result result, int error)
{
	assert_true(n_tickets > 0);
	pool_answer_one(&tickets[n_tickets - 1], result, error);
}
