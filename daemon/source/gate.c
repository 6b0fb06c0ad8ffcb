/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/queue.h>
#include <unistd.h>

#include "daemon/source/gate.h"

/*
 * Deletes too: space that comes back is news as well, and closing the last
 * descriptor of an unlinked file raises DELETE_SELF alone.
 */
#define GATE_MASK (FAN_MODIFY | FAN_CREATE | FAN_DELETE | FAN_DELETE_SELF | FAN_ONDIR)

#define GATE_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
#define GATE_MARK_DEADLINE_US 1000000ULL
#define GATE_BUFFER 8192

/* Own events read per wake-up; the rest wakes it again. */
#define GATE_READS 16

enum member_state {
	MEMBER_CLOSED,
	MEMBER_ARMING, /* a worker is at it */
	MEMBER_FAILED, /* ->armed(->error) is to be told */
	MEMBER_ARMED,
	MEMBER_OPENED, /* ->opened() is to be told */
};

struct group {
	struct gate *gate;
	sd_event_source *io; /* owns the descriptor */
	uint64_t generation; /* counts its openings */
	unsigned int n_members;
};

struct gate_member {
	TAILQ_ENTRY(gate_member) link;
	struct gate *gate;
	struct group *group; /* from the first arming on */
	const struct gate_ops *ops;
	void *userdata;
	enum member_state state;
	uint64_t generation; /* of the group when the mark was asked for */
	struct pool_ticket *ticket;
	int error;
};

struct gate {
	sd_event *loop;
	struct pool *pool;
	sd_event_source *telling; /* enabled while some member is to be told */
	TAILQ_HEAD(, gate_member) members;
	struct group groups[GATE_GROUPS];
	uint64_t opened, own;
};

static int group_fd(const struct group *group)
{
	return sd_event_source_get_io_fd(group->io);
}

/*
 * Takes all marks away in 20-40 us; closing the group instead waits for the
 * marks to be destroyed, 6-16 ms. The kernel looks at no path for this; should
 * one ever want it, "/" is a mount that is in use anyway.
 */
static void group_flush(struct group *group)
{
	const unsigned int flags = FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM;

	if (fanotify_mark(group_fd(group), flags, 0, AT_FDCWD, NULL) < 0)
		(void)fanotify_mark(group_fd(group), flags, 0, AT_FDCWD, "/");
}

static bool group_is_used(const struct group *group, const struct gate_member *but)
{
	const struct gate_member *member;

	TAILQ_FOREACH(member, &group->gate->members, link)
		if (member != but && member->group == group &&
		    (member->state == MEMBER_ARMED || member->state == MEMBER_ARMING))
			return true;
	return false;
}

