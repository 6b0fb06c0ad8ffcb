/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Netlink sockets that listen to the kernel
 *
 * The one user of libmnl: opens, binds, and takes datagrams one by one, none
 * but the kernel's own. Everybody may send to a netlink socket, so that each
 * datagram must come from port 0 and carry the kernel's credentials. What is
 * in a datagram is decoded elsewhere. Never blocks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "daemon/core/cleanup.h"

struct netlink;

/**
 * netlink_new() - a socket of its own
 * @protocol:	NETLINK_KOBJECT_UEVENT and so on
 * @groups:	multicast groups 1 to 32 to join, a bit for each
 * @n_buffer:	bytes that may wait in the socket, beyond the system's limit where we may
 *
 * Return: 0 or a negative errno.
 */
int netlink_new(struct netlink **ret, int protocol, uint32_t groups, int n_buffer);
struct netlink *netlink_free(struct netlink *netlink);
DEFINE_FREEP(netlink, netlink_free)

/** netlink_fd() - for polling; stays the socket's */
int netlink_fd(const struct netlink *netlink);

/** netlink_port() - the address that the kernel gave it */
uint32_t netlink_port(const struct netlink *netlink);

/** netlink_send() - one datagram to the kernel; Return: 0 or a negative errno */
int netlink_send(struct netlink *netlink, const void *datagram, size_t n_datagram);

enum netlink_outcome {
	NETLINK_EMPTY = 1, /* nothing waits */
	NETLINK_OVERRUN, /* the socket was full: some are missing; goes on */
	NETLINK_FOREIGN, /* not from the kernel: taken and dropped */
	NETLINK_TRUNCATED, /* longer than @n_buffer: taken and dropped */
};

/**
 * netlink_receive() - take one datagram
 * @buffer:	filled with it; its contents are undefined with any outcome
 *
 * Return: 0 with @ret_n, an outcome, or a negative errno.
 */
int netlink_receive(struct netlink *netlink, void *buffer, size_t n_buffer, size_t *ret_n);

/** netlink_is_from_kernel() - what recvmsg(2) told of the sender, with a struct sockaddr_nl and credentials */
bool netlink_is_from_kernel(const struct msghdr *message);
