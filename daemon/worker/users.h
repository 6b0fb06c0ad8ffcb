/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Users
 *
 * JOB_USERS: the numbers of users that the configuration names. The libraries
 * of nsswitch.conf(5) read files and may ask a directory on the network.
 *
 * All numbers are u32, strings as in flat.h. Request: how many, then each a
 * name. Reply: how many, then each name, error (as i32) and number.
 */

#include <stddef.h>
#include <sys/types.h>

/** users_request_encode() - Return: 0 with a buffer to free(), or -ENOMEM */
int users_request_encode(const char *const *names, size_t n_names, void **ret, size_t *ret_n);

/**
 * users_reply_find() - the number of a user that was asked for
 *
 * Return: 0; -ENOENT where there is none; another negative errno where that could not be
 * found out; -ENODATA where it was not asked for; -EBADMSG where the reply breaks its form.
 */
int users_reply_find(const void *reply, size_t n_reply, const char *name, uid_t *ret);

/** users_job() - the worker's side; Return: 0 with a reply to free(), or a negative errno */
int users_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);
