/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where a file is
 *
 * JOB_LOCATE: the path of the file that a handle names, relative to the mount
 * point ("etc/passwd"), as it is now. Opening the handle reads the inode, which
 * on a damaged one may raise the same error once more: whoever asks drops what
 * its own workers cause, and asks once for each inode.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/wire-fanotify.h"

#define LOCATE_PATH_MAX 4096

struct locate_request {
	const char *where; /* mount point, bytes */
	uint64_t mount_id;
	bool mount_id_is_unique;
	int handle_type;
	uint32_t n_handle;
	uint8_t handle[FANOTIFY_HANDLE_MAX];
};

struct locate_reply {
	int error; /* 0; -ESTALE: gone, or another mount is there; -ENOENT: no name is known */
	size_t n_path;
	char path[LOCATE_PATH_MAX]; /* bytes, NUL-terminated */
};

/*
 * A name is known of every directory, of a file when the kernel has it in its
 * cache, as it has after an access by name. The root itself has none.
 */

/** locate_request_encode() - Return: 0 or -ENOMEM */
int locate_request_encode(const struct locate_request *request, void **ret, size_t *ret_n);

/** locate_request_decode() - in the worker; @ret's string lies in @payload; Return: 0 or -EBADMSG */
int locate_request_decode(const void *payload, size_t n_payload, struct locate_request *ret);

/** locate_reply_decode() - in the daemon; Return: 0 or -EBADMSG */
int locate_reply_decode(const void *reply, size_t n_reply, struct locate_reply *ret);

/** locate_job() - the job JOB_LOCATE, in the worker */
int locate_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);
