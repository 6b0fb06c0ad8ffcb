/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/source/module-file-internal.h"

/* Longer than the module waits by itself. */
#define DEADLINE_US 5000000ULL

/* A key of the workers that no superblock has: requests follow each other. */
#define REQUEST_KEY (UINT64_MAX - 18)

struct marking *module_file_find_marking(const struct module_file *file, uint32_t seq)
{
	struct file_events_member *member;
	struct marking *marking;

	/* Requests that wait for no answer. */
	if (seq == 0)
		return NULL;
	LIST_FOREACH(member, &file->members, in_module)
		LIST_FOREACH(marking, &member->markings, link)
			if (marking->seq == seq)
				return marking;
	return NULL;
}

static int file_send(struct module_file *file, const struct module_request *request,
		     pool_reply_fn reply, void *userdata, struct pool_ticket **ret_ticket)
{
	struct pool_submission submission = {
		.lane = POOL_LANE_LOCAL,
		.lane_key = REQUEST_KEY,
		.job = JOB_SEND,
		.fd = module_socket_fd(file->socket),
		.deadline_us = DEADLINE_US,
		.reply = reply,
		.userdata = userdata,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = module_socket_compose(file->socket, request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	return pool_submit(file->events->pool, &submission, ret_ticket);
}

void module_file_end_marking(struct marking *marking, int error)
{
	_cleanup_free_ struct marking *owned = marking;
	struct file_events_member *member = owned->member;
	const struct handle_view handle = handle_view(&owned->handle);
	const struct handle_view root = handle_view(&owned->root);

	LIST_REMOVE(owned, link);
	if (owned->kind == MARKING_ADD)
		member->ops->marked(error, &handle, &root, member->userdata);
}

static void on_sent(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct marking *marking = userdata;
	struct module_file *file = marking->member->events->module;
	int error = pool_result_error(result);
	uint32_t seq = marking->seq;

	marking->ticket = NULL;
	if (result == POOL_FAILED && n_reply == sizeof(error))
		memcpy(&error, reply, sizeof(error));
	/* Its answer is in the socket, behind what came before. */
	if (error == 0 && !marking->answered)
		module_file_batch(file, MODULE_FILE_WAITING_MAX);
	/* Who was told meanwhile may have freed it. */
	marking = module_file_find_marking(file, seq);
	if (!marking)
		return;
	if (error == 0)
		error = marking->answered ? marking->error : -EIO;
	module_file_end_marking(marking, error);
}

static int marking_send(struct marking *marking)
{
	struct file_events_member *member = marking->member;
	uint32_t events = (uint32_t)marking->mask | FS_FILE_HANDLES;
	const struct module_attribute attributes[] = {
		{ FS_NL_A_FS_TYPE, marking->type, strlen(marking->type) + 1 },
		{ FS_NL_A_DEV_MAJOR, &marking->major, sizeof(marking->major) },
		{ FS_NL_A_DEV_MINOR, &marking->minor, sizeof(marking->minor) },
		{ FS_NL_A_FILE_EVENTS, &events, sizeof(events) },
	};
	const struct module_request request = {
		.command = FS_NL_C_FS_SET,
		.seq = marking->seq = ++member->events->module->seq,
		.attributes = attributes,
		.n_attributes = sizeof(attributes) / sizeof(attributes[0]),
	};

	return file_send(member->events->module, &request, on_sent, marking, &marking->ticket);
}

static void on_looked(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct marking *marking = userdata;
	int r;

	marking->ticket = NULL;
	r = file_events_root_decode(result, reply, n_reply, &marking->root);
	if (r == 0)
		r = marking_send(marking);
	if (r < 0)
		module_file_end_marking(marking, r);
}

int module_file_mark(struct file_events_member *member, const struct file_events_mark *mark,
		     bool remove)
{
	struct module_file *file = member->events->module;
	uint64_t mask = remove ? member->mask & ~mark->mask : member->mask | mark->mask;
	_cleanup_free_ struct marking *marking = NULL;
	int r;

	if (member->watches)
		return module_watches_mark(member->watches, mark, remove);
	assert(mark->type && mark->handle.n == 0);

	marking = calloc(1, sizeof(*marking));
	if (!marking)
		return -ENOMEM;
	marking->member = member;
	marking->kind = remove ? MARKING_REMOVE : MARKING_ADD;
	marking->mask = mask;
	marking->major = mark->major;
	marking->minor = mark->minor;
	if (strlen(mark->type) >= sizeof(marking->type))
		return -E2BIG;
	memcpy(marking->type, mark->type, strlen(mark->type) + 1);

	r = remove ? marking_send(marking)
		   : file_events_member_look(member, mark, module_socket_fd(file->socket),
					     on_looked, marking);
	if (r < 0)
		return r;
	member->mask = mask;
	LIST_INSERT_HEAD(&member->markings, marking, link);
	TAKE_PTR(marking);
	return 0;
}

static void on_left(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
}

void module_file_leave(struct file_events_member *member)
{
	struct module_file *file = member->events->module;
	const struct module_attribute attribute = { FS_NL_A_FS_ID, &member->fs_id,
						    sizeof(member->fs_id) };
	const struct module_request request = {
		.command = FS_NL_C_FS_DEL,
		.attributes = &attribute,
		.n_attributes = 1,
	};

	/* It was not let in. */
	if (!file || !member->in_module.le_prev)
		return;
	/*
	 * Where that is refused, it ends with the socket. A worker closes that last: whoever
	 * does waits for the module.
	 */
	if (member->fs_id != 0 && member->events->has_module)
		(void)file_send(file, &request, on_left, member->events, NULL);
	member->watches = module_watches_free(member->watches);
	LIST_REMOVE(member, in_module);
	module_file_settle(file);
}
