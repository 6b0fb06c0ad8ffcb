/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/source/netlink.h"

struct netlink {
	struct mnl_socket *socket;
};

static int buffer_set(int fd, int n_buffer)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n_buffer, sizeof(n_buffer)) == 0)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n_buffer, sizeof(n_buffer)) == 0)
		return 0;
	return -errno;
}

int netlink_new(struct netlink **ret, int protocol, uint32_t groups, int n_buffer)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	const int on = 1;
	int fd, r;

	assert(ret);
	assert(n_buffer > 0);

	netlink = calloc(1, sizeof(*netlink));
	if (!netlink)
		return -ENOMEM;

	netlink->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!netlink->socket)
		return -errno;

	/* All before it is bound: what arrives earlier would carry no credentials. */
	fd = mnl_socket_get_fd(netlink->socket);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	r = buffer_set(fd, n_buffer);
	if (r < 0)
		return r;
	if (mnl_socket_bind(netlink->socket, groups, MNL_SOCKET_AUTOPID) < 0)
		return -errno;

	*ret = TAKE_PTR(netlink);
	return 0;
}

struct netlink *netlink_free(struct netlink *netlink)
{
	if (!netlink)
		return NULL;

	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	free(netlink);
	return NULL;
}

int netlink_fd(const struct netlink *netlink)
{
	assert(netlink);

	return mnl_socket_get_fd(netlink->socket);
}

uint32_t netlink_port(const struct netlink *netlink)
{
	assert(netlink);

	return mnl_socket_get_portid(netlink->socket);
}

int netlink_send(struct netlink *netlink, const void *datagram, size_t n_datagram)
{
	assert(netlink);
	assert(datagram);

	return mnl_socket_sendto(netlink->socket, datagram, n_datagram) < 0 ? -errno : 0;
}

bool netlink_is_from_kernel(const struct msghdr *message)
{
	const struct sockaddr_nl *sender = message->msg_name;
	struct cmsghdr *control;
	struct ucred credentials;

	if (message->msg_namelen != sizeof(*sender) || sender->nl_family != AF_NETLINK ||
	    sender->nl_pid != 0)
		return false;

	for (control = CMSG_FIRSTHDR(message); control;
	     control = CMSG_NXTHDR((struct msghdr *)message, control)) {
		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_CREDENTIALS ||
		    control->cmsg_len != CMSG_LEN(sizeof(credentials)))
			continue;
		memcpy(&credentials, CMSG_DATA(control), sizeof(credentials));
		return credentials.pid == 0 && credentials.uid == 0;
	}

	return false;
}

int netlink_receive(struct netlink *netlink, void *buffer, size_t n_buffer, size_t *ret_n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct sockaddr_nl sender = {};
	struct iovec iov = { .iov_base = buffer, .iov_len = n_buffer };
	struct msghdr message = {
		.msg_name = &sender,
		.msg_namelen = sizeof(sender),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	assert(netlink);
	assert(buffer);
	assert(ret_n);

	/* By hand: mnl_socket_recvfrom() looks at no credentials. */
	do
		n = recvmsg(netlink_fd(netlink), &message, 0);
	while (n < 0 && errno == EINTR);

	if (n < 0 && errno == EAGAIN)
		return NETLINK_EMPTY;
	if (n < 0 && errno == ENOBUFS)
		return NETLINK_OVERRUN;
	if (n < 0)
		return -errno;
	if (!netlink_is_from_kernel(&message))
		return NETLINK_FOREIGN;
	if (message.msg_flags & MSG_TRUNC)
		return NETLINK_TRUNCATED;

	*ret_n = (size_t)n;
	return 0;
}
