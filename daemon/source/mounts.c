/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "daemon/source/mount-events.h"
#include "daemon/source/mount-reading.h"
#include "daemon/source/mounts.h"
#include "daemon/source/namespace.h"

/* From the first sign of a change to the reading: a mount seldom comes alone. */
#define DELAY_US 10000

/*
 * Between readings, however often the table changes: a large one costs more to
 * read, and a storm of mounts is then read in larger batches, so that a mount
 * costs the same beside many as beside few.
 */
#define INTERVAL_US 25000
#define INTERVAL_MAX_US 500000
#define INTERVAL_SHARE 25 /* at most one part of the time is spent on reading */

/* After which a reading during which the table changed is better than none. */
#define UNSTEADY_MAX_US 1000000

/* After a failure. */
#define RETRY_US 1000000

/* Below the bus, so that a storm of mounts does not delay an answer. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

struct mounts {
	sd_event *loop;
	struct superblock_table *table;
	struct mounts_options options;
	const struct mounts_ops *ops;
	void *userdata;

	/*
	 * mountinfo twice: each descriptor tells of a change once, and adding
	 * one to epoll uses that up without a word.
	 */
	struct mount_reading reading;
	int wake_fd; /* polled by the loop */
	int fanotify_fd; /* -1: not in this kernel */
	sd_event_source *io;
	sd_event_source *fanotify;
	sd_event_source *timer;

	uint64_t read_us; /* the last reading */
	uint64_t interval_us; /* before the next one */
	uint64_t steady_us; /* the last one without a change meanwhile */
	struct mounts_statistics statistics;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t on_unique_id(uint32_t mnt_id, void *userdata)
{
	struct mounts *mounts = userdata;

	return mounts->reading.ids ? mount_ids_find(mounts->reading.ids, mnt_id) : 0;
}

/* Return: 0; @ret_again_us: when to read again, 0: once there is a sign */
static int mounts_take_reading(struct mounts *mounts, uint64_t *ret_again_us)
{
	struct superblock_reading reading = {
		.unique_id = on_unique_id,
		.userdata = mounts,
	};
	size_t skipped;
	bool steady;
	int r;

	mounts->read_us = now_us();
	r = mount_reading_take(&mounts->reading);
	if (r < 0)
		return r;

	steady = r != MOUNT_READING_UNSTEADY;
	if (steady)
		mounts->steady_us = mounts->read_us;

	/* The sign of the change is used up by now. */
	*ret_again_us = steady ? 0 : mounts->read_us + INTERVAL_US;
	if (!steady && mounts->read_us - mounts->steady_us < UNSTEADY_MAX_US)
		return 0;

	reading.text = mounts->reading.text;
	reading.n_text = mounts->reading.n_text;
	reading.now_us = mounts->read_us;
	r = superblock_table_update(mounts->table, &reading, &skipped);
	if (r < 0)
		return r;

	mounts->statistics.readings++;
	mounts->statistics.skipped_lines += skipped;
	mount_reading_shrink(&mounts->reading);

	if (mounts->ops->updated)
		mounts->ops->updated(mounts->userdata);
	return 0;
}

