/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Who writes most just now
 *
 * Two samples of /proc/PID/io of all processes, a moment apart. Only at an
 * alarm and only in a worker: reading another process's io waits for its
 * exec to end, which waits for its disk.
 */

#include <stddef.h>
#include <sys/types.h>

#include "daemon/core/details.h"

#define WRITERS_MAX 5

/* The payload: empty, or one byte of these. */
enum writers_flags {
	WRITERS_BY_WCHAR = 1, /* of a filesystem that keeps no account of dirty pages: tmpfs */
};

/**
 * writers_job() - the job JOB_WRITERS, in the worker
 *
 * Ranked by the bytes that made page cache dirty or went out directly
 * (write_bytes): that is what takes space, through mmap too, and leaves out
 * pipes, sockets and the rewriting of what is dirty already. By the bytes of
 * write calls (wchar) where WRITERS_BY_WCHAR says so or, without a payload,
 * where the former are next to nothing beside them. A process younger than 5 s
 * counts with all it wrote; ties are decided by the total. What reserves space
 * without writing (fallocate) is in neither figure and shows no process.
 */
int writers_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);

/**
 * writers_reply_decode() - in the daemon
 * @ret:	at least @max; comm is escaped
 *
 * Return: how many, at most @max and WRITERS_MAX, the greatest first, or
 * -EBADMSG.
 */
ssize_t writers_reply_decode(const void *reply, size_t n_reply, struct detail_writer *ret,
			     size_t max);
