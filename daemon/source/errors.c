/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/queue.h>
#include <unistd.h>

#include "daemon/core/index.h"
#include "daemon/source/errors.h"
#include "daemon/source/late-reader.h"

#define ERRORS_MARK_DEADLINE_US 2000000ULL

/* The kernel merges what one filesystem has waiting into one event. */
#define ERRORS_LATE_US 2000ULL

#define ERRORS_BUFFER 8192
#define ERRORS_READS 16
#define ERRORS_BUCKETS 1024 /* a power of two */

struct errors_member {
	TAILQ_ENTRY(errors_member) link;
	LIST_ENTRY(errors_member) chain; /* while ->marked */
	struct errors *errors;
	const struct errors_ops *ops;
	void *userdata;
	struct pool_ticket *ticket;
	uint64_t fsid;
	bool marked;
	bool missed; /* an event of no member came while the mark was being set */
};

struct errors {
	struct pool *pool;
	struct late_reader reader; /* owns the descriptor */
	TAILQ_HEAD(, errors_member) members;
	LIST_HEAD(, errors_member) buckets[ERRORS_BUCKETS];
	/* The next to be told, so that who is told may free any member. */
	struct errors_member *next, *next_in_chain;
	struct errors_statistics statistics;
};

static size_t fsid_bucket(uint64_t fsid)
{
	return (size_t)(hash_number(fsid) >> 32) & (ERRORS_BUCKETS - 1);
}

static void members_tell_overflow(struct errors *errors)
{
	const struct fanotify_error overflow = { .overflow = true };
	struct errors_member *member;

	for (member = TAILQ_FIRST(&errors->members); member; member = errors->next) {
		errors->next = TAILQ_NEXT(member, link);
		member->ops->error(&overflow, member->userdata);
	}
}

/* Who has just been marked, or is about to be, may be the one. */
static void members_note_unknown(struct errors *errors)
{
	struct errors_member *member;

	errors->statistics.unknown++;
	TAILQ_FOREACH(member, &errors->members, link)
		member->missed = member->missed || member->ticket;
}

static void members_tell(struct errors *errors, const struct fanotify_error *error)
{
	struct errors_member *member = LIST_FIRST(&errors->buckets[fsid_bucket(error->fsid)]);
	bool known = false;

	for (; member; member = errors->next_in_chain) {
		errors->next_in_chain = LIST_NEXT(member, chain);
		if (member->fsid != error->fsid)
			continue;
		known = true;
		member->ops->error(error, member->userdata);
	}

	if (!known)
		members_note_unknown(errors);
}

static void event_take(struct errors *errors, const struct fanotify_error *error)
{
	errors->statistics.events++;
	if (error->overflow) {
		errors->statistics.overflows++;
		members_tell_overflow(errors);
	} else if (error->pid > 0 && pool_owns_pid(errors->pool, error->pid)) {
		/* Others merged into it show in the counters of the filesystem. */
		errors->statistics.own++;
	} else {
		members_tell(errors, error);
	}
}

static void buffer_take(struct errors *errors, const uint8_t *buffer, size_t n)
{
	struct fanotify_error error;
	size_t offset = 0;
	int r;

	while ((r = fanotify_error_next(buffer, n, &offset, &error)) > 0)
		event_take(errors, &error);
	if (r < 0)
		event_take(errors, &(struct fanotify_error){ .overflow = true });
}

static void on_due(void *userdata)
{
	struct errors *errors = userdata;
	uint8_t buffer[ERRORS_BUFFER];
	int fd = late_reader_fd(&errors->reader);

	/* What is left wakes it again, and waits as long once more. */
	for (unsigned int i = 0; i < ERRORS_READS; i++) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			event_take(errors, &(struct fanotify_error){ .overflow = true });
		if (n <= 0)
			break;
		buffer_take(errors, buffer, (size_t)n);
	}

	late_reader_listen(&errors->reader);
}

static void on_sign(void *userdata)
{
	struct errors *errors = userdata;

	late_reader_wait(&errors->reader, ERRORS_LATE_US);
}

static const struct late_reader_ops reader_ops = {
	.sign = on_sign,
	.due = on_due,
};

static int errors_start(struct errors *errors, sd_event *loop)
{
	_cleanup_close_ int fd = -1;
	int r;

	/* Bounded: the kernel's default of 16,384 events, one for each filesystem. */
	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC | FAN_REPORT_FID,
			   O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EPERM || errno == EINVAL || errno == ENOSYS ? -EOPNOTSUPP : -errno;

	r = late_reader_start(&errors->reader, loop,
			      &(const struct late_reader_options){
				      .fd = fd,
				      .owns_fd = true,
				      .name = "fanotify-errors",
				      .ops = &reader_ops,
				      .userdata = errors,
			      });
	if (r < 0)
		return r;
	TAKE_FD(fd);
	late_reader_listen(&errors->reader);
	return 0;
}

