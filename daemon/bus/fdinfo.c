/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/bus/fdinfo.h"
#include "daemon/core/cleanup.h"

bool fdinfo_is_path(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_PATH);
}

static bool fdinfo_is_of(int fd, const char *name)
{
	char path[64], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link));
	return n == (ssize_t)strlen(name) && memcmp(link, name, strlen(name)) == 0;
}

bool fdinfo_is_pidfd(int fd)
{
	/* Names of files begin with a slash, whatever stands in them. */
	return fdinfo_is_of(fd, "anon_inode:[pidfd]");
}

bool fdinfo_is_null(int fd)
{
	return fdinfo_is_of(fd, "/dev/null");
}

/* @key: with the line end before it and the colon. */
static int fdinfo_number(long long *ret, int fd, const char *key)
{
	_cleanup_close_ int info = -1;
	char path[64], text[512], *end;
	const char *found;
	long long value;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;

	n = read(info, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';

	/* It stands among the first lines, before what a driver may add. */
	found = strstr(text, key);
	if (!found)
		return -ENODATA;

	errno = 0;
	value = strtoll(found + strlen(key), &end, 10);
	if (errno || *end != '\n')
		return -ENODATA;

	*ret = value;
	return 0;
}

int fdinfo_pid(uint32_t *ret, int fd)
{
	long long value;
	int r;

	assert(ret);

	r = fdinfo_number(&value, fd, "\nPid:");
	if (r < 0)
		return r;
	if (value > INT32_MAX)
		return -ENODATA;
	if (value <= 0)
		return -ESRCH;

	*ret = (uint32_t)value;
	return 0;
}

int fdinfo_mount_id(uint32_t *ret, int fd)
{
	long long value;
	int r;

	assert(ret);

	r = fdinfo_number(&value, fd, "\nmnt_id:");
	if (r < 0)
		return r;
	if (value < 0 || value > UINT32_MAX)
		return -ENODATA;

	*ret = (uint32_t)value;
	return 0;
}
