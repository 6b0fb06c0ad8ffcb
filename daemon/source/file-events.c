/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/wire-inotify.h"
#include "daemon/source/file-events-internal.h"

/* Some two thousand events. */
#define BUFFER_SIZE (256U << 10)

struct group_kind {
	int (*open)(void); /* Return: a descriptor, or -1 with errno */
	int (*next)(const void *buffer, size_t n_buffer, size_t *offset, struct file_event *ret);
	size_t n_event; /* bytes of the shortest event, as FIONREAD counts it */
};

/* Bounded: the kernel's default is 16,384 events; likewise of the other. */
static int fanotify_open(void)
{
	return fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC |
				     FAN_REPORT_DFID_NAME_TARGET,
			     O_RDONLY | O_CLOEXEC);
}

static int inotify_open(void)
{
	return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

static const struct group_kind kinds[] = {
	[FILE_EVENTS_FANOTIFY] = { fanotify_open, file_event_next, FAN_EVENT_METADATA_LEN },
	[FILE_EVENTS_INOTIFY] = { inotify_open, inotify_event_next, sizeof(struct inotify_event) },
	[FILE_EVENTS_MODULE] = {}, /* has no group of its own */
	[FILE_EVENTS_MODULE_INODES] = {}, /* likewise */
};

_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == _FILE_EVENTS_KIND_N, "all of them");

static const struct file_event overflow = { .overflow = true, .at.name = "", .to.name = "" };

uint64_t file_events_now(void)
{
	struct timespec now = {};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A batch on its way through the buffer. */
struct batch {
	uint64_t n; /* events so far */
	int32_t pid; /* of the last one, and whether that is ours; 0: none yet */
	bool own;
};

static bool batch_is_own(struct batch *batch, const struct file_events *events, int32_t pid)
{
	if (pid != batch->pid) {
		batch->pid = pid;
		batch->own = pool_owns_pid(events->pool, pid);
	}
	return batch->own;
}

bool file_events_is_own(struct file_events *events, int32_t pid)
{
	bool own = pid > 0 && pool_owns_pid(events->pool, pid);

	events->statistics.own += own;
	return own;
}

/* Return: false where the member is gone. */
static bool member_tell(struct file_events_member *member, const struct file_event *event)
{
	struct file_events *events = member->events;

	member->ops->event(event, member->userdata);
	return events->current == member;
}

/* Return: false where the member is gone. */
static bool member_take(struct file_events_member *member, struct batch *batch, size_t n_buffer)
{
	struct file_events *events = member->events;
	struct file_event event;
	size_t offset = 0;
	int r;

	while ((r = kinds[member->kind].next(events->buffer, n_buffer, &offset, &event)) > 0) {
		batch->n++;
		events->statistics.events++;
		events->statistics.overflows += event.overflow;
		if (event.pid > 0 && batch_is_own(batch, events, event.pid))
			events->statistics.own++;
		else if (!member_tell(member, &event))
			return false;
	}
	if (r == 0)
		return true;

	events->statistics.malformed++;
	return member_tell(member, &overflow);
}

/*
 * Until the queue is empty, or @max events were told.
 *
 * Return: false where the member is gone.
 */
static bool member_read(struct file_events_member *member, uint64_t max, bool *ret_empty)
{
	int fd = late_reader_fd(&member->reader);
	struct batch batch = {};

	*ret_empty = false;
	while (!*ret_empty && batch.n < max) {
		ssize_t n = read(fd, member->events->buffer, BUFFER_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			if (!member_take(member, &batch, (size_t)n))
				return false;
			continue;
		}
		/* What cannot be read is asked for again with the next sign. */
		*ret_empty = true;
		if (n < 0 && errno != EAGAIN) {
			member->events->statistics.malformed++;
			if (!member_tell(member, &overflow))
				return false;
		}
	}

	return true;
}

static void member_batch(struct file_events_member *member, uint64_t max)
{
	struct file_events *events = member->events;
	uint64_t since_us = member->since_us ? member->since_us : file_events_now();
	bool empty;

	assert(!events->current);

	events->statistics.batches++;
	events->current = member;
	member->ops->begin(since_us, member->userdata);
	if (events->current != member || !member_read(member, max, &empty))
		return;

	/* Before it is told: who hears it may free the member. */
	events->current = NULL;
	member->since_us = empty ? 0 : since_us;
	if (empty)
		late_reader_listen(&member->reader);
	else
		late_reader_wait(&member->reader, 0);
	member->ops->end(empty, member->userdata);
}

static void on_due(void *userdata)
{
	member_batch(userdata, FILE_EVENTS_BATCH);
}

static void on_sign(void *userdata)
{
	struct file_events_member *member = userdata;

	member->since_us = file_events_now();
	late_reader_wait(&member->reader, member->pause_us);
}

static const struct late_reader_ops reader_ops = {
	.sign = on_sign,
	.due = on_due,
};

void file_events_member_read(struct file_events_member *member)
{
	int n = 0;

	assert(member);

	if (file_events_member_is_modules(member)) {
		module_file_read(member->events->module);
		return;
	}
	/*
	 * What comes while this is read is not waited for: who makes events
	 * faster than they are told would keep the loop here. The kernel counts at least the
	 * head of each that waits.
	 */
	if (ioctl(late_reader_fd(&member->reader), FIONREAD, &n) < 0)
		n = 0;
	member_batch(member, (uint64_t)n / kinds[member->kind].n_event + 1);
}

void file_events_member_set_pause(struct file_events_member *member, uint64_t pause_us)
{
	assert(member);

	if (pause_us < FILE_EVENTS_PAUSE_MIN_US)
		pause_us = FILE_EVENTS_PAUSE_MIN_US;
	if (pause_us > FILE_EVENTS_PAUSE_MAX_US)
		pause_us = FILE_EVENTS_PAUSE_MAX_US;
	member->pause_us = pause_us;
	if (file_events_member_is_modules(member))
		module_file_set_pause(member->events->module);
}

static int member_start(struct file_events_member *member)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = kinds[member->kind].open();
	if (fd < 0)
		return errno == EPERM || errno == EINVAL || errno == ENOSYS ? -EOPNOTSUPP : -errno;

	r = late_reader_start(&member->reader, member->events->loop,
			      &(const struct late_reader_options){
				      .fd = fd,
				      .owns_fd = true,
				      .name = "file-events",
				      .ops = &reader_ops,
				      .userdata = member,
			      });
	if (r < 0)
		return r;
	TAKE_FD(fd);
	late_reader_listen(&member->reader);
	return 0;
}

