/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/source/module-file-internal.h"
#include "daemon/source/netlink.h"

/*
 * Each member asks by a socket of its own, which is in no group: what it watches ends with
 * that, whatever answer never came, and no flood of records costs an answer. What the daemon's
 * own processes do is found by their pids, as with every source: FS_NL_C_IGNORE_SELF is for the
 * one process that sends it, and there are many, which come and go.
 */

/* Longer than the module waits by itself. */
#define DEADLINE_US 5000000ULL

/* A key of the workers that no superblock has. */
#define WITHDRAW_KEY (UINT64_MAX - 19)
#define WITHDRAW_MAX 64 /* by one datagram */

/* Answers alone. */
#define REQUESTS_BUFFER (256 << 10)

#define FLAGS ((uint64_t)(FS_FILE_ON_CHILD | FS_FILE_DIRECTORY))

/*
 * Watches that are over
 */

/* What finds no memory ends with the socket. */
void module_watches_withdraw_later(struct module_watches *watches, uint32_t id)
{
	size_t n_room = watches->n_room ? 2 * watches->n_room : WITHDRAW_MAX;
	uint32_t *withdrawn;

	if (watches->n_withdrawn == watches->n_room) {
		withdrawn = reallocarray(watches->withdrawn, n_room, sizeof(*withdrawn));
		if (!withdrawn)
			return;
		watches->withdrawn = withdrawn;
		watches->n_room = n_room;
	}
	watches->withdrawn[watches->n_withdrawn++] = id;
}

/* Datagrams of one message each, one behind the other. */
static int withdraw_compose(const struct module_watches *watches, size_t n, void **ret,
			    size_t *ret_n)
{
	_cleanup_free_ char *all = NULL;
	size_t n_all = 0;

	for (size_t i = 0; i < n; i++) {
		const struct module_attribute attribute = { FS_NL_A_WATCH_ID,
							    &watches->withdrawn[i],
							    sizeof(watches->withdrawn[i]) };
		const struct module_request request = {
			.command = FS_NL_C_WATCH_DEL,
			.attributes = &attribute,
			.n_attributes = 1,
		};
		_cleanup_free_ void *one = NULL;
		char *longer;
		size_t n_one;
		int r;

		r = module_socket_compose(watches->socket, &request, &one, &n_one);
		if (r < 0)
			return r;
		longer = realloc(all, n_all + n_one);
		if (!longer)
			return -ENOMEM;
		all = longer;
		memcpy(all + n_all, one, n_one);
		n_all += n_one;
	}

	*ret = TAKE_PTR(all);
	*ret_n = n_all;
	return 0;
}

static void on_withdrawn(enum pool_result result, const void *reply, size_t n_reply,
			 void *userdata);

