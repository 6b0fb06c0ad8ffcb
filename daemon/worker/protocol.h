/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the daemon, its zygote and its workers say to each other
 *
 * Flat structs in native endianness: all ends are the same executable. A
 * worker has one stream socket; on it go a job header, the payload and, with
 * the first byte, perhaps a descriptor; back come a reply header and the
 * reply. The zygote has a packet socket: one request, one answer with the
 * socket and the pidfd of the new worker. Every length that came from another
 * process is checked against a bound before memory is taken for it.
 *
 * The encoders and decoders that the daemon's side uses are in pool.h.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/worker/pool.h"

#define JOB_MAGIC 0x4a6f6231U
#define JOB_PAYLOAD_MAX (16U << 20)

struct job_header {
	uint32_t magic;
	uint32_t kind; /* enum job_kind */
	uint64_t n_payload;
};

struct reply_header {
	uint32_t magic;
	int32_t error; /* 0, or a negative errno and no reply */
	uint64_t n_reply;
};

enum spawn_kind {
	SPAWN_HELLO = 1, /* from the zygote, once: ->pid is its own */
	SPAWN_WORKER,
};

struct spawn_request {
	uint32_t kind;
	uint32_t cookie;
};

/* With two descriptors, socket and pidfd, unless there was an error. */
struct spawn_reply {
	uint32_t kind;
	uint32_t cookie;
	int32_t error;
	int32_t pid;
};

/** job_reply_max() - the largest reply that a job of this kind may give; 0: no such kind */
size_t job_reply_max(uint32_t kind);

/**
 * statfs_request_decode(), mark_request_decode(), send_root_request_decode() - in the worker
 * @ret:	its strings and bytes lie in @payload and die with it
 *
 * Return: 0 or -EBADMSG.
 */
int statfs_request_decode(const void *payload, size_t n_payload, struct statfs_request *ret);
int mark_request_decode(const void *payload, size_t n_payload, struct mark_request *ret);
int send_root_request_decode(const void *payload, size_t n_payload, struct send_root_request *ret);

int statfs_reply_encode(const struct statfs_reply *reply, void **ret, size_t *ret_n);
int mark_reply_encode(const struct mark_reply *reply, void **ret, size_t *ret_n);
