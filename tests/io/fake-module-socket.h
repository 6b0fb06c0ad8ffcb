/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The one socket of a source to the module, of cardboard: takes the place of
 * module-socket.c, but for what is composed, which each test writes as it
 * reads it; include <cmocka.h> before.
 */

#include "daemon/source/module-socket.h"
#include "tests/io/fake-socket.h"

struct module_socket {
	struct fake_socket socket;
	unsigned int n_syncs;
};

static struct module_socket *current; /* NULL: closed */
static const char *current_group; /* the one that may be joined; NULL: there is no module */

int module_socket_new(struct module_socket **ret, const struct module_socket_options *options)
{
	if (!current_group)
		return -ENOENT;
	assert_string_equal(options->group, current_group);
	assert_null(current);
	current = calloc(1, sizeof(*current));
	assert_non_null(current);
	fake_open(&current->socket);
	*ret = current;
	return 0;
}

struct module_socket *module_socket_free(struct module_socket *socket)
{
	if (!socket)
		return NULL;
	assert_ptr_equal(socket, current);
	fake_close(&socket->socket);
	free(socket);
	current = NULL;
	return NULL;
}

int module_socket_fd(const struct module_socket *socket)
{
	return socket->socket.fd;
}

uint16_t module_socket_family(const struct module_socket *socket)
{
	return FIXTURE_FAMILY;
}

int module_socket_receive(struct module_socket *socket, const void **ret, size_t *ret_n)
{
	return fake_receive(&socket->socket, ret, ret_n);
}

int module_socket_sync(struct module_socket *socket, uint32_t seq)
{
	socket->n_syncs++;
	return 0;
}
