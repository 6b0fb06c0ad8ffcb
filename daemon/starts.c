/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/starts.h"

#define STARTS_FILE "starts"

static int starts_open(const char *directory, int flags)
{
	_cleanup_close_ int dir = -1;

	if (!directory)
		return -1;
	dir = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -1;
	return openat(dir, STARTS_FILE, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
}

bool starts_begin(const char *directory, uint64_t now_us, bool *ret_abruptly)
{
	_cleanup_close_ int fd = starts_open(directory, O_RDWR | O_CREAT);
	uint64_t starts[STARTS_MAX + 1] = {};
	size_t n = 0;
	ssize_t size;

	*ret_abruptly = false;
	if (fd < 0)
		return false;

	/* The last few starts, the newest last; anything else in the file is nothing. */
	size = pread(fd, starts, STARTS_MAX * sizeof(starts[0]), 0);
	if (size > 0 && size % sizeof(starts[0]) == 0)
		n = (size_t)size / sizeof(starts[0]);
	*ret_abruptly = n > 0;

	while (n > 0 && (starts[0] > now_us || now_us - starts[0] > STARTS_WINDOW_US))
		memmove(starts, starts + 1, --n * sizeof(starts[0]));

	starts[n++] = now_us;
	if (n > STARTS_MAX) {
		size_t more = n - STARTS_MAX;

		(void)!pwrite(fd, starts + more, STARTS_MAX * sizeof(starts[0]), 0);
		return true;
	}

	if (pwrite(fd, starts, n * sizeof(starts[0]), 0) > 0)
		(void)!ftruncate(fd, (off_t)(n * sizeof(starts[0])));
	return false;
}

void starts_end(const char *directory)
{
	_cleanup_close_ int fd = starts_open(directory, O_RDWR);

	if (fd >= 0)
		(void)!ftruncate(fd, 0);
}