int errors_new(struct errors **ret, sd_event *loop, struct pool *pool)
{
	_cleanup_(errors_freep) struct errors *errors = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(pool);

	errors = calloc(1, sizeof(*errors));
	if (!errors)
		return -ENOMEM;

	errors->pool = pool;
	TAILQ_INIT(&errors->members);
	for (size_t i = 0; i < ERRORS_BUCKETS; i++)
		LIST_INIT(&errors->buckets[i]);

	r = errors_start(errors, loop);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(errors);
	return 0;
}

struct errors *errors_free(struct errors *errors)
{
	if (!errors)
		return NULL;

	assert(TAILQ_EMPTY(&errors->members));

	late_reader_stop(&errors->reader);
	free(errors);
	return NULL;
}

static int mark_error(enum pool_result result, const void *reply, size_t n_reply,
		      uint64_t *ret_fsid)
{
	struct mark_reply mark;

	if (result != POOL_DONE)
		return pool_result_error(result);
	if (mark_reply_decode(reply, n_reply, &mark) < 0)
		return -EBADMSG;

	*ret_fsid = mark.fsid;
	/* A kernel before 5.16 does not know the event. */
	return mark.error == -EINVAL ? -EOPNOTSUPP : mark.error;
}

static void on_marked(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	const struct fanotify_error overflow = { .overflow = true };
	struct errors_member *member = userdata;
	struct errors *errors = member->errors;
	bool missed = member->missed;
	int error = mark_error(result, reply, n_reply, &member->fsid);

	member->ticket = NULL;
	if (error == 0) {
		member->marked = true;
		LIST_INSERT_HEAD(&errors->buckets[fsid_bucket(member->fsid)], member, chain);
	}

	/* Whoever is told may free the member. */
	errors->next = member;
	member->ops->marked(error, member->userdata);
	if (errors->next == member && error == 0 && missed)
		member->ops->error(&overflow, member->userdata);
}

int errors_member_new(struct errors_member **ret, struct errors *errors, const struct mount *mount,
		      const struct errors_lane *lane, const struct errors_ops *ops, void *userdata)
{
	_cleanup_(errors_member_freep) struct errors_member *member = NULL;
	struct pool_submission submission = {
		.job = JOB_MARK,
		.deadline_us = ERRORS_MARK_DEADLINE_US,
		.reply = on_marked,
	};
	_cleanup_free_ void *payload = NULL;
	struct mark_request request = { .mask = FAN_FS_ERROR };
	int r;

	assert(ret);
	assert(errors);
	assert(mount);
	assert(lane);
	assert(ops && ops->error && ops->marked);

	request.where = mount->where;
	request.mount_id = mount_number(mount);
	request.mount_id_is_unique = mount->unique_id != 0;
	r = mark_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;

	member = calloc(1, sizeof(*member));
	if (!member)
		return -ENOMEM;
	member->errors = errors;
	member->ops = ops;
	member->userdata = userdata;
	TAILQ_INSERT_TAIL(&errors->members, member, link);

	submission.lane = lane->lane;
	submission.lane_key = lane->key;
	submission.owner_uid = lane->owner_uid;
	submission.payload = payload;
	submission.fd = late_reader_fd(&errors->reader);
	submission.userdata = member;
	r = pool_submit(errors->pool, &submission, &member->ticket);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(member);
	return 0;
}

/*
 * The mark stays with the superblock: removing it would take a path, and so a
 * worker. What it still tells is of no member then, and dropped.
 */
struct errors_member *errors_member_free(struct errors_member *member)
{
	struct errors *errors;

	if (!member)
		return NULL;

	errors = member->errors;
	if (errors->next == member)
		errors->next = TAILQ_NEXT(member, link);
	if (errors->next_in_chain == member)
		errors->next_in_chain = LIST_NEXT(member, chain);

	pool_cancel(member->ticket);
	if (member->marked)
		LIST_REMOVE(member, chain);
	TAILQ_REMOVE(&errors->members, member, link);
	free(member);
	return NULL;
}

void errors_statistics(const struct errors *errors, struct errors_statistics *ret)
{
	assert(errors);
	assert(ret);

	*ret = errors->statistics;
}
