/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is available on a filesystem, for the bench programs: f_bavail of an
 * open descriptor, on btrfs less the data that is reserved but not committed
 * (f_bavail itself moves only at a commit there). Programs, not a library:
 * a failure ends the program.
 */

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

struct figures {
	int fd; /* of the mount point */
	int unsettled_fds[2]; /* of sysfs; -1: not btrfs */
};

static inline uint64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		err(1, "clock_gettime");
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline void figures_open(struct figures *figures, const char *path, const char *btrfs_uuid)
{
	/* In the order in which bytes move backwards: promised, allocated. */
	static const char *const names[] = { "bytes_reserved", "bytes_may_use" };
	char name[160];

	figures->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (figures->fd < 0)
		err(1, "%s", path);

	for (int i = 0; i < 2; i++) {
		figures->unsettled_fds[i] = -1;
		if (!btrfs_uuid)
			continue;
		snprintf(name, sizeof(name), "/sys/fs/btrfs/%s/allocation/data/%s", btrfs_uuid,
			 names[i]);
		figures->unsettled_fds[i] = open(name, O_RDONLY | O_CLOEXEC);
		if (figures->unsettled_fds[i] < 0)
			err(1, "%s", name);
	}
}

static inline uint64_t figures_available(const struct figures *figures)
{
	uint64_t available, unsettled = 0;
	struct statfs st;

	if (fstatfs(figures->fd, &st) < 0)
		err(1, "fstatfs");
	available = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;

	for (int i = 0; i < 2 && figures->unsettled_fds[i] >= 0; i++) {
		char text[32];
		ssize_t n = pread(figures->unsettled_fds[i], text, sizeof(text) - 1, 0);

		if (n <= 0)
			err(1, "unsettled bytes");
		text[n] = '\0';
		unsettled += strtoull(text, NULL, 10);
	}

	return available > unsettled ? available - unsettled : 0;
}
