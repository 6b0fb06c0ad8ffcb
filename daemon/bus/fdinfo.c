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

int fdinfo_mount_id(uint32_t *ret, int fd)
{
	static const char key[] = "\nmnt_id:";
	_cleanup_close_ int info = -1;
	char path[64], text[512], *end;
	unsigned long value;
	const char *found;
	ssize_t n;

	assert(ret);

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
	value = strtoul(found + sizeof(key) - 1, &end, 10);
	if (errno || *end != '\n' || value > UINT32_MAX)
		return -ENODATA;

	*ret = (uint32_t)value;
	return 0;
}
