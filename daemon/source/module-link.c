/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/source/module-link.h"
#include "daemon/source/module-socket.h"
#include "include/fs_event.h"

/* Some thousand events, each of less than 300 bytes. */
#define LINK_BUFFER (1 << 20)

struct module_link {
	struct module_socket *sockets[_MODULE_SOCKET_N];
};

static const struct module_socket_options link_options[] = {
	[MODULE_SOCKET_REQUESTS] = { .n_buffer = LINK_BUFFER, .n_datagrams = 1 },
	[MODULE_SOCKET_EVENTS] = { .group = FS_EVENTS_MCAST_GRP_NAME,
				   .n_buffer = LINK_BUFFER,
				   .n_datagrams = 16 },
};

int module_link_new(struct module_link **ret)
{
	_cleanup_(module_link_freep) struct module_link *link = NULL;
	int r;

	assert(ret);

	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	for (int i = 0; i < _MODULE_SOCKET_N; i++) {
		r = module_socket_new(&link->sockets[i], &link_options[i]);
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

	for (int i = 0; i < _MODULE_SOCKET_N; i++)
		module_socket_free(link->sockets[i]);
	free(link);
	return NULL;
}

int module_link_fd(const struct module_link *link, enum module_socket_use socket)
{
	assert(link);

	return module_socket_fd(link->sockets[socket]);
}

uint16_t module_link_family(const struct module_link *link)
{
	assert(link);

	return module_socket_family(link->sockets[MODULE_SOCKET_REQUESTS]);
}

int module_link_receive(struct module_link *link, enum module_socket_use socket, const void **ret,
			size_t *ret_n)
{
	assert(link);

	return module_socket_receive(link->sockets[socket], ret, ret_n);
}

int module_link_compose(const struct module_link *link, uint32_t seq,
			const struct module_interest *interest, void **ret, size_t *ret_n)
{
	struct module_attribute attributes[4] = {
		{ FS_NL_A_EVENTS, &interest->events, sizeof(interest->events) },
	};
	size_t n = 1;
	struct module_request request = {
		.command = FS_NL_C_FS_SET,
		.seq = seq,
		.attributes = attributes,
	};

	assert(link);

	if (interest->fs_id != 0) {
		attributes[n++] = (struct module_attribute){ FS_NL_A_FS_ID, &interest->fs_id,
							     sizeof(interest->fs_id) };
	} else if (interest->type) {
		attributes[n++] = (struct module_attribute){ FS_NL_A_FS_TYPE, interest->type,
							     strlen(interest->type) + 1 };
		attributes[n++] = (struct module_attribute){ FS_NL_A_DEV_MAJOR, &interest->major,
							     sizeof(interest->major) };
		attributes[n++] = (struct module_attribute){ FS_NL_A_DEV_MINOR, &interest->minor,
							     sizeof(interest->minor) };
	}
	request.n_attributes = n;
	return module_socket_compose(link->sockets[MODULE_SOCKET_REQUESTS], &request, ret, ret_n);
}

int module_link_compose_end(const struct module_link *link, uint32_t seq, uint32_t fs_id,
			    void **ret, size_t *ret_n)
{
	const struct module_attribute attribute = { FS_NL_A_FS_ID, &fs_id, sizeof(fs_id) };
	const struct module_request request = {
		.command = FS_NL_C_FS_DEL,
		.seq = seq,
		.attributes = &attribute,
		.n_attributes = 1,
	};

	assert(link);

	return module_socket_compose(link->sockets[MODULE_SOCKET_REQUESTS], &request, ret, ret_n);
}
