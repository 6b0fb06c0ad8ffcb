/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/sysfs.h"

int sysfs_read_fd(int fd, char *ret, size_t n_ret)
{
	ssize_t n;

	assert(fd >= 0);
	assert(ret);
	assert(n_ret > 0);

	do
		n = pread(fd, ret, n_ret - 1, 0);
	while (n < 0 && errno == EINTR);
	/* An attribute that outlived its object says ENODEV. */
	if (n < 0)
		return errno == ENODEV ? -ENOENT : -errno;

	if (n > 0 && ret[n - 1] == '\n')
		n--;
	ret[n] = '\0';
	return 0;
}

int sysfs_read(int dir_fd, const char *path, char *ret, size_t n_ret)
{
	_cleanup_close_ int fd = -1;

	assert(path);

	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	return sysfs_read_fd(fd, ret, n_ret);
}

int sysfs_read_number(int dir_fd, const char *path, uint64_t *ret)
{
	char text[32], *end;
	uint64_t number;
	int r;

	assert(ret);

	r = sysfs_read(dir_fd, path, text, sizeof(text));
	if (r < 0)
		return r;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno)
		return -EBADMSG;

	*ret = number;
	return 0;
}
