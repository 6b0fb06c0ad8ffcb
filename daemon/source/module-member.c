/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/source/module-internal.h"
#include "daemon/source/netlink.h"

/* Longer than the module waits by itself. */
#define MODULE_DEADLINE_US 5000000ULL

/* A key of the workers that no superblock has: requests follow each other and hold up nothing else. */
#define MODULE_KEY (UINT64_MAX - 16)

static void member_forget_id(struct module_member *member)
{
	if (member->fs_id != 0)
		LIST_REMOVE(member, chain);
	member->fs_id = 0;
}

static void member_set_id(struct module_member *member, uint32_t fs_id)
{
	struct module *module = member->module;

	member_forget_id(member);
	member->fs_id = fs_id;
	LIST_INSERT_HEAD(&module->buckets[fs_id & (MODULE_BUCKETS - 1)], member, chain);
}

/* The answer to @member's request, if it is this. Return: whether it was. */
static bool answer_take(struct module_member *member, const struct wire_message *message,
			int *ret_error, struct wire_event_answer *ret)
{
	if (message->seq != member->seq)
		return false;
	if (message->is_ack) {
		*ret_error = message->error < 0 ? message->error : -EBADMSG;
		return true;
	}
	if (message->command != FS_NL_C_FS_SET)
		return false;
	*ret_error = wire_event_answer_decode(message->attributes, message->n_attributes, ret) > 0
			     ? 0
			     : -EBADMSG;
	return true;
}

/* All that waits: answers to those who did not wait for them are passed over. */
static int answer_read(struct module_member *member, struct wire_event_answer *ret)
{
	struct module *module = member->module;
	struct wire_message message;
	const void *data;
	int error = -EIO, r;
	size_t n, offset;

	while ((r = module_link_receive(module->link, MODULE_SOCKET_REQUESTS, &data, &n)) !=
	       NETLINK_EMPTY) {
		if (r < 0)
			return r;
		if (r == NETLINK_FOREIGN)
			module->statistics.foreign++;
		if (r != 0)
			continue;
		offset = 0;
		while (wire_message_next(data, n, &offset, &message) > 0)
			(void)answer_take(member, &message, &error, ret);
	}

	return error;
}

static void member_answer(struct module_member *member, int error,
			  const struct wire_event_answer *answer)
{
	bool again = member->again;
	struct wire_event_answer told = *answer;

	member->again = false;
	if (error == 0) {
		member_set_id(member, told.fs_id);
		told.has_holds = told.has_holds && !member->turned;
	}
	if (again)
		module_member_ask(member);
	else
		member->ops->answered(error, &told, member->userdata);
}

static void on_sent(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct module_member *member = userdata;
	struct wire_event_answer answer = {};
	int error = -EIO;

	member->ticket = NULL;
	if (result == POOL_FAILED && n_reply == sizeof(error))
		memcpy(&error, reply, sizeof(error));
	else if (result == POOL_DONE)
		error = answer_read(member, &answer);
	else
		error = -EBUSY;
	member_answer(member, error < 0 ? error : 0, &answer);
}

static int request_submit(struct module *module, const void *payload, size_t n_payload,
			  pool_reply_fn reply, void *userdata, struct pool_ticket **ret_ticket)
{
	const struct pool_submission submission = {
		.lane = POOL_LANE_LOCAL,
		.lane_key = MODULE_KEY,
		.job = JOB_SEND,
		.payload = payload,
		.n_payload = n_payload,
		.fd = module_link_fd(module->link, MODULE_SOCKET_REQUESTS),
		.deadline_us = MODULE_DEADLINE_US,
		.reply = reply,
		.userdata = userdata,
	};

	return pool_submit(module->pool, &submission, ret_ticket);
}

static int member_request(struct module_member *member)
{
	struct module *module = member->module;
	_cleanup_free_ void *payload = NULL;
	size_t n_payload;
	int r;

	member->seq = ++module->seq;
	r = module_link_compose(module->link, member->seq, &member->interest, &payload, &n_payload);
	if (r < 0)
		return r;
	return request_submit(module, payload, n_payload, on_sent, member, &member->ticket);
}

void module_member_ask(struct module_member *member)
{
	int r;

	assert(member);

	if (!member->module->link)
		return;
	if (member->ticket) {
		member->again = true;
		return;
	}
	member->turned = false;
	r = member_request(member);
	if (r < 0)
		member->ops->answered(r, NULL, member->userdata);
}

void module_member_forget(struct module_member *member)
{
	pool_cancel(member->ticket);
	member->ticket = NULL;
	member->again = false;
	member_forget_id(member);
}

static void on_ended(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
}

/* Where it is still mounted, others may ask for it; what nobody asks for costs nothing. */
static void member_end(struct module_member *member)
{
	struct module *module = member->module;
	_cleanup_free_ void *payload = NULL;
	size_t n_payload;

	if (!module->link || member->fs_id == 0)
		return;
	if (module_link_compose_end(module->link, ++module->seq, member->fs_id, &payload,
				    &n_payload) == 0)
		(void)request_submit(module, payload, n_payload, on_ended, module, NULL);
}

int module_member_new(struct module_member **ret, struct module *module,
		      const struct module_interest *interest, const struct module_member_ops *ops,
		      void *userdata)
{
	struct module_member *member;

	assert(ret);
	assert(module);
	assert(interest && interest->type);
	assert(ops && ops->event && ops->answered);

	member = calloc(1, sizeof(*member));
	if (!member)
		return -ENOMEM;
	member->module = module;
	member->ops = ops;
	member->userdata = userdata;
	member->interest = *interest;
	TAILQ_INSERT_TAIL(&module->members, member, link);

	*ret = member;
	module_member_ask(member);
	return 0;
}

struct module_member *module_member_free(struct module_member *member)
{
	if (!member)
		return NULL;

	if (member->module->next == member)
		member->module->next = TAILQ_NEXT(member, link);
	member_end(member);
	module_member_forget(member);
	TAILQ_REMOVE(&member->module->members, member, link);
	free(member);
	return NULL;
}
