/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Requests and replies of the watch jobs, on the worker's side
 *
 * Strings and handles of a request lie in the payload or are owned by it.
 */

#include "daemon/worker/job-watch.h"

int watch_find_request_decode(const void *payload, size_t n_payload,
			      struct watch_find_request *ret); /* 0, -EBADMSG, -ENOMEM */
void watch_find_request_deinit(struct watch_find_request *request);
int watch_find_reply_encode(const struct watch_find_reply *reply, void **ret, size_t *ret_n);

int watch_mark_request_decode(const void *payload, size_t n_payload,
			      struct watch_mark_request *ret); /* 0, -EBADMSG, -ENOMEM */
void watch_mark_request_deinit(struct watch_mark_request *request);
int watch_mark_reply_encode(const struct watch_mark_reply *reply, void **ret, size_t *ret_n);

int watch_list_request_decode(const void *payload, size_t n_payload,
			      struct watch_list_request *ret); /* 0, -EBADMSG, -ENOMEM */
void watch_list_request_deinit(struct watch_list_request *request);
int watch_list_reply_encode(const struct watch_list_reply *reply, void **ret, size_t *ret_n);
