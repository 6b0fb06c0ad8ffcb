/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/source/module-link.h"
#include "daemon/source/netlink-batch.h"
#include "daemon/source/netlink.h"
#include "include/fs_event.h"

/* Some thousand events, each of less than 300 bytes. */
#define LINK_BUFFER (1 << 20)

struct module_link {
	int family;
	struct link_socket {
		struct nl_sock *socket;
		struct netlink_batch *datagrams;
		size_t n_taken, at; /* of ->datagrams, and which is next */
	} sockets[_MODULE_SOCKET_N];
};

/* Taken by one call. */
static const size_t link_datagrams[] = {
	[MODULE_SOCKET_REQUESTS] = 1,
	[MODULE_SOCKET_EVENTS] = 16,
};

static const char *const link_groups[] = {
	[MODULE_SOCKET_REQUESTS] = NULL,
	[MODULE_SOCKET_EVENTS] = FS_EVENTS_MCAST_GRP_NAME,
};

/* Those of libnl's own that can come here. */
static int error_of(int nle)
{
	switch (-nle) {
	case NLE_PERM:
		return -EPERM;
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* Resolved by a socket that hears nothing else yet. */
static int socket_join(struct link_socket *at, const char *group)
{
	int r;

	r = genl_ctrl_resolve_grp(at->socket, FS_EVENTS_FAMILY_NAME, group);
	if (r < 0)
		return error_of(r);
	r = nl_socket_add_membership(at->socket, r);
	return r < 0 ? error_of(r) : 0;
}

static int socket_open(struct module_link *link, enum module_socket which)
{
	struct link_socket *at = &link->sockets[which];
	int n_buffer = LINK_BUFFER, fd, r;

	at->socket = nl_socket_alloc();
	if (!at->socket)
		return -ENOMEM;
	r = netlink_batch_new(&at->datagrams, link_datagrams[which], FS_EVENT_MESSAGE_MAX);
	if (r < 0)
		return r;
	r = genl_connect(at->socket);
	if (r < 0)
		return error_of(r);
	if (which == MODULE_SOCKET_REQUESTS) {
		link->family = genl_ctrl_resolve(at->socket, FS_EVENTS_FAMILY_NAME);
		if (link->family < 0)
			return error_of(link->family);
	}

	fd = nl_socket_get_fd(at->socket);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n_buffer, sizeof(n_buffer)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n_buffer, sizeof(n_buffer)) < 0)
		return -errno;
	/* As netlink_batch_receive() wants it; before anything comes that is to be believed. */
	if (nl_socket_set_passcred(at->socket, 1) < 0)
		return -EIO;
	if (link_groups[which]) {
		r = socket_join(at, link_groups[which]);
		if (r < 0)
			return r;
	}
	return nl_socket_set_nonblocking(at->socket) < 0 ? -EIO : 0;
}

int module_link_new(struct module_link **ret)
{
	_cleanup_(module_link_freep) struct module_link *link = NULL;
	int r;

	assert(ret);

	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	for (int i = 0; i < _MODULE_SOCKET_N; i++) {
		r = socket_open(link, (enum module_socket)i);
		if (r < 0)
			return r;
	}

	*ret = TAKE_PTR(link);
	return 0;
}

struct module_link *module_link_free(struct module_link *link)
{
	if (!link)
		return NULL;

	for (int i = 0; i < _MODULE_SOCKET_N; i++) {
		nl_socket_free(link->sockets[i].socket);
		netlink_batch_free(link->sockets[i].datagrams);
	}
	free(link);
	return NULL;
}

int module_link_fd(const struct module_link *link, enum module_socket socket)
{
	assert(link);

	return nl_socket_get_fd(link->sockets[socket].socket);
}

uint16_t module_link_family(const struct module_link *link)
{
	assert(link);

	return (uint16_t)link->family;
}

int module_link_receive(struct module_link *link, enum module_socket socket, const void **ret,
			size_t *ret_n)
{
	struct link_socket *at;
	size_t n;
	int r;

	assert(link);
	assert(ret && ret_n);

	at = &link->sockets[socket];
	if (at->at == at->n_taken) {
		at->at = at->n_taken = 0;
		r = netlink_batch_receive(at->datagrams, nl_socket_get_fd(at->socket), &n);
		if (r != 0)
			return r;
		at->n_taken = n;
	}
	return netlink_batch_get(at->datagrams, at->at++, ret, ret_n);
}

/* An answer comes by itself where a request has one; a refusal comes always. */
static struct nl_msg *message_new(const struct module_link *link, uint32_t seq, uint8_t command,
				  int flags)
{
	struct nl_msg *message = nlmsg_alloc();

	if (message &&
	    genlmsg_put(message,
			nl_socket_get_local_port(link->sockets[MODULE_SOCKET_REQUESTS].socket), seq,
			link->family, 0, NLM_F_REQUEST | flags, command, FS_EVENTS_FAMILY_VERSION))
		return message;
	nlmsg_free(message);
	return NULL;
}

/* Takes @message. */
static int message_take(struct nl_msg *message, void **ret, size_t *ret_n)
{
	const struct nlmsghdr *header = nlmsg_hdr(message);
	void *copy = malloc(header->nlmsg_len);

	if (copy) {
		memcpy(copy, header, header->nlmsg_len);
		*ret = copy;
		*ret_n = header->nlmsg_len;
	}
	nlmsg_free(message);
	return copy ? 0 : -ENOMEM;
}

int module_link_compose(const struct module_link *link, uint32_t seq,
			const struct module_interest *interest, void **ret, size_t *ret_n)
{
	struct nl_msg *message;

	assert(link);
	assert(interest);
	assert(ret && ret_n);

	message = message_new(link, seq, FS_NL_C_FS_SET, 0);
	if (!message)
		return -ENOMEM;
	if (nla_put_string(message, FS_NL_A_FS_TYPE, interest->type) < 0 ||
	    nla_put_u32(message, FS_NL_A_DEV_MAJOR, interest->major) < 0 ||
	    nla_put_u32(message, FS_NL_A_DEV_MINOR, interest->minor) < 0 ||
	    nla_put_u64(message, FS_NL_A_EVENTS, interest->events) < 0) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	return message_take(message, ret, ret_n);
}

int module_link_compose_end(const struct module_link *link, uint32_t seq, uint32_t fs_id,
			    void **ret, size_t *ret_n)
{
	struct nl_msg *message;

	assert(link);
	assert(ret && ret_n);

	message = message_new(link, seq, FS_NL_C_FS_DEL, 0);
	if (!message)
		return -ENOMEM;
	if (nla_put_u32(message, FS_NL_A_FS_ID, fs_id) < 0) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	return message_take(message, ret, ret_n);
}
