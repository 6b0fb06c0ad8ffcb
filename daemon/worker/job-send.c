/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/mountpoint.h"
#include "daemon/worker/protocol.h"
#include "daemon/worker/reach.h"
#include "daemon/worker/worker.h"

/* The kernel carries out what a request asks while it is sent; it answers to the socket's reader. */
int send_job(const void *payload, size_t n, int netlink_fd, void **ret_reply, size_t *ret_n)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t k;

	if (netlink_fd < 0)
		return -EBADF;

	do
		k = sendto(netlink_fd, payload, n, 0, (const struct sockaddr *)&kernel,
			   sizeof(kernel));
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;

	*ret_reply = NULL;
	*ret_n = 0;
	return 0;
}

/* With one attribute more, at its end. */
static int datagram_extend(const struct send_root_request *request, uint32_t value, void **ret,
			   size_t *ret_n)
{
	const struct nlattr attribute = { NLA_HDRLEN + sizeof(value), request->attribute };
	size_t n = request->n_datagram + attribute.nla_len;
	const uint32_t length = (uint32_t)n;
	uint8_t *bytes;

	bytes = malloc(n);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, request->datagram, request->n_datagram);
	memcpy(bytes + offsetof(struct nlmsghdr, nlmsg_len), &length, sizeof(length));
	memcpy(bytes + request->n_datagram, &attribute, sizeof(attribute));
	memcpy(bytes + request->n_datagram + NLA_HDRLEN, &value, sizeof(value));

	*ret = bytes;
	*ret_n = n;
	return 0;
}

/* Return: an O_PATH descriptor, or a negative errno. */
static int inode_open(const struct send_root_request *request)
{
	_cleanup_(reach_deinit) struct reach reach = REACH_NONE;
	int r;

	if (request->handle.n == 0)
		return mountpoint_open(request->where, request->mount_id,
				       request->mount_id_is_unique);
	r = reach_open(&reach, request->where, request->mount_id, request->mount_id_is_unique);
	return r < 0 ? r : reach_handle(&reach, &request->handle);
}

/* The kernel looks a descriptor up among those of the process that sends. */
int send_root_job(const void *payload, size_t n, int netlink_fd, void **ret_reply, size_t *ret_n)
{
	_cleanup_free_ void *datagram = NULL;
	struct send_root_request request;
	_cleanup_close_ int fd = -1;
	size_t n_datagram;
	int r;

	r = send_root_request_decode(payload, n, &request);
	if (r < 0)
		return r;
	fd = inode_open(&request);
	if (fd < 0)
		return fd;
	r = datagram_extend(&request, (uint32_t)fd, &datagram, &n_datagram);
	if (r < 0)
		return r;
	return send_job(datagram, n_datagram, netlink_fd, ret_reply, ret_n);
}
