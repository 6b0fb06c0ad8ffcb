/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/bus/confinement.h"

/* Longer ones are those of roots that are not ours. */
#define LINK_MAX_BYTES 64

static int read_link(char ret[static LINK_MAX_BYTES], const char *path)
{
	ssize_t n;

	n = readlink(path, ret, LINK_MAX_BYTES);
	if (n < 0)
		return -errno;
	if (n == LINK_MAX_BYTES)
		return -EXDEV;
	ret[n] = '\0';
	return 0;
}

static int compare(uint32_t pid, const char *name)
{
	char path[64], theirs[LINK_MAX_BYTES], ours[LINK_MAX_BYTES];
	int r;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	r = read_link(theirs, path);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/%s", name);
	r = read_link(ours, path);
	if (r < 0)
		return r;
	return strcmp(theirs, ours) == 0 ? 0 : -EXDEV;
}

int confinement_check(uint32_t pid)
{
	int r;

	if (pid == 0)
		return -ESRCH;

	r = compare(pid, "ns/mnt");
	return r < 0 ? r : compare(pid, "root");
}
