/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/mounts.h"
#include "daemon/source/namespace.h"

#define NAMESPACE_OF_INIT "/proc/1/ns/mnt"
#define NAMESPACE_OF_SELF "/proc/self/ns/mnt"

static void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* The number that the first line begins with. */
static int first_id(const char *path, unsigned int *ret)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");

	if (!file)
		return -errno;

	return fscanf(file, "%u ", ret) == 1 ? 0 : -ENODATA;
}

static int has_id(const char *path, unsigned int id)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t n_line = 0;

	if (!file)
		return -errno;

	while (getline(&line, &n_line, file) > 0) {
		if (strtoul(line, NULL, 10) == id)
			return 1;
	}

	return 0;
}

int namespace_is_shared(void)
{
	struct stat init, self;
	unsigned int id;
	int r;

	if (stat(NAMESPACE_OF_INIT, &init) == 0) {
		if (stat(NAMESPACE_OF_SELF, &self) < 0)
			return -errno;
		return init.st_dev == self.st_dev && init.st_ino == self.st_ino;
	}

	if (errno != EACCES && errno != EPERM)
		return -errno;

	r = first_id("/proc/1/mountinfo", &id);
	if (r < 0)
		return r;

	return has_id("/proc/self/mountinfo", id);
}

int mounts_enter_namespace(bool *ret_entered)
{
	_cleanup_close_ int fd = -1;

	assert(ret_entered);

	if (namespace_is_shared() != 0) {
		*ret_entered = false;
		return 0;
	}

	fd = open(NAMESPACE_OF_INIT, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && setns(fd, CLONE_NEWNS) == 0) {
		/* The kernel has set root and working directory to the root there. */
		*ret_entered = true;
		return 0;
	}

	/* In a container or a sandbox: the own namespace is what there is. */
	if (errno == EPERM || errno == EACCES) {
		*ret_entered = false;
		return 0;
	}

	return -errno;
}
