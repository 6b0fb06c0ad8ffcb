/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Sockets of a source to the module, of cardboard: one that joins a group, and
 * one for requests alone. Takes the place of module-socket.c, but for what is
 * composed, which each test writes as it reads it; include <cmocka.h> before.
 */

#include "daemon/source/module-socket.h"
#include "tests/io/fake-socket.h"

struct module_socket {
	struct fake_socket socket;
	unsigned int n_syncs;
};

static struct module_socket *current; /* of the group; NULL: closed */
static struct module_socket *asking; /* of none; likewise */
static const char *current_group; /* the one that may be joined; NULL: there is no module */

int module_socket_new(struct module_socket **ret, const struct module_socket_options *options)
{
	struct module_socket **place = options->group ? &current : &asking;

	if (!current_group)
		return -ENOENT;
	if (options->group)
		assert_string_equal(options->group, current_group);
	assert_null(*place);
	*place = calloc(1, sizeof(**place));
	assert_non_null(*place);
	fake_open(&(*place)->socket);
	*ret = *place;
	return 0;
}

struct module_socket *module_socket_free(struct module_socket *socket)
{
	if (!socket)
		return NULL;
	assert_true(socket == current || socket == asking);
	if (socket == current)
		current = NULL;
	else
		asking = NULL;
	fake_close(&socket->socket);
	free(socket);
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
