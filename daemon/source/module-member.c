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

static struct module_member *member_find_asking(struct module *module, uint32_t seq)
{
	struct module_member *member;

	TAILQ_FOREACH(member, &module->members, link)
		if (member->ticket && member->seq == seq)
			return member;
	return NULL;
}

static void answer_take(struct module *module, const struct wire_message *message)
{
	struct module_member *member = member_find_asking(module, message->seq);

	if (!member || (!message->is_ack && message->command != FS_NL_C_FS_SET))
		return;
	member->has_answer = true;
	if (message->is_ack)
		member->error = message->error < 0 ? message->error : -EBADMSG;
	else if (wire_event_answer_decode(message->attributes, message->n_attributes,
					  &member->answer) > 0)
		member->error = 0;
	else
		member->error = -EBADMSG;
}

/*
 * All that waits: one of another lane may be among it, whose worker has not said so yet.
 * Answers to those who did not wait for them are passed over. Return: 0 or a negative errno.
 */
static int answers_read(struct module *module)
{
	struct wire_message message;
	const void *data;
	size_t n, offset;
	int r;

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
			answer_take(module, &message);
	}

	return 0;
}

static void member_answer(struct module_member *member, int error)
{
	struct wire_event_answer told = member->answer;
	bool again = member->again;

	member->again = false;
	if (error == 0) {
		member_set_id(member, told.fs_id);
		member->has_no_type |= member->by_root;
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
	int error = -EIO, r;

	if (result == POOL_FAILED && n_reply == sizeof(error)) {
		memcpy(&error, reply, sizeof(error));
	} else if (result == POOL_DONE) {
		r = answers_read(member->module);
		if (member->has_answer)
			error = member->error;
		else if (r < 0)
			error = r;
	} else {
		error = -EBUSY;
	}
	member->ticket = NULL;
	/* The mount was not found, and not the superblock. */
	if (member->by_root && error == -ENOENT)
		error = -ESTALE;
	member_answer(member, error < 0 ? error : 0);
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

static void member_prepare(struct module_member *member, bool by_root)
{
	member->seq = ++member->module->seq;
	member->by_root = by_root;
	member->has_answer = false;
	member->turned = false;
	member->answer = (struct wire_event_answer){};
}

static int member_request(struct module_member *member)
{
	struct module *module = member->module;
	struct module_interest interest = member->interest;
	_cleanup_free_ void *payload = NULL;
	size_t n_payload;
	int r;

	/* Once more, and without another look at the mount. */
	interest.fs_id = member->has_no_type ? member->fs_id : 0;
	member_prepare(member, false);
	r = module_link_compose(module->link, member->seq, &interest, &payload, &n_payload);
	if (r < 0)
		return r;
	return request_submit(module, payload, n_payload, on_sent, member, &member->ticket);
}

/* In the lane of the filesystem: it is touched. */
static int root_request_submit(struct module_member *member, const struct module_root *root,
			       const void *datagram, size_t n_datagram)
{
	struct module *module = member->module;
	const struct send_root_request request = {
		.where = root->where,
		.mount_id = root->mount_id,
		.mount_id_is_unique = root->mount_id_is_unique,
		.attribute = FS_NL_A_FD,
		.datagram = datagram,
		.n_datagram = n_datagram,
	};
	struct pool_submission submission = {
		.lane = root->lane,
		.lane_key = root->lane_key,
		.owner_uid = root->owner_uid,
		.job = JOB_SEND_ROOT,
		.fd = module_link_fd(module->link, MODULE_SOCKET_REQUESTS),
		.deadline_us = MODULE_DEADLINE_US,
		.reply = on_sent,
		.userdata = member,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = send_root_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	return pool_submit(module->pool, &submission, &member->ticket);
}

int module_member_ask_root(struct module_member *member, const struct module_root *root)
{
	struct module_interest interest;
	_cleanup_free_ void *datagram = NULL;
	size_t n_datagram;
	int r;

	assert(member);
	assert(root && root->where);

	if (!member->module->link)
		return -ENODEV;
	if (member->ticket)
		return -EALREADY;

	interest = member->interest;
	interest.type = NULL;
	member_prepare(member, true);
	r = module_link_compose(member->module->link, member->seq, &interest, &datagram,
				&n_datagram);
	return r < 0 ? r : root_request_submit(member, root, datagram, n_datagram);
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
