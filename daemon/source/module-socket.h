/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A socket to the module's family
 *
 * The one user of libnl for it: resolves the family and a group of it, joins
 * that, and composes requests. What was asked for by a socket ends with it. It
 * is read by recvmmsg(), because libnl cannot tell an overrun from no memory;
 * what is in a datagram is decoded elsewhere.
 *
 * Requests go out by a worker (JOB_SEND) with the socket's descriptor, since the
 * module may look for a superblock meanwhile, or wait for another request that
 * does. FS_NL_C_SYNC alone waits for nothing but the module's own work.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"

struct module_socket;

struct module_socket_options {
	const char *group; /* NULL: answers alone */
	int n_buffer; /* bytes that may wait, beyond the system's limit where we may */
	size_t n_datagrams; /* taken by one call */
};

/** module_socket_new() - Return: 0, -ENOENT (no such family or group), -EPERM, or another negative errno */
int module_socket_new(struct module_socket **ret, const struct module_socket_options *options);
struct module_socket *module_socket_free(struct module_socket *socket);
DEFINE_FREEP(module_socket, module_socket_free)

/** module_socket_fd() - for polling and for JOB_SEND; stays the socket's */
int module_socket_fd(const struct module_socket *socket);

/** module_socket_family() - the number of the family, until it goes */
uint16_t module_socket_family(const struct module_socket *socket);

/**
 * module_socket_receive() - take one datagram of the kernel's
 * @ret:	@ret_n bytes, until the next call
 *
 * Return: 0, or an outcome of netlink_receive(), or a negative errno.
 */
int module_socket_receive(struct module_socket *socket, const void **ret, size_t *ret_n);

/* One attribute of a request: its bytes, a string with its NUL. */
struct module_attribute {
	uint16_t type; /* enum fs_nl_attribute */
	const void *data;
	size_t n_data;
};

struct module_request {
	uint8_t command; /* enum fs_nl_command */
	uint32_t seq; /* of netlink: the answer has it too */
	bool acknowledged; /* also where it is granted and has no other answer */
	const struct module_attribute *attributes;
	size_t n_attributes;
};

/**
 * module_socket_compose() - a request of this socket
 * @ret:	a datagram of @ret_n bytes, to be freed
 *
 * Return: 0 or -ENOMEM.
 */
int module_socket_compose(const struct module_socket *socket, const struct module_request *request,
			  void **ret, size_t *ret_n);

/**
 * module_socket_sync() - all that the module produced before is in its sockets
 *
 * Or it had no room there. Sent at once.
 *
 * Return: 0, or a negative errno: it is not known to be so.
 */
int module_socket_sync(struct module_socket *socket, uint32_t seq);
