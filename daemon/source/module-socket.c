/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/source/genl-socket.h"
#include "daemon/source/module-socket.h"
#include "daemon/source/netlink-batch.h"
#include "daemon/source/netlink.h"
#include "include/fs_event.h"

struct module_socket {
	struct nl_sock *socket;
	int family;
	struct netlink_batch *datagrams;
	size_t n_taken, at; /* of ->datagrams, and which is next */
};

/* Resolved while it hears nothing else yet. */
static int socket_join(struct module_socket *socket, const char *group)
{
	int r;

	r = genl_ctrl_resolve_grp(socket->socket, FS_EVENTS_FAMILY_NAME, group);
	if (r < 0)
		return genl_socket_error(r);
	r = nl_socket_add_membership(socket->socket, r);
	return r < 0 ? genl_socket_error(r) : 0;
}

static int socket_open(struct module_socket *socket, const struct module_socket_options *options)
{
	int r;

	r = genl_socket_open(&socket->socket, FS_EVENTS_FAMILY_NAME, options->n_buffer,
			     &socket->family);
	if (r < 0)
		return r;
	if (options->group) {
		r = socket_join(socket, options->group);
		if (r < 0)
			return r;
	}
	return nl_socket_set_nonblocking(socket->socket) < 0 ? -EIO : 0;
}

int module_socket_new(struct module_socket **ret, const struct module_socket_options *options)
{
	_cleanup_(module_socket_freep) struct module_socket *socket = NULL;
	int r;

	assert(ret);
	assert(options && options->n_buffer > 0 && options->n_datagrams > 0);

	socket = calloc(1, sizeof(*socket));
	if (!socket)
		return -ENOMEM;
	r = netlink_batch_new(&socket->datagrams, options->n_datagrams, FS_EVENT_MESSAGE_MAX);
	if (r < 0)
		return r;
	r = socket_open(socket, options);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(socket);
	return 0;
}

struct module_socket *module_socket_free(struct module_socket *socket)
{
	if (!socket)
		return NULL;

	nl_socket_free(socket->socket);
	netlink_batch_free(socket->datagrams);
	free(socket);
	return NULL;
}

int module_socket_fd(const struct module_socket *socket)
{
	assert(socket);

	return nl_socket_get_fd(socket->socket);
}

uint16_t module_socket_family(const struct module_socket *socket)
{
	assert(socket);

	return (uint16_t)socket->family;
}

int module_socket_receive(struct module_socket *socket, const void **ret, size_t *ret_n)
{
	size_t n;
	int r;

	assert(socket);
	assert(ret && ret_n);

	if (socket->at == socket->n_taken) {
		socket->at = socket->n_taken = 0;
		r = netlink_batch_receive(socket->datagrams, nl_socket_get_fd(socket->socket), &n);
		if (r != 0)
			return r;
		socket->n_taken = n;
	}
	return netlink_batch_get(socket->datagrams, socket->at++, ret, ret_n);
}

/* An answer comes by itself where a request has one; a refusal comes always. */
static struct nl_msg *message_new(const struct module_socket *socket,
				  const struct module_request *request)
{
	struct nl_msg *message = nlmsg_alloc();
	bool good;

	good = message && genlmsg_put(message, nl_socket_get_local_port(socket->socket),
				      request->seq, socket->family, 0,
				      NLM_F_REQUEST | (request->acknowledged ? NLM_F_ACK : 0),
				      request->command, FS_EVENTS_FAMILY_VERSION);
	for (size_t i = 0; good && i < request->n_attributes; i++) {
		const struct module_attribute *attribute = &request->attributes[i];

		good = nla_put(message, attribute->type, (int)attribute->n_data, attribute->data) >=
		       0;
	}
	if (good)
		return message;
	nlmsg_free(message);
	return NULL;
}

int module_socket_compose(const struct module_socket *socket, const struct module_request *request,
			  void **ret, size_t *ret_n)
{
	struct nl_msg *message;
	const struct nlmsghdr *header;
	void *copy;

	assert(socket);
	assert(request);
	assert(ret && ret_n);

	message = message_new(socket, request);
	if (!message)
		return -ENOMEM;
	header = nlmsg_hdr(message);
	copy = malloc(header->nlmsg_len);
	if (copy) {
		memcpy(copy, header, header->nlmsg_len);
		*ret = copy;
		*ret_n = header->nlmsg_len;
	}
	nlmsg_free(message);
	return copy ? 0 : -ENOMEM;
}

int module_socket_sync(struct module_socket *socket, uint32_t seq)
{
	const struct module_request request = { .command = FS_NL_C_SYNC, .seq = seq };
	_cleanup_free_ void *datagram = NULL;
	size_t n;
	int r;

	assert(socket);

	r = module_socket_compose(socket, &request, &datagram, &n);
	if (r < 0)
		return r;
	return send(nl_socket_get_fd(socket->socket), datagram, n, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
