/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Questions and answers as bytes
 *
 * Request (numbers are u32, wide ones u64, strings as in flat.h): mount id (wide), whether it is unique, whether btrfs, where; how many
 * credentials, each uid and groups (a string of u32); how many
 * questions, each kind, type and bytes of the handle, path, inode (wide), credential, name.
 *
 * Reply: error (as i32); how many links, each type and bytes of the handle, name,
 * number of the next one (counted from 1; 0: it is the last); how many answers, each
 * error, flags, inode (wide), type and bytes of the target, number of the first
 * link (0: none); what identifies the filesystem (wide). Chains share what they have in common.
 */

#include "daemon/worker/flat.h"
#include "daemon/worker/job-lookup.h"

#define LOOKUP_MAY_READ 1U
#define LOOKUP_MAY_SEARCH 2U
#define LOOKUP_DIRECTORY 4U

/* A link on its way. */
struct lookup_node {
	struct handle handle;
	uint32_t next;
	size_t n_name;
	char name[LOOKUP_NAME_MAX + 1];
};

/* In the worker: ->links of an answer is not used, but @first. */
struct lookup_result {
	struct lookup_answer answer;
	struct handle target;
	uint32_t first;
};

/** lookup_request_decode() - in the worker; lies in @payload; Return: 0, -EBADMSG or -ENOMEM */
int lookup_request_decode(const void *payload, size_t n_payload, struct lookup_request *ret);
/** lookup_request_deinit() - of one that was decoded */
void lookup_request_deinit(struct lookup_request *request);

void lookup_node_put(struct flat_writer *writer, const struct lookup_node *node);
void lookup_result_put(struct flat_writer *writer, const struct lookup_result *result);

/* A handle that may be none; a wrong length is a fault. */
void lookup_put_handle(struct flat_writer *writer, const struct handle_view *handle);
struct handle_view lookup_get_handle(struct flat_reader *reader);
