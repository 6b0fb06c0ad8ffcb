/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

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
