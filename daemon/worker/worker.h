/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A worker process
 *
 * Takes one job after the other from its socket and ends when the daemon
 * closes it. It keeps nothing between two jobs, so that it can be killed at
 * any time. Whatever it does may block for ever.
 */

#include <stddef.h>

/** worker_run() - serve jobs from @fd until end of file; does not return */
_Noreturn void worker_run(int fd);

/*
 * The jobs. Return: 0 with a reply to free(), or a negative errno, which
 * travels as POOL_FAILED. What a job finds out about a filesystem, errors
 * included, is in its reply.
 */
int statfs_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);
int send_job(const void *payload, size_t n, int netlink_fd, void **ret_reply, size_t *ret_n);
int send_root_job(const void *payload, size_t n, int netlink_fd, void **ret_reply, size_t *ret_n);
int mark_job(const void *payload, size_t n, int fanotify_fd, void **ret_reply, size_t *ret_n);
