/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>

#include "daemon/source/file-events-internal.h"
#include "daemon/worker/job-watch.h"

#define MARK_DEADLINE_US 2000000ULL

int file_events_root_decode(enum pool_result result, const void *reply, size_t n_reply,
			    struct handle *ret_root)
{
	struct watch_mark_reply mark;

	if (result != POOL_DONE)
		return pool_result_error(result);
	if (watch_mark_reply_decode(reply, n_reply, &mark) < 0)
		return -EBADMSG;

	*ret_root = mark.root;
	/* A kernel before 5.17 does not know FAN_RENAME. */
	return mark.error == -EINVAL ? -EOPNOTSUPP : mark.error;
}

static void tell(const struct marking *marking, enum pool_result result, int error,
		 const struct handle *root)
{
	const struct handle_view handle = handle_view(&marking->handle);
	const struct handle_view root_view = handle_view(root);
	struct file_events_member *member = marking->member;

	switch (marking->kind) {
	case MARKING_ADD:
		member->ops->marked(error, &handle, &root_view, member->userdata);
		break;
	case MARKING_REMOVE:
		break;
	case MARKING_IGNORE:
	case MARKING_HUSH:
	case MARKING_UNHUSH:
		member->ops->ignored(result != POOL_DONE || error == -EBADMSG ? -ETIME : error,
				     member->userdata);
		break;
	}
}

static void on_marked(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	_cleanup_free_ struct marking *marking = userdata;
	struct handle root = {};
	int error = file_events_root_decode(result, reply, n_reply, &root);

	LIST_REMOVE(marking, link);
	tell(marking, result, error, &root);
}

int file_events_member_look(struct file_events_member *member, const struct file_events_mark *mark,
			    int fd, pool_reply_fn reply, struct marking *marking)
{
	const struct watch_mark_request request = {
		.where = mark->mount->where,
		.mount_id = mark->mount->unique_id ? mark->mount->unique_id : mark->mount->id,
		.mount_id_is_unique = mark->mount->unique_id != 0,
		.btrfs = mark->btrfs,
	};
	struct pool_submission submission = {
		.lane = mark->lane,
		.lane_key = mark->lane_key,
		.owner_uid = mark->owner_uid,
		.job = JOB_WATCH_MARK,
		.fd = fd,
		.deadline_us = MARK_DEADLINE_US,
		.reply = reply,
		.userdata = marking,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = watch_mark_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	return pool_submit(member->events->pool, &submission, &marking->ticket);
}

static int member_submit(struct file_events_member *member, const struct file_events_mark *mark,
			 enum marking_kind kind)
{
	struct watch_mark_request request = {
		.where = mark->mount->where,
		.mount_id = mark->mount->unique_id ? mark->mount->unique_id : mark->mount->id,
		.mount_id_is_unique = mark->mount->unique_id != 0,
		.handle = mark->handle,
		.inotify = member->kind == FILE_EVENTS_INOTIFY,
		.path = mark->path,
		.inode = mark->inode,
		.remove = kind == MARKING_REMOVE || kind == MARKING_UNHUSH,
		.ignore = kind == MARKING_IGNORE || kind == MARKING_HUSH || kind == MARKING_UNHUSH,
		.mask = mark->mask,
		.btrfs = mark->btrfs,
	};
	struct pool_submission submission = {
		.lane = mark->lane,
		.lane_key = mark->lane_key,
		.owner_uid = mark->owner_uid,
		.job = JOB_WATCH_MARK,
		.fd = late_reader_fd(&member->reader),
		.deadline_us = MARK_DEADLINE_US,
		.reply = on_marked,
	};
	_cleanup_free_ struct marking *marking = NULL;
	_cleanup_free_ void *payload = NULL;
	int r;

	r = watch_mark_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	marking = calloc(1, sizeof(*marking));
	if (!marking)
		return -ENOMEM;

	marking->member = member;
	marking->kind = kind;
	marking->handle.type = mark->handle.type;
	marking->handle.n = mark->handle.n;
	if (mark->handle.n > 0)
		memcpy(marking->handle.bytes, mark->handle.bytes, mark->handle.n);

	submission.payload = payload;
	submission.userdata = marking;
	r = pool_submit(member->events->pool, &submission, &marking->ticket);
	if (r < 0)
		return r;

	LIST_INSERT_HEAD(&member->markings, marking, link);
	TAKE_PTR(marking);
	return 0;
}

int file_events_member_mark(struct file_events_member *member, const struct file_events_mark *mark)
{
	assert(member);
	assert(mark && mark->mount);
	assert(mark->handle.n <= HANDLE_MAX);

	return file_events_member_is_modules(member) ? module_file_mark(member, mark, false)
						     : member_submit(member, mark, MARKING_ADD);
}

int file_events_member_ignore(struct file_events_member *member,
			      const struct file_events_mark *mark)
{
	assert(member && member->ops->ignored);
	assert(mark && mark->mount);
	assert(mark->handle.n > 0 && mark->handle.n <= HANDLE_MAX);

	if (member->kind != FILE_EVENTS_FANOTIFY)
		return -EOPNOTSUPP;
	return member_submit(member, mark, MARKING_IGNORE);
}

int file_events_member_hush(struct file_events_member *member, const struct file_events_mark *mark,
			    bool hush)
{
	assert(member && member->ops->ignored);
	assert(mark && mark->mount);
	assert(mark->handle.n == 0);

	if (member->kind != FILE_EVENTS_FANOTIFY)
		return -EOPNOTSUPP;
	return member_submit(member, mark, hush ? MARKING_HUSH : MARKING_UNHUSH);
}

/* No path is looked up for that, and nothing waited for. */
void file_events_member_heed(struct file_events_member *member)
{
	int r;

	assert(member);
	assert(member->kind == FILE_EVENTS_FANOTIFY);

	r = fanotify_mark(late_reader_fd(&member->reader), FAN_MARK_FLUSH, 0, AT_FDCWD, NULL);
	assert(r == 0);
}

int file_events_member_unmark(struct file_events_member *member,
			      const struct file_events_mark *mark)
{
	assert(member);
	assert(mark && mark->mount);
	assert(mark->handle.n <= HANDLE_MAX);

	return file_events_member_is_modules(member) ? module_file_mark(member, mark, true)
						     : member_submit(member, mark, MARKING_REMOVE);
}

void file_events_member_free_markings(struct file_events_member *member)
{
	struct marking *marking;

	while ((marking = LIST_FIRST(&member->markings))) {
		LIST_REMOVE(marking, link);
		pool_cancel(marking->ticket);
		free(marking);
	}
}
