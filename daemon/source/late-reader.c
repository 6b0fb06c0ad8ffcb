/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>

#include "daemon/source/late-reader.h"

#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* One that fails is heard no more. Where the loop has ended, both do, and nobody waits. */
static void source_check(sd_event_source *source, int r)
{
	if (r < 0)
		(void)sd_event_exit(sd_event_source_get_event(source), r);
}

static void source_set(sd_event_source *source, int enabled)
{
	source_check(source, sd_event_source_set_enabled(source, enabled));
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct late_reader *reader = userdata;

	reader->ops->sign(reader->userdata);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct late_reader *reader = userdata;

	reader->ops->due(reader->userdata);
	return 0;
}

static int source_prepare(sd_event_source *source, const char *description)
{
	int r;

	(void)sd_event_source_set_description(source, description);
	r = sd_event_source_set_priority(source, PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(source, true);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static int reader_add_sources(struct late_reader *reader, sd_event *loop,
			      const struct late_reader_options *options)
{
	char late[64];
	int r;

	r = sd_event_add_io(loop, &reader->io, options->fd, EPOLLIN, on_io, reader);
	if (r >= 0)
		r = source_prepare(reader->io, options->name);
	if (r >= 0)
		r = sd_event_add_time(loop, &reader->timer, CLOCK_MONOTONIC, UINT64_MAX, 1,
				      on_timer, reader);
	snprintf(late, sizeof(late), "%s-late", options->name);
	if (r >= 0)
		r = source_prepare(reader->timer, late);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(reader->io, options->owns_fd);
	return r;
}

int late_reader_start(struct late_reader *reader, sd_event *loop,
		      const struct late_reader_options *options)
{
	int r;

	assert(reader && !reader->io);
	assert(loop);
	assert(options && options->fd >= 0 && options->name);
	assert(options->ops && options->ops->sign && options->ops->due);

	*reader = (struct late_reader){ .ops = options->ops, .userdata = options->userdata };
	r = reader_add_sources(reader, loop, options);
	if (r < 0)
		late_reader_stop(reader);
	return r < 0 ? r : 0;
}

void late_reader_stop(struct late_reader *reader)
{
	assert(reader);

	reader->timer = sd_event_source_disable_unref(reader->timer);
	reader->io = sd_event_source_disable_unref(reader->io);
}

int late_reader_fd(const struct late_reader *reader)
{
	assert(reader && reader->io);

	return sd_event_source_get_io_fd(reader->io);
}

/* From now on, and not from when the loop woke: a batch takes its time. */
static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void late_reader_wait(struct late_reader *reader, uint64_t us)
{
	assert(reader && reader->io);

	source_set(reader->io, SD_EVENT_OFF);
	source_check(reader->timer, sd_event_source_set_time(reader->timer, now_us() + us));
	source_set(reader->timer, SD_EVENT_ONESHOT);
}

bool late_reader_is_waiting(const struct late_reader *reader)
{
	int enabled = SD_EVENT_OFF;

	assert(reader && reader->timer);

	(void)sd_event_source_get_enabled(reader->timer, &enabled);
	return enabled != SD_EVENT_OFF;
}

void late_reader_listen(struct late_reader *reader)
{
	assert(reader && reader->io);

	source_set(reader->timer, SD_EVENT_OFF);
	late_reader_hear(reader);
}

void late_reader_hear(struct late_reader *reader)
{
	assert(reader && reader->io);

	source_set(reader->io, SD_EVENT_ONESHOT);
}
