/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/core/escape.h"
#include "daemon/names.h"
#include "daemon/watches-branch.h"

void watched_wait(struct watched *watched)
{
	if (watched->waits)
		return;

	watched->waits = true;
	TAILQ_INSERT_TAIL(&watched->watches->waiting, watched, in_waiting);
	watches_retry_later(watched->watches);
}

void watched_abandon(struct watched *watched)
{
	struct anchor *anchor;

	pool_cancel(watched->ticket);
	watched->ticket = NULL;
	if (watched->waits)
		TAILQ_REMOVE(&watched->watches->waiting, watched, in_waiting);
	watched->waits = false;
	branch_free(watched->branch);
	watched->anchor = NULL;
	while ((anchor = LIST_FIRST(&watched->anchors)))
		anchor_free(anchor);
	watches_settle_later(watched->watches);
}

/* What bounds the marks: of three kinds. */
static const char *marks_limit(const struct watched *watched)
{
	if (watched->by_path)
		return "fs.inotify.max_user_watches";
	if (watched->anchor && watched->anchor->side->by_module)
		return "watches_max of the module";
	return "fs.fanotify.max_user_marks";
}

/* One that stood is absent until the next filesystem comes. */
void watched_give_up(struct watched *watched, const char *name, const char *format, ...)
{
	struct bus_refusal refusal = { .name = name };
	va_list arguments;

	if (watched->stood) {
		watched_abandon(watched);
		watched->state = WATCHED_ABSENT;
		watched_return(watched);
		return;
	}

	va_start(arguments, format);
	(void)vsnprintf(refusal.text, sizeof(refusal.text), format, arguments);
	va_end(arguments);
	watched_fail(watched, &refusal);
}

void watched_give_up_type(struct watched *watched, const char *type, const char *why)
{
	char shown[64];

	escape(shown, sizeof(shown), type, strlen(type), 0);
	watched_give_up(watched, SD_BUS_ERROR_NOT_SUPPORTED, "Files on %s cannot be watched: %s",
			shown, why);
}

void watched_give_up_errno(struct watched *watched, int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -ESTALE:
		watched_give_up(watched, SD_BUS_ERROR_FILE_NOT_FOUND, WATCHES_NOT_FOUND);
		return;
	case -EACCES:
		watched_give_up(watched, SD_BUS_ERROR_ACCESS_DENIED,
				"Only what you may read can be watched");
		return;
	case -EDQUOT:
		watched_give_up(watched, SD_BUS_ERROR_LIMITS_EXCEEDED,
				"You watch files of too many filesystems: %d are allowed, and one "
				"in which trees and single files are watched counts for two",
				WATCHES_SHARE);
		return;
	case -EUSERS:
		watched_give_up(watched, SD_BUS_ERROR_LIMITS_EXCEEDED,
				"Files of too many filesystems are watched already");
		return;
	case -ENOSPC:
		watched_give_up(watched, SD_BUS_ERROR_LIMITS_EXCEEDED,
				"The kernel allows no more marks: %s", marks_limit(watched));
		return;
	case -EMFILE:
		watched_give_up(watched, SD_BUS_ERROR_LIMITS_EXCEEDED,
				"The kernel allows no more groups: %s",
				watched->by_path ? "fs.inotify.max_user_instances"
						 : "fs.fanotify.max_user_groups");
		return;
	case -ENOMEM:
		watched_give_up(watched, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
		return;
	default:
		watched_give_up(watched, SD_BUS_ERROR_FAILED, "It cannot be watched: %s",
				strerror(-error));
	}
}

void watched_give_up_result(struct watched *watched, enum pool_result result)
{
	switch (result) {
	case POOL_STALLED:
	case POOL_BLOCKED:
		watched_give_up(watched, BUS_ERROR_STALLED, "Its filesystem does not answer");
		return;
	case POOL_LIMIT:
		watched_give_up(watched, SD_BUS_ERROR_LIMITS_EXCEEDED,
				"Too many filesystems of yours are being asked");
		return;
	case POOL_DONE:
	case POOL_BROKEN:
	case POOL_FAILED:
		watched_give_up(watched, SD_BUS_ERROR_FAILED, "It could not be looked up");
		return;
	}
}

bool watched_has_patience(struct watched *watched, uint64_t us)
{
	uint64_t now = watches_now();

	if (watched->since_us == 0)
		watched->since_us = now;
	return now - watched->since_us < us;
}