static int withdraw_submit(struct module_watches *watches, size_t n)
{
	struct pool_submission submission = {
		.lane = POOL_LANE_LOCAL,
		.lane_key = WITHDRAW_KEY,
		.job = JOB_SEND,
		.fd = module_socket_fd(watches->socket),
		.deadline_us = DEADLINE_US,
		.reply = on_withdrawn,
		.userdata = watches,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = withdraw_compose(watches, n, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	watches->n_sent = n;
	return pool_submit(watches->member->events->pool, &submission, &watches->ticket);
}

static void on_withdrawn(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct module_watches *watches = userdata;

	watches->ticket = NULL;
	/* Refusals of those whose inode was gone. */
	module_watches_answers(watches);
	if (result != POOL_DONE) {
		module_file_wait(module_watches_file(watches));
		return;
	}
	watches->n_withdrawn -= watches->n_sent;
	memmove(watches->withdrawn, watches->withdrawn + watches->n_sent,
		watches->n_withdrawn * sizeof(*watches->withdrawn));
	module_watches_withdraw(watches);
}

void module_watches_withdraw(struct module_watches *watches)
{
	size_t n;

	assert(watches);

	n = watches->n_withdrawn < WITHDRAW_MAX ? watches->n_withdrawn : WITHDRAW_MAX;
	if (n == 0 || watches->ticket)
		return;
	if (withdraw_submit(watches, n) < 0)
		module_file_wait(module_watches_file(watches));
}

/*
 * Requests
 */

static struct marking *marking_find(const struct file_events_member *member, uint32_t seq)
{
	struct marking *marking;

	LIST_FOREACH(marking, &member->markings, link)
		if (seq != 0 && marking->seq == seq)
			return marking;
	return NULL;
}

static void answer_take(struct module_watches *watches, const struct wire_message *message)
{
	struct marking *marking = marking_find(watches->member, message->seq);
	int error = message->error < 0 ? message->error : -EBADMSG;
	uint32_t id = 0;

	if (!message->is_ack && message->command != FS_NL_C_WATCH_ADD)
		return;
	if (!message->is_ack &&
	    wire_watch_answer_decode(message->attributes, message->n_attributes, &id) > 0)
		error = 0;
	if (marking && !marking->answered) {
		marking->answered = true;
		marking->error = error;
		marking->watch_id = id;
	} else if (id != 0) {
		/* Too late: who asked waits no longer. */
		module_watches_withdraw_later(watches, id);
	}
}

/* All that waits; an answer that was lost is missed by who asked. */
void module_watches_answers(struct module_watches *watches)
{
	struct wire_message message;
	const void *data;
	size_t n, offset;
	int r;

	assert(watches);

	while ((r = module_socket_receive(watches->socket, &data, &n)) >= 0 && r != NETLINK_EMPTY) {
		offset = 0;
		while (r == 0 && wire_message_next(data, n, &offset, &message) > 0)
			if (message.is_ack ||
			    message.family == module_socket_family(watches->socket))
				answer_take(watches, &message);
	}
}

/* What was refused to @by is wanted by nobody, unless another one asked for it, or it is there. */
static void inode_forget_refused(struct module_inode *inode, const struct marking *by)
{
	uint64_t kept = inode->watch ? inode->watch->mask : 0;
	const struct marking *other;

	if (inode->n_asked > 0)
		LIST_FOREACH(other, &by->member->markings, link)
			if (other != by && other->inode == inode)
				kept |= other->added;
	inode->mask &= kept;
}

/* Takes @marking; whoever is told may free all. */
static void marking_end(struct marking *marking, int error)
{
	struct module_inode *inode = marking->inode;
	struct module_watches *watches = inode->owner;

	inode->n_asked--;
	if (error < 0)
		inode_forget_refused(inode, marking);
	module_inode_settle(inode);
	module_watches_withdraw(watches);
	module_file_end_marking(marking, error);
}

/*
 * What befell the worker, or was found by it on the way to the inode. Return: 0 or a negative
 * errno; none is the module's, nor says anything of it.
 */
static int way_error(enum pool_result result, int error)
{
	if (result == POOL_BROKEN)
		return -ENOBUFS;
	/* Its mount is not there any more. */
	return error == -ENOENT || error == -ENOTDIR ? -ESTALE : error;
}

static void on_watched(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct marking *marking = userdata;
	int error = pool_result_error(result);

	marking->ticket = NULL;
	if (result == POOL_FAILED && n_reply == sizeof(error))
		memcpy(&error, reply, sizeof(error));
	error = way_error(result, error);
	module_watches_answers(marking->inode->owner);
	if (marking->answered)
		error = marking->error;
	else if (error == 0)
		error = -EIO;
	if (error == 0)
		error = module_inode_set_watch(marking->inode, marking->watch_id, marking->mask);
	marking_end(marking, error);
}

static int watch_submit(struct module_watches *watches, const struct file_events_mark *mark,
			struct marking *marking)
{
	uint32_t events = (uint32_t)marking->mask | FS_FILE_HANDLES;
	const struct module_attribute attribute = { FS_NL_A_FILE_EVENTS, &events, sizeof(events) };
	const struct module_request add = {
		.command = FS_NL_C_WATCH_ADD,
		.seq = marking->seq = ++module_watches_file(watches)->seq,
		.attributes = &attribute,
		.n_attributes = 1,
	};
	struct send_root_request request = {
		.where = mark->mount->where,
		.mount_id = mark->mount->unique_id ? mark->mount->unique_id : mark->mount->id,
		.mount_id_is_unique = mark->mount->unique_id != 0,
		.handle = mark->handle,
		.attribute = FS_NL_A_FD,
	};
	struct pool_submission submission = {
		.lane = mark->lane,
		.lane_key = mark->lane_key,
		.owner_uid = mark->owner_uid,
		.job = JOB_SEND_ROOT,
		.fd = module_socket_fd(watches->socket),
		.deadline_us = DEADLINE_US,
		.reply = on_watched,
		.userdata = marking,
	};
	_cleanup_free_ void *datagram = NULL, *payload = NULL;
	int r;

	r = module_socket_compose(watches->socket, &add, &datagram, &request.n_datagram);
	if (r < 0)
		return r;
	request.datagram = datagram;
	r = send_root_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	return pool_submit(watches->member->events->pool, &submission, &marking->ticket);
}

static void on_looked(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct marking *marking = userdata;
	struct handle root;
	int error;

	marking->ticket = NULL;
	error = way_error(result, file_events_root_decode(result, reply, n_reply, &root));
	if (error == 0 && !marking->inode->watch)
		error = -ESTALE;
	marking_end(marking, error);
}

/* It has all of that already. In its turn: behind those who asked before. */
static int look_submit(struct module_watches *watches, const struct file_events_mark *mark,
		       struct marking *marking)
{
	struct file_events_mark look = *mark;

	look.btrfs = false;
	return file_events_member_look(watches->member, &look, module_socket_fd(watches->socket),
				       on_looked, marking);
}

static int inode_ask(struct module_inode *inode, const struct file_events_mark *mark,
		     enum marking_kind kind, uint64_t mask)
{
	struct module_watches *watches = inode->owner;
	_cleanup_free_ struct marking *marking = calloc(1, sizeof(*marking));
	bool has = inode->watch && inode->n_asked == 0 && (mask & ~inode->watch->mask) == 0;
	int r;

	if (!marking)
		return -ENOMEM;
	marking->member = watches->member;
	marking->kind = kind;
	marking->mask = mask;
	marking->added = kind == MARKING_ADD ? mark->mask : 0;
	marking->inode = inode;
	marking->handle = inode->handle;
	r = has && kind == MARKING_ADD ? look_submit(watches, mark, marking)
				       : watch_submit(watches, mark, marking);
	if (r < 0)
		return r;

	inode->mask = mask;
	inode->n_asked++;
	LIST_INSERT_HEAD(&watches->member->markings, marking, link);
	TAKE_PTR(marking);
	return 0;
}

static int inode_remove(struct module_inode *inode, const struct file_events_mark *mark)
{
	struct module_watches *watches = inode->owner;
	uint64_t mask = inode->mask & ~mark->mask;

	if (mask == inode->mask)
		return 0;
	if ((mask & ~FLAGS) != 0)
		return inode_ask(inode, mark, MARKING_REMOVE, mask);
	inode->mask = 0;
	module_inode_settle(inode);
	module_watches_withdraw(watches);
	return 0;
}

int module_watches_mark(struct module_watches *watches, const struct file_events_mark *mark,
			bool remove)
{
	struct module_inode *inode;
	int r;

	assert(watches);
	assert(mark && mark->handle.n > 0);

	inode = module_inode_find(watches, &mark->handle);
	if (remove)
		return inode ? inode_remove(inode, mark) : 0;
	if (!inode)
		inode = module_inode_new(watches, &mark->handle);
	if (!inode)
		return -ENOMEM;
	r = inode_ask(inode, mark, MARKING_ADD, inode->mask | mark->mask);
	if (r < 0)
		module_inode_settle(inode);
	return r;
}

/*
 * Their life
 */

int module_watches_new(struct module_watches **ret, struct file_events_member *member)
{
	const struct module_socket_options options = { .n_buffer = REQUESTS_BUFFER,
						       .n_datagrams = 1 };
	struct module_watches *watches;
	int r;

	assert(ret);
	assert(member);

	watches = calloc(1, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	watches->member = member;
	r = module_socket_new(&watches->socket, &options);
	if (r < 0) {
		free(watches);
		return r;
	}
	*ret = watches;
	return 0;
}

struct module_watches *module_watches_free(struct module_watches *watches)
{
	struct module_inode *inode;

	if (!watches)
		return NULL;

	pool_cancel(watches->ticket);
	while ((inode = LIST_FIRST(&watches->inodes)))
		module_inode_free(inode);
	module_socket_free(watches->socket);
	free(watches->withdrawn);
	free(watches);
	return NULL;
}
