/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/kernel.h"
#include "daemon/source/mount-events.h"

/* The queue of a group that is not unlimited holds 16,384 events of 40 bytes. */
#define BUFFER_SIZE 16384
#define READS_MAX 64

int mount_events_open(void)
{
	_cleanup_close_ int fd = -1;

	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC | FAN_REPORT_MNT, O_RDONLY);
	if (fd < 0)
		return -errno;

	if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MNTNS, FAN_MNT_ATTACH | FAN_MNT_DETACH,
			  AT_FDCWD, "/proc/self/ns/mnt") < 0)
		return -errno;

	return TAKE_FD(fd);
}

static unsigned int count_overflows(const uint8_t *buffer, size_t n)
{
	struct fanotify_event_metadata event;
	unsigned int overflows = 0;

	/* Copied: the kernel aligns an event to four bytes, which is less than it needs. */
	for (; n >= sizeof(event); buffer += event.event_len, n -= event.event_len) {
		memcpy(&event, buffer, sizeof(event));
		if (event.event_len < sizeof(event) || event.event_len > n)
			break;
		overflows += (event.mask & FAN_Q_OVERFLOW) != 0;
	}
	return overflows;
}

unsigned int mount_events_drain(int fd)
{
	uint8_t buffer[BUFFER_SIZE];
	unsigned int overflows = 0;

	assert(fd >= 0);

	for (unsigned int i = 0; i < READS_MAX; i++) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		overflows += count_overflows(buffer, (size_t)n);
	}

	return overflows;
}
