/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The sockets of what the module tells of filesystems
 *
 * One makes requests and hears nothing but answers, the other is in the group
 * of events, so that a flood of them costs no answer (daemon/source/module-socket.h).
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"

struct module_link;

enum module_socket_use {
	MODULE_SOCKET_REQUESTS,
	MODULE_SOCKET_EVENTS,
	_MODULE_SOCKET_N,
};

/** module_link_new() - Return: 0, -ENOENT (no such family), -EPERM, or another negative errno */
int module_link_new(struct module_link **ret);
/** module_link_free() - what was asked through it ends soon: nobody waits for that, nor for the module */
struct module_link *module_link_free(struct module_link *link);
DEFINE_FREEP(module_link, module_link_free)

/** module_link_fd() - for polling and for JOB_SEND; stays the link's */
int module_link_fd(const struct module_link *link, enum module_socket_use socket);

/** module_link_family() - the number of the family, until it goes */
uint16_t module_link_family(const struct module_link *link);

/**
 * module_link_receive() - take one datagram of the kernel's
 * @ret:	@ret_n bytes, until the next call
 *
 * Return: 0, or an outcome of netlink_receive(), or a negative errno.
 */
int module_link_receive(struct module_link *link, enum module_socket_use socket, const void **ret,
			size_t *ret_n);

/* What is asked of a filesystem, by its type and device number: no mount is touched. */
struct module_interest {
	const char
		*type; /* NULL: by a descriptor, the attribute FS_NL_A_FD, which is not in it yet */
	uint32_t major, minor;
	uint64_t events; /* bits FS_EVENT_BIT(id) */
	uint32_t fs_id; /* not 0: by this, which an answer gave, and by nothing else */
};

/**
 * module_link_compose() - FS_NL_C_FS_SET
 * @seq:	of netlink: the answer has it too
 * @ret:	a datagram of @ret_n bytes, to be freed
 *
 * Return: 0 or -ENOMEM.
 */
int module_link_compose(const struct module_link *link, uint32_t seq,
			const struct module_interest *interest, void **ret, size_t *ret_n);

/** module_link_compose_end() - FS_NL_C_FS_DEL by the identity that an answer gave; as above */
int module_link_compose_end(const struct module_link *link, uint32_t seq, uint32_t fs_id,
			    void **ret, size_t *ret_n);
