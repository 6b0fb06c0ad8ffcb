/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/source/mount-reading.h"

/* Readings tried at once while the table changes during each. */
#define TRIES 4

#define BUFFER_MIN (16U << 10)
#define BUFFER_MAX (64U << 20)

int mount_reading_init(struct mount_reading *reading)
{
	assert(reading);

	*reading = (struct mount_reading){ .fd = -1 };
	return mount_ids_new(&reading->ids);
}

int mount_reading_open(struct mount_reading *reading, const char *path)
{
	assert(reading && reading->fd < 0);
	assert(path);

	reading->fd = open(path, O_RDONLY | O_CLOEXEC);
	return reading->fd < 0 ? -errno : 0;
}

void mount_reading_deinit(struct mount_reading *reading)
{
	assert(reading);

	closep(&reading->fd);
	mount_ids_free(reading->ids);
	free(reading->text);
}

static int text_grow(struct mount_reading *reading)
{
	size_t n = reading->n_allocated ? 2 * reading->n_allocated : BUFFER_MIN;
	char *text;

	if (n > BUFFER_MAX)
		return -EFBIG;

	text = realloc(reading->text, n);
	if (!text)
		return -ENOMEM;

	reading->text = text;
	reading->n_allocated = n;
	return 0;
}

static int read_text(struct mount_reading *reading)
{
	int r;

	if (lseek(reading->fd, 0, SEEK_SET) < 0)
		return -errno;

	reading->n_text = 0;
	for (;;) {
		ssize_t n;

		/* The kernel gives whole lines: with less than a page left it would give few. */
		if (reading->n_allocated - reading->n_text < 4096) {
			r = text_grow(reading);
			if (r < 0)
				return r;
		}

		n = read(reading->fd, reading->text + reading->n_text,
			 reading->n_allocated - reading->n_text);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;

		reading->n_text += (size_t)n;
	}
}

bool mount_reading_changed(struct mount_reading *reading)
{
	struct pollfd poll_fd = { .events = POLLPRI };

	assert(reading && reading->fd >= 0);

	poll_fd.fd = reading->fd;

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLPRI | POLLERR));
}

static int refresh_ids(struct mount_reading *reading)
{
	int r;

	if (!reading->ids)
		return 0;

	r = mount_ids_refresh(reading->ids, reading->text, reading->n_text, reading->ids_complete);
	if (r < 0)
		return r;

	reading->ids_complete = false;
	if (r == MOUNT_IDS_UNSUPPORTED)
		reading->ids = mount_ids_free(reading->ids);
	return 0;
}

int mount_reading_take(struct mount_reading *reading)
{
	int r;

	assert(reading && reading->fd >= 0);

	for (unsigned int i = 0; i < TRIES; i++) {
		(void)mount_reading_changed(reading);

		r = read_text(reading);
		if (r >= 0)
			r = refresh_ids(reading);
		if (r < 0)
			return r;

		if (!mount_reading_changed(reading))
			return 0;

		reading->ids_complete = true;
		reading->unsteady++;
	}

	return MOUNT_READING_UNSTEADY;
}

void mount_reading_shrink(struct mount_reading *reading)
{
	size_t n = reading->n_allocated / 4;
	char *text;

	assert(reading);

	if (n < BUFFER_MIN || reading->n_text > n / 2)
		return;

	text = realloc(reading->text, n);
	if (text) {
		reading->text = text;
		reading->n_allocated = n;
	}
}
