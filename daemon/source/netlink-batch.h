/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Datagrams of the kernel, many by one call
 *
 * What netlink_receive() is for one: none but the kernel's own, decoded
 * elsewhere, never blocks. For sockets that have thousands waiting. The
 * descriptor is its owner's, who has set SO_PASSCRED.
 */

#include <stddef.h>

#include "daemon/core/cleanup.h"

struct netlink_batch;

/** netlink_batch_new() - room for @n_datagrams of up to @n_bytes each; Return: 0 or -ENOMEM */
int netlink_batch_new(struct netlink_batch **ret, size_t n_datagrams, size_t n_bytes);
struct netlink_batch *netlink_batch_free(struct netlink_batch *batch);
DEFINE_FREEP(netlink_batch, netlink_batch_free)

/**
 * netlink_batch_receive() - take what waits, as many as there is room for
 * @ret_n:	at least 1
 *
 * An overrun or error behind the first is for the next call.
 *
 * Return: 0 with @ret_n, NETLINK_EMPTY, NETLINK_OVERRUN, or a negative errno.
 */
int netlink_batch_receive(struct netlink_batch *batch, int fd, size_t *ret_n);

/**
 * netlink_batch_get() - one of those that were taken last
 * @ret:	@ret_n bytes, until the next netlink_batch_receive()
 *
 * Return: 0, NETLINK_FOREIGN or NETLINK_TRUNCATED.
 */
int netlink_batch_get(const struct netlink_batch *batch, size_t index, const void **ret,
		      size_t *ret_n);
