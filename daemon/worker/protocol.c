/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/worker/job-lookup.h"
#include "daemon/worker/protocol.h"

/* Mount points may be deeper than PATH_MAX, but then no path reaches them. */
#define WHERE_MAX PATH_MAX
#define UUID_MAX 64
#define DATAGRAM_MAX 4096

struct wire_statfs_request {
	uint64_t mount_id;
	uint32_t mount_id_is_unique;
	uint32_t n_where; /* with the NUL */
	uint32_t n_uuid; /* with the NUL; 0: none */
	uint32_t reserved;
};

struct wire_statfs_reply {
	uint64_t block_size, blocks, free, available, files, files_available;
	uint64_t taken_us;
	uint32_t read_only;
	int32_t error;
	uint32_t root_known;
	int32_t root_error;
};

struct wire_mark_request {
	uint64_t mount_id;
	uint64_t mask;
	uint32_t mount_id_is_unique;
	uint32_t n_where;
};

struct wire_mark_reply {
	int32_t error;
	uint32_t reserved;
	uint64_t fsid;
};

struct wire_send_root_request {
	uint64_t mount_id;
	uint32_t mount_id_is_unique;
	uint32_t attribute;
	uint32_t n_where;
	uint32_t n_datagram;
	int32_t handle_type;
	uint32_t n_handle;
};

size_t job_reply_max(uint32_t kind)
{
	switch ((enum job_kind)kind) {
	case JOB_STATFS:
	case JOB_MARK:
	case JOB_WATCH_MARK:
	case JOB_SEND:
	case JOB_SEND_ROOT:
		return 256;
	case JOB_WRITERS:
		return 4096;
	case JOB_LOCATE:
	case JOB_WATCH_FIND:
		return 8192;
	case JOB_USERS:
	case JOB_STATE_APPEND:
	case JOB_STATE_RESERVE:
		return 64U << 10;
	case JOB_WATCH_LIST:
		return 512U << 10; /* WATCH_LIST_MAX of the longest names */
	case JOB_DEVICES:
		return 4U << 20;
	case JOB_LOOKUP:
		return LOOKUP_REPLY_MAX;
	case JOB_CONFIG:
	case JOB_STATE_LOAD:
		return 64U << 20;
	}

	return 0;
}

/* A NUL-terminated string of exactly @n bytes with the NUL. */
static const char *wire_string(const uint8_t *bytes, size_t n)
{
	if (n == 0 || memchr(bytes, '\0', n) != bytes + n - 1)
		return NULL;
	return (const char *)bytes;
}

int statfs_request_encode(const struct statfs_request *request, void **ret, size_t *ret_n)
{
	struct wire_statfs_request wire = {
		.mount_id = request->mount_id,
		.mount_id_is_unique = request->mount_id_is_unique,
	};
	size_t n_where = strlen(request->where) + 1;
	size_t n_uuid = request->btrfs_uuid ? strlen(request->btrfs_uuid) + 1 : 0;
	uint8_t *buffer;

	assert(ret);
	assert(ret_n);

	buffer = malloc(sizeof(wire) + n_where + n_uuid);
	if (!buffer)
		return -ENOMEM;

	wire.n_where = (uint32_t)n_where;
	wire.n_uuid = (uint32_t)n_uuid;
	memcpy(buffer, &wire, sizeof(wire));
	memcpy(buffer + sizeof(wire), request->where, n_where);
	if (n_uuid > 0)
		memcpy(buffer + sizeof(wire) + n_where, request->btrfs_uuid, n_uuid);

	*ret = buffer;
	*ret_n = sizeof(wire) + n_where + n_uuid;
	return 0;
}

int statfs_request_decode(const void *payload, size_t n_payload, struct statfs_request *ret)
{
	struct wire_statfs_request wire;
	const uint8_t *bytes = payload;
	const char *where, *uuid = NULL;

	assert(ret);

	if (n_payload < sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, bytes, sizeof(wire));
	bytes += sizeof(wire);

	if (wire.n_where > WHERE_MAX || wire.n_uuid > UUID_MAX ||
	    n_payload - sizeof(wire) != (size_t)wire.n_where + wire.n_uuid)
		return -EBADMSG;

	where = wire_string(bytes, wire.n_where);
	if (!where)
		return -EBADMSG;

	if (wire.n_uuid > 0) {
		uuid = wire_string(bytes + wire.n_where, wire.n_uuid);
		if (!uuid)
			return -EBADMSG;
	}

	*ret = (struct statfs_request){
		.where = where,
		.mount_id = wire.mount_id,
		.mount_id_is_unique = wire.mount_id_is_unique != 0,
		.btrfs_uuid = uuid,
	};
	return 0;
}

static int wire_copy(const void *wire, size_t n, void **ret, size_t *ret_n)
{
	void *copy;

	assert(ret);
	assert(ret_n);

	copy = malloc(n);
	if (!copy)
		return -ENOMEM;

	memcpy(copy, wire, n);
	*ret = copy;
	*ret_n = n;
	return 0;
}

int statfs_reply_encode(const struct statfs_reply *reply, void **ret, size_t *ret_n)
{
	const struct usage *usage = &reply->usage;
	struct wire_statfs_reply wire = {
		.block_size = usage->block_size,
		.blocks = usage->blocks,
		.free = usage->free,
		.available = usage->available,
		.files = usage->files,
		.files_available = usage->files_available,
		.taken_us = reply->taken_us,
		.read_only = usage->read_only,
		.error = reply->error,
		.root_known = reply->root_known,
		.root_error = reply->root_error,
	};

	return wire_copy(&wire, sizeof(wire), ret, ret_n);
}

