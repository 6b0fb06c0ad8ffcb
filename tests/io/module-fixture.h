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

#include <cmocka.h>

#include "daemon/source/module-link.h"
#include "daemon/source/module.h"
#include "daemon/source/netlink.h"
#include "daemon/worker/protocol.h"
#include "tests/io/fake-pool.h"
#include "tests/io/fake-socket.h"

struct netlink {
	struct fake_socket socket;
};

struct module_link {
	struct fake_socket sockets[_MODULE_SOCKET_N];
};

static struct netlink control;
static struct module_link *current; /* NULL: closed */
static bool present;
static uint16_t family;

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
		fake_close(&netlink->socket);
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
		fake_close(&link->sockets[i]);
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

static void check_submission(const struct pool_submission *submission)
{
	assert_true(submission->job == JOB_SEND || submission->job == JOB_SEND_ROOT);
	assert_int_equal(submission->fd, current->sockets[MODULE_SOCKET_REQUESTS].fd);
	assert_true(submission->deadline_us > 1000000);
}

static struct send_root_request root_of(const struct pool_ticket *ticket)
{
	struct send_root_request request;

	assert_int_equal(ticket->submission.job, JOB_SEND_ROOT);
	assert_return_code(send_root_request_decode(ticket->payload, ticket->submission.n_payload,
						    &request),
			   0);
	assert_int_equal(request.attribute, FS_NL_A_FD);
	return request;
}

/* What is sent to the module. */
static const char *request_of(const struct pool_ticket *ticket)
{
	return ticket->submission.job == JOB_SEND_ROOT ? root_of(ticket).datagram : ticket->payload;
}