void watched_try_again(struct watched *watched, int error)
{
	uint64_t us = watched->stood ? WATCHES_ROOM_STOOD_US : WATCHES_ROOM_US;

	if (error != -ENOBUFS && error != -ESTALE)
		watched_give_up_errno(watched, error);
	else if (watched_has_patience(watched, error == -ESTALE ? WATCHES_PATIENCE_US : us))
		watched_wait(watched);
	else
		watched_give_up_result(watched, POOL_STALLED);
}

/* On the way: what comes now has its own patience. */
void watched_go_on(struct watched *watched, enum watched_state state)
{
	watched->since_us = 0;
	watched->state = state;
	watched_step(watched);
}

/*
 * What a path or a number names
 */

static bool find_take(struct watched *watched, const struct watch_find_reply *reply)
{
	char *path = strndup(reply->path, reply->n_path);

	if (!path)
		return false;
	free(watched->path);
	watched->path = path;
	watched->is_directory = reply->is_directory;
	watched->inode = reply->inode;
	watched->handle = reply->handle;
	watched->by_path = watched->by_path || reply->handle.n == 0;
	watched->mnt_id = reply->mnt_id;
	watched->mount_unique = reply->mount_id_unique;
	return true;
}

static void on_found(enum pool_result result, const void *bytes, size_t n, void *userdata)
{
	struct watched *watched = userdata;
	struct watch_find_reply reply;
	struct superblock *sb = NULL;
	int r;

	watched->ticket = NULL;
	/* Its place is free for the next one. */
	if (!TAILQ_EMPTY(&watched->watches->waiting))
		watches_arm(watched->watches->retry, 0);
	if (result != POOL_DONE) {
		watched_give_up_result(watched, result);
		return;
	}
	r = watch_find_reply_decode(bytes, n, &reply);
	if (r == 0)
		r = reply.error;
	if (r == -EOPNOTSUPP) {
		sb = superblock_table_resolve(watched->watches->superblocks, watched->path);
		watched_give_up_type(
			watched, sb ? sb->type : "that",
			"only directories and regular files can, and not by a mount that changes "
			"their owners");
		return;
	}
	if (r == 0 && !find_take(watched, &reply))
		r = -ENOMEM;
	if (r < 0) {
		watched_give_up_errno(watched, r);
		return;
	}

	watched_go_on(watched, WATCHED_PLACING);
}

struct lookup_credential watched_lookup_credential(const struct watched *watched)
{
	return (struct lookup_credential){
		.uid = watched->credential->uid,
		.groups = watched->credential->groups,
		.n_groups = watched->credential->n_groups,
	};
}

static int find_by_inode(struct watched *watched, struct watch_find_request *request,
			 struct pool_submission *submission)
{
	const struct superblock *sb;
	const struct mount *mount;
	uint64_t wait_us;

	sb = superblock_table_find_device(watched->watches->superblocks, watched->major,
					  watched->minor);
	if (!sb)
		return -ENODEV;
	mount = volume_mount(sb, &wait_us);
	if (!mount)
		return wait_us > 0 ? -ENOBUFS : -ENOENT;

	*submission = volume_submission(sb, JOB_WATCH_FIND);
	request->where = mount->where;
	request->mount_id = mount_number(mount);
	request->mount_id_is_unique = mount->unique_id;
	request->btrfs = volume_is_btrfs(sb);
	request->inode = watched->inode;
	request->subvolume = watched->subvolume;
	return 0;
}

void watched_find(struct watched *watched)
{
	struct watch_find_request request = { .credential = watched_lookup_credential(watched) };
	struct pool_submission submission = {
		.lane = POOL_LANE_FOREIGN,
		.lane_key = WATCHES_FIND_LANE | watched->uid,
		.owner_uid = watched->uid,
		.job = JOB_WATCH_FIND,
		.fd = -1,
		.deadline_us = WATCHES_DEADLINE_US,
	};
	_cleanup_free_ void *payload = NULL;
	int r = 0;

	if (watched->by_inode)
		r = find_by_inode(watched, &request, &submission);
	else
		request.path = watched->path;
	if (r == 0)
		r = watch_find_request_encode(&request, &payload, &submission.n_payload);
	if (r == 0) {
		submission.payload = payload;
		submission.reply = on_found;
		submission.userdata = watched;
		r = pool_submit(watched->watches->pool, &submission, &watched->ticket);
	}
	/* The mount table may not have it yet. */
	if (r == -ENODEV && watched_has_patience(watched, WATCHES_PATIENCE_US))
		watched_wait(watched);
	else if (r < 0)
		watched_try_again(watched, r == -ENODEV ? -ENOENT : r);
}
