/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A socket to a family of generic netlink
 *
 * What sockets of libnl to any family have in common: resolving its name, room
 * for what waits, and credentials with each datagram, as netlink_batch_receive()
 * wants them.
 */

#include <netlink/netlink.h>

/** genl_socket_error() - the negative errno of an error of libnl's, of those that can come here */
int genl_socket_error(int nle);

/**
 * genl_socket_open() - connected, and with the number of its family
 * @n_buffer:	bytes that may wait, beyond the system's limit where we may
 *
 * Blocks still: asks the kernel, which answers while it is asked.
 *
 * Return: 0, -ENOENT (no such family), -EPERM, or another negative errno.
 */
int genl_socket_open(struct nl_sock **ret, const char *family, int n_buffer, int *ret_family);