int file_events_member_new(struct file_events_member **ret, struct file_events *events,
			   enum file_events_kind kind, const struct file_events_ops *ops,
			   void *userdata)
{
	_cleanup_(file_events_member_freep) struct file_events_member *member = NULL;
	int r;

	assert(ret);
	assert(events);
	assert(ops && ops->begin && ops->event && ops->end && ops->marked);
	assert((kind != FILE_EVENTS_MODULE && kind != FILE_EVENTS_MODULE_INODES) || ops->gone);

	if (events->statistics.groups >= FILE_EVENTS_GROUPS_MAX)
		return -EUSERS;

	member = calloc(1, sizeof(*member));
	if (!member)
		return -ENOMEM;
	member->events = events;
	member->kind = kind;
	member->ops = ops;
	member->userdata = userdata;
	member->pause_us = FILE_EVENTS_PAUSE_MAX_US;
	LIST_INIT(&member->markings);
	events->statistics.groups++;

	r = file_events_member_is_modules(member) ? module_file_join(member) : member_start(member);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(member);
	return 0;
}

struct file_events_member *file_events_member_free(struct file_events_member *member)
{
	if (!member)
		return NULL;

	file_events_member_free_markings(member);
	if (file_events_member_is_modules(member))
		module_file_leave(member);
	if (member->events->current == member)
		member->events->current = NULL;
	member->events->statistics.groups--;
	late_reader_stop(&member->reader);
	free(member);
	return NULL;
}

void file_events_set_module(struct file_events *events, bool present)
{
	assert(events);

	events->has_module = present;
	if (!present && events->module)
		module_file_gone(events->module);
}

/* Those that it finds without a mount and whose handles are the same bytes as fanotify's. */
bool file_events_has_module(const struct file_events *events, const char *type)
{
	static const char *const types[] = { "btrfs", "ext4", "tmpfs", "xfs" };

	assert(events);
	assert(type);

	for (size_t i = 0; events->has_module && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

int file_events_new(struct file_events **ret, sd_event *loop, struct pool *pool)
{
	_cleanup_(file_events_freep) struct file_events *events = NULL;

	assert(ret);
	assert(loop);
	assert(pool);

	events = calloc(1, sizeof(*events));
	if (!events)
		return -ENOMEM;

	events->buffer = malloc(BUFFER_SIZE);
	if (!events->buffer)
		return -ENOMEM;
	events->loop = sd_event_ref(loop);
	events->pool = pool;

	*ret = TAKE_PTR(events);
	return 0;
}

struct file_events *file_events_free(struct file_events *events)
{
	if (!events)
		return NULL;

	assert(events->statistics.groups == 0);

	module_file_free(events->module);
	sd_event_unref(events->loop);
	free(events->buffer);
	free(events);
	return NULL;
}

void file_events_statistics(const struct file_events *events, struct file_events_statistics *ret)
{
	assert(events);
	assert(ret);

	*ret = events->statistics;
}