/* Nothing is heard between the first sign and the reading: a storm wakes no more often. */
static int mounts_listen(struct mounts *mounts, bool on)
{
	int r;

	r = sd_event_source_set_enabled(mounts->io, on ? SD_EVENT_ON : SD_EVENT_OFF);
	if (r < 0 || !mounts->fanotify)
		return r;

	return sd_event_source_set_enabled(mounts->fanotify, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int mounts_schedule(struct mounts *mounts, uint64_t at_us)
{
	int r;

	if (at_us < mounts->read_us + mounts->interval_us)
		at_us = mounts->read_us + mounts->interval_us;

	r = mounts_listen(mounts, false);
	if (r < 0)
		return r;

	r = sd_event_source_set_time(mounts->timer, at_us);
	if (r < 0)
		return r;

	return sd_event_source_set_enabled(mounts->timer, SD_EVENT_ONESHOT);
}

/* Listens again, and looks for what changed before it did. */
static int mounts_resume(struct mounts *mounts)
{
	int r;

	r = mounts_listen(mounts, true);
	if (r < 0)
		return r;

	return mount_reading_changed(&mounts->reading)
		       ? mounts_schedule(mounts, now_us() + DELAY_US)
		       : 0;
}

static int on_sign(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct mounts *mounts = userdata;

	mounts->statistics.wakeups++;
	return mounts_schedule(mounts, now_us() + DELAY_US);
}

static void mounts_set_interval(struct mounts *mounts)
{
	uint64_t interval_us = (now_us() - mounts->read_us) * INTERVAL_SHARE;

	if (interval_us < INTERVAL_US)
		interval_us = INTERVAL_US;
	mounts->interval_us = interval_us < INTERVAL_MAX_US ? interval_us : INTERVAL_MAX_US;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mounts *mounts = userdata;
	uint64_t again_us;
	int r;

	/* Before the reading, so that what comes after it is a new sign. */
	if (mounts->fanotify_fd >= 0)
		mounts->statistics.overflows += mount_events_drain(mounts->fanotify_fd);

	r = mounts_take_reading(mounts, &again_us);
	mounts_set_interval(mounts);
	if (r < 0) {
		mounts->statistics.failed++;
		return mounts_schedule(mounts, now_us() + RETRY_US);
	}

	return again_us ? mounts_schedule(mounts, again_us) : mounts_resume(mounts);
}

static int mounts_open(struct mounts *mounts)
{
	const char *path = "/proc/1/mountinfo";
	int r;

	/* Another namespace's paths would lead us to other filesystems than it names. */
	if (namespace_is_shared() <= 0 || access(path, R_OK) < 0)
		path = "/proc/self/mountinfo";

	r = mount_reading_open(&mounts->reading, path);
	if (r < 0)
		return r;

	mounts->wake_fd = open(path, O_RDONLY | O_CLOEXEC);
	return mounts->wake_fd < 0 ? -errno : 0;
}

static int mounts_add_source(struct mounts *mounts, sd_event_source **ret, int fd, uint32_t events,
			     const char *description)
{
	int r;

	r = sd_event_add_io(mounts->loop, ret, fd, events, on_sign, mounts);
	if (r < 0)
		return r;

	r = sd_event_source_set_priority(*ret, PRIORITY);
	if (r < 0)
		return r;

	r = sd_event_source_set_exit_on_failure(*ret, true);
	if (r < 0)
		return r;

	return sd_event_source_set_description(*ret, description);
}

static int mounts_add_timer(struct mounts *mounts)
{
	int r;

	r = sd_event_add_time(mounts->loop, &mounts->timer, CLOCK_MONOTONIC, 0, 1000, on_timer,
			      mounts);
	if (r < 0)
		return r;

	r = sd_event_source_set_enabled(mounts->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;

	r = sd_event_source_set_priority(mounts->timer, PRIORITY);
	if (r < 0)
		return r;

	r = sd_event_source_set_exit_on_failure(mounts->timer, true);
	if (r < 0)
		return r;

	return sd_event_source_set_description(mounts->timer, "mounts-reading");
}

int mounts_new(struct mounts **ret, sd_event *loop, struct superblock_table *table,
	       const struct mounts_options *options, const struct mounts_ops *ops, void *userdata)
{
	_cleanup_(mounts_freep) struct mounts *mounts = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(table);
	assert(options);
	assert(ops);

	mounts = calloc(1, sizeof(*mounts));
	if (!mounts)
		return -ENOMEM;

	mounts->loop = sd_event_ref(loop);
	mounts->table = table;
	mounts->options = *options;
	mounts->ops = ops;
	mounts->userdata = userdata;
	mounts->wake_fd = -1;
	mounts->fanotify_fd = -1;

	r = mount_reading_init(&mounts->reading);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(mounts);
	return 0;
}

int mounts_start(struct mounts *mounts)
{
	uint64_t again_us;
	int r;

	assert(mounts);
	assert(mounts->reading.fd < 0);

	r = mounts_open(mounts);
	if (r < 0)
		return r;

	/* Where the kernel has none, that is a state and no failure. */
	if (mounts->options.use_fanotify)
		mounts->fanotify_fd = mount_events_open();

	r = mounts_add_timer(mounts);
	if (r < 0)
		return r;

	r = mounts_add_source(mounts, &mounts->io, mounts->wake_fd, EPOLLPRI, "mountinfo");
	if (r < 0)
		return r;

	if (mounts->fanotify_fd >= 0) {
		r = mounts_add_source(mounts, &mounts->fanotify, mounts->fanotify_fd, EPOLLIN,
				      "mounts-fanotify");
		if (r < 0)
			return r;
	}

	/* With no steady one so far, the first is taken as it is and corrected by the next. */
	r = mounts_take_reading(mounts, &again_us);
	if (r < 0)
		return r;

	return again_us ? mounts_schedule(mounts, again_us) : 0;
}

struct mounts *mounts_free(struct mounts *mounts)
{
	if (!mounts)
		return NULL;

	sd_event_source_disable_unref(mounts->io);
	sd_event_source_disable_unref(mounts->fanotify);
	sd_event_source_disable_unref(mounts->timer);
	closep(&mounts->wake_fd);
	closep(&mounts->fanotify_fd);
	mount_reading_deinit(&mounts->reading);
	sd_event_unref(mounts->loop);
	free(mounts);
	return NULL;
}

const char *mounts_source(const struct mounts *mounts)
{
	assert(mounts);

	if (mounts->fanotify_fd >= 0)
		return mounts->reading.ids ? "mountinfo+listmount+fanotify" : "mountinfo+fanotify";

	return mounts->reading.ids ? "mountinfo+listmount" : "mountinfo";
}

void mounts_statistics(const struct mounts *mounts, struct mounts_statistics *ret)
{
	assert(mounts);
	assert(ret);

	*ret = mounts->statistics;
	ret->unsteady = mounts->reading.unsteady;
	ret->listings = mounts->reading.ids ? mount_ids_listings(mounts->reading.ids) : 0;
}
