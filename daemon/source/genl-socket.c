/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <sys/socket.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/genl-socket.h"

int genl_socket_error(int nle)
{
	switch (-nle) {
	case NLE_PERM:
		return -EPERM;
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_INVAL:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static void nl_socket_freep(struct nl_sock **socket)
{
	nl_socket_free(*socket);
}

static int socket_set_buffer(struct nl_sock *socket, int n_buffer)
{
	int fd = nl_socket_get_fd(socket);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n_buffer, sizeof(n_buffer)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n_buffer, sizeof(n_buffer)) < 0)
		return -errno;
	return 0;
}

int genl_socket_open(struct nl_sock **ret, const char *family, int n_buffer, int *ret_family)
{
	_cleanup_(nl_socket_freep) struct nl_sock *socket = NULL;
	int number, r;

	assert(ret && ret_family);
	assert(family && n_buffer > 0);

	socket = nl_socket_alloc();
	if (!socket)
		return -ENOMEM;
	r = genl_connect(socket);
	if (r < 0)
		return genl_socket_error(r);
	number = genl_ctrl_resolve(socket, family);
	if (number < 0)
		return genl_socket_error(number);
	r = socket_set_buffer(socket, n_buffer);
	if (r < 0)
		return r;
	/* Before anything comes that is to be believed. */
	if (nl_socket_set_passcred(socket, 1) < 0)
		return -EIO;

	*ret_family = number;
	*ret = TAKE_PTR(socket);
	return 0;
}