static int on_telling(sd_event_source *source, void *userdata)
{
	struct gate *gate = userdata;
	struct gate_member *member;

	/* One at a time: who is told may free itself and others, and arm again. */
	TAILQ_FOREACH(member, &gate->members, link) {
		if (member->state == MEMBER_OPENED) {
			member->state = MEMBER_CLOSED;
			member->ops->opened(member->userdata);
			return 0;
		}
		if (member->state == MEMBER_FAILED) {
			member->state = MEMBER_CLOSED;
			member->ops->armed(member->error, member->userdata);
			return 0;
		}
	}

	return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static void gate_tell(struct gate *gate)
{
	(void)sd_event_source_set_enabled(gate->telling, SD_EVENT_ON);
}

static void group_open(struct group *group)
{
	char buffer[GATE_BUFFER];
	struct gate_member *member;

	/*
	 * The writer first. An event that was under way on another processor
	 * may still come, and then opens the gate once too often.
	 */
	group_flush(group);
	group->generation++;
	group->gate->opened++;

	TAILQ_FOREACH(member, &group->gate->members, link)
		if (member->group == group && member->state == MEMBER_ARMED)
			member->state = MEMBER_OPENED;
	gate_tell(group->gate);

	/* Bounded: without a mark nothing comes after. */
	while (read(group_fd(group), buffer, sizeof(buffer)) > 0)
		;
}

/*
 * The daemon's own writes are told from others by their process. A worker
 * that is dead by now counts as another, and so does a queue that overran.
 */
static bool events_are_own(const struct gate *gate, const uint8_t *buffer, size_t n)
{
	struct fanotify_event_metadata event;

	/* Copied: the kernel aligns an event to four bytes, which is less than it needs. */
	for (; n >= sizeof(event); buffer += event.event_len, n -= event.event_len) {
		memcpy(&event, buffer, sizeof(event));
		if (event.event_len < sizeof(event) || event.event_len > n)
			return false;
		if (event.vers != FANOTIFY_METADATA_VERSION || event.mask & FAN_Q_OVERFLOW ||
		    !pool_owns_pid(gate->pool, event.pid))
			return false;
	}
	return true;
}

static int on_group(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	uint8_t buffer[GATE_BUFFER];
	struct group *group = userdata;
	ssize_t n = 0;

	for (unsigned int i = 0; i < GATE_READS; i++) {
		n = read(fd, buffer, sizeof(buffer));
		if (n <= 0)
			break;
		if (!events_are_own(group->gate, buffer, (size_t)n)) {
			group_open(group);
			return 0;
		}
	}

	/* Reading cannot fail but for memory: better a check too many than a deaf gate. */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		group_open(group);
	else
		group->gate->own++;
	return 0;
}

static int group_start(struct gate *gate, struct group *group)
{
	sd_event_source *io = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC | FAN_REPORT_FID,
			   O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	r = sd_event_add_io(gate->loop, &io, fd, EPOLLIN, on_group, group);
	if (r < 0)
		return r;

	(void)sd_event_source_set_description(io, "write-gate");
	r = sd_event_source_set_priority(io, GATE_PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(io, true);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(io, true);
	if (r < 0) {
		sd_event_source_disable_unref(io);
		return r;
	}

	TAKE_FD(fd);
	group->gate = gate;
	group->io = io;
	return 0;
}

/* A group of its own while there are any: else the one with the fewest members. */
static int gate_find_group(struct gate *gate, struct group **ret)
{
	struct group *best = NULL, *unused = NULL;
	int r = -EMFILE;

	for (size_t i = 0; i < GATE_GROUPS; i++) {
		struct group *group = &gate->groups[i];

		if (!group->io)
			unused = unused ?: group;
		else if (!best || group->n_members < best->n_members)
			best = group;
	}

	if (unused && (!best || best->n_members > 0)) {
		r = group_start(gate, unused);
		if (r == 0)
			best = unused;
	}

	if (!best)
		return r;

	*ret = best;
	return 0;
}

static int mark_error(enum pool_result result, const void *reply, size_t n_reply)
{
	struct mark_reply mark;

	if (result != POOL_DONE)
		return pool_result_error(result);
	return mark_reply_decode(reply, n_reply, &mark) < 0 ? -EBADMSG : mark.error;
}

static void on_marked(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct gate_member *member = userdata;
	struct group *group = member->group;
	int error = mark_error(result, reply, n_reply);

	member->ticket = NULL;
	if (error < 0) {
		member->state = MEMBER_CLOSED;
	} else if (member->generation == group->generation) {
		member->state = MEMBER_ARMED;
	} else {
		/* The group was flushed meanwhile, before the mark was set or after. */
		member->state = MEMBER_OPENED;
		if (!group_is_used(group, NULL))
			group_flush(group);
		gate_tell(member->gate);
	}

	/* Last: who is told may free the member. */
	member->ops->armed(error, member->userdata);
}

int gate_new(struct gate **ret, sd_event *loop, struct pool *pool)
{
	_cleanup_(gate_freep) struct gate *gate = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(pool);

	gate = calloc(1, sizeof(*gate));
	if (!gate)
		return -ENOMEM;

	gate->loop = sd_event_ref(loop);
	gate->pool = pool;
	TAILQ_INIT(&gate->members);

	r = sd_event_add_defer(loop, &gate->telling, on_telling, gate);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(gate->telling, "write-gate-telling");
	r = sd_event_source_set_priority(gate->telling, GATE_PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_exit_on_failure(gate->telling, true);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(gate->telling, SD_EVENT_OFF);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(gate);
	return 0;
}

struct gate *gate_free(struct gate *gate)
{
	if (!gate)
		return NULL;

	assert(TAILQ_EMPTY(&gate->members));

	for (size_t i = 0; i < GATE_GROUPS; i++)
		sd_event_source_disable_unref(gate->groups[i].io);
	sd_event_source_disable_unref(gate->telling);
	sd_event_unref(gate->loop);
	free(gate);
	return NULL;
}

int gate_member_new(struct gate_member **ret, struct gate *gate, const struct gate_ops *ops,
		    void *userdata)
{
	struct gate_member *member;

	assert(ret);
	assert(gate);
	assert(ops && ops->opened && ops->armed);

	member = calloc(1, sizeof(*member));
	if (!member)
		return -ENOMEM;

	member->gate = gate;
	member->ops = ops;
	member->userdata = userdata;
	TAILQ_INSERT_TAIL(&gate->members, member, link);

	*ret = member;
	return 0;
}

struct gate_member *gate_member_free(struct gate_member *member)
{
	if (!member)
		return NULL;

	pool_cancel(member->ticket);
	if (member->group) {
		/* A mark that a worker sets later, or in a shared group, opens it once for nothing. */
		if (member->state == MEMBER_ARMED && !group_is_used(member->group, member))
			group_flush(member->group);
		member->group->n_members--;
	}

	TAILQ_REMOVE(&member->gate->members, member, link);
	free(member);
	return NULL;
}

static int member_submit(struct gate_member *member, const struct mount *mount,
			 struct pool_submission *submission)
{
	struct mark_request request = {
		.where = mount->where,
		.mount_id = mount_number(mount),
		.mount_id_is_unique = mount->unique_id != 0,
		.mask = GATE_MASK,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = mark_request_encode(&request, &payload, &submission->n_payload);
	if (r < 0)
		return r;

	submission->payload = payload;
	submission->fd = group_fd(member->group);
	return pool_submit(member->gate->pool, submission, &member->ticket);
}

int gate_member_arm(struct gate_member *member, const struct mount *mount, enum pool_lane lane,
		    uint64_t lane_key, uid_t owner_uid)
{
	struct pool_submission submission = {
		.lane = lane,
		.lane_key = lane_key,
		.owner_uid = owner_uid,
		.job = JOB_MARK,
		.deadline_us = GATE_MARK_DEADLINE_US,
		.reply = on_marked,
		.userdata = member,
	};
	int r;

	assert(member);
	assert(mount);

	if (member->state != MEMBER_CLOSED)
		return -EALREADY;

	if (!member->group) {
		r = gate_find_group(member->gate, &member->group);
		if (r < 0) {
			member->error = r;
			member->state = MEMBER_FAILED;
			gate_tell(member->gate);
			return 0;
		}
		member->group->n_members++;
	}

	r = member_submit(member, mount, &submission);
	if (r < 0)
		return r;

	member->state = MEMBER_ARMING;
	member->generation = member->group->generation;
	return 0;
}

bool gate_member_is_armed(const struct gate_member *member)
{
	assert(member);

	return member->state == MEMBER_ARMED;
}

void gate_statistics(const struct gate *gate, struct gate_statistics *ret)
{
	const struct gate_member *member;

	assert(gate);
	assert(ret);

	*ret = (struct gate_statistics){ .opened = gate->opened, .own = gate->own };
	for (size_t i = 0; i < GATE_GROUPS; i++)
		ret->groups += gate->groups[i].io != NULL;
	TAILQ_FOREACH(member, &gate->members, link)
		ret->armed += member->state == MEMBER_ARMED;
}