int statfs_reply_decode(const void *reply, size_t n_reply, struct statfs_reply *ret)
{
	struct wire_statfs_reply wire;

	assert(ret);

	if (!reply || n_reply != sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, reply, sizeof(wire));
	if (wire.error > 0 || wire.root_error < 0)
		return -EBADMSG;

	*ret = (struct statfs_reply){
		.error = wire.error,
		.root_known = wire.root_known != 0,
		.root_error = wire.root_error,
		.taken_us = wire.taken_us,
		.usage = {
			.block_size = wire.block_size,
			.blocks = wire.blocks,
			.free = wire.free,
			.available = wire.available,
			.files = wire.files,
			.files_available = wire.files_available,
			.read_only = wire.read_only != 0,
		},
	};
	return 0;
}

int mark_request_encode(const struct mark_request *request, void **ret, size_t *ret_n)
{
	struct wire_mark_request wire = {
		.mount_id = request->mount_id,
		.mask = request->mask,
		.mount_id_is_unique = request->mount_id_is_unique,
	};
	size_t n_where = strlen(request->where) + 1;
	uint8_t *buffer;

	assert(ret);
	assert(ret_n);

	buffer = malloc(sizeof(wire) + n_where);
	if (!buffer)
		return -ENOMEM;

	wire.n_where = (uint32_t)n_where;
	memcpy(buffer, &wire, sizeof(wire));
	memcpy(buffer + sizeof(wire), request->where, n_where);

	*ret = buffer;
	*ret_n = sizeof(wire) + n_where;
	return 0;
}

int mark_request_decode(const void *payload, size_t n_payload, struct mark_request *ret)
{
	struct wire_mark_request wire;
	const char *where;

	assert(ret);

	if (n_payload < sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, payload, sizeof(wire));

	if (wire.n_where > WHERE_MAX || n_payload - sizeof(wire) != wire.n_where)
		return -EBADMSG;

	where = wire_string((const uint8_t *)payload + sizeof(wire), wire.n_where);
	if (!where)
		return -EBADMSG;

	*ret = (struct mark_request){
		.where = where,
		.mount_id = wire.mount_id,
		.mount_id_is_unique = wire.mount_id_is_unique != 0,
		.fanotify_fd = -1,
		.mask = wire.mask,
	};
	return 0;
}

int mark_reply_encode(const struct mark_reply *reply, void **ret, size_t *ret_n)
{
	struct wire_mark_reply wire = { .error = reply->error, .fsid = reply->fsid };

	return wire_copy(&wire, sizeof(wire), ret, ret_n);
}

int mark_reply_decode(const void *reply, size_t n_reply, struct mark_reply *ret)
{
	struct wire_mark_reply wire;

	assert(ret);

	if (!reply || n_reply != sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, reply, sizeof(wire));
	if (wire.error > 0)
		return -EBADMSG;

	*ret = (struct mark_reply){ .error = wire.error, .fsid = wire.fsid };
	return 0;
}

int send_root_request_encode(const struct send_root_request *request, void **ret, size_t *ret_n)
{
	struct wire_send_root_request wire = {
		.mount_id = request->mount_id,
		.mount_id_is_unique = request->mount_id_is_unique,
		.attribute = request->attribute,
		.n_datagram = (uint32_t)request->n_datagram,
		.handle_type = request->handle.type,
		.n_handle = request->handle.n,
	};
	size_t n_where = strlen(request->where) + 1;
	size_t n = sizeof(wire) + n_where + request->n_datagram + request->handle.n;
	uint8_t *buffer, *p;

	assert(ret);
	assert(ret_n);

	buffer = malloc(n);
	if (!buffer)
		return -ENOMEM;

	wire.n_where = (uint32_t)n_where;
	p = mempcpy(buffer, &wire, sizeof(wire));
	p = mempcpy(p, request->where, n_where);
	p = mempcpy(p, request->datagram, request->n_datagram);
	if (request->handle.n > 0)
		memcpy(p, request->handle.bytes, request->handle.n);

	*ret = buffer;
	*ret_n = n;
	return 0;
}

int send_root_request_decode(const void *payload, size_t n_payload, struct send_root_request *ret)
{
	struct wire_send_root_request wire;
	const uint8_t *bytes = payload;
	const char *where;

	assert(ret);

	if (n_payload < sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, bytes, sizeof(wire));
	bytes += sizeof(wire);

	if (wire.n_where > WHERE_MAX || wire.attribute > UINT16_MAX ||
	    wire.n_datagram > DATAGRAM_MAX || wire.n_datagram < NLMSG_HDRLEN ||
	    wire.n_datagram % NLMSG_ALIGNTO != 0 || wire.n_handle > HANDLE_MAX ||
	    n_payload - sizeof(wire) !=
		    (size_t)wire.n_where + wire.n_datagram + (size_t)wire.n_handle)
		return -EBADMSG;

	where = wire_string(bytes, wire.n_where);
	if (!where)
		return -EBADMSG;

	*ret = (struct send_root_request){
		.where = where,
		.mount_id = wire.mount_id,
		.mount_id_is_unique = wire.mount_id_is_unique != 0,
		.attribute = (uint16_t)wire.attribute,
		.datagram = bytes + wire.n_where,
		.n_datagram = wire.n_datagram,
		.handle = { wire.handle_type, wire.n_handle,
			    bytes + wire.n_where + wire.n_datagram },
	};
	return 0;
}
