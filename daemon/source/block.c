/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/source/block.h"
#include "daemon/source/sysfs.h"

#define DEV_BLOCK "/sys/dev/block"

int block_name(uint32_t major, uint32_t minor, char ret[static BLOCK_NAME_MAX])
{
	char path[sizeof(DEV_BLOCK "/4294967295:4294967295")], target[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path), DEV_BLOCK "/%" PRIu32 ":%" PRIu32, major, minor);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';

	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (*name == '\0' || strlen(name) >= BLOCK_NAME_MAX)
		return -ENAMETOOLONG;

	memcpy(ret, name, strlen(name) + 1);
	return 0;
}

int block_number(const char *name, uint32_t *ret_major, uint32_t *ret_minor)
{
	char path[sizeof("/sys/class/block//dev") + BLOCK_NAME_MAX], text[32];
	uint32_t major, minor;
	size_t n;
	int r;

	assert(name);
	assert(ret_major);
	assert(ret_minor);

	n = strlen(name);
	if (n == 0 || n >= BLOCK_NAME_MAX || name[0] == '.')
		return -EINVAL;

	/* sysfs has '!' where the name has '/', so that no name leads elsewhere. */
	snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
	for (char *p = path + strlen("/sys/class/block/"); p < path + strlen(path) - strlen("/dev");
	     p++)
		if (*p == '/')
			*p = '!';

	r = sysfs_read(AT_FDCWD, path, text, sizeof(text));
	if (r < 0)
		return r;
	if (sscanf(text, "%" SCNu32 ":%" SCNu32, &major, &minor) != 2)
		return -ENOENT;

	*ret_major = major;
	*ret_minor = minor;
	return 0;
}

int block_is_read_only(uint32_t major, uint32_t minor, bool *ret)
{
	char path[sizeof(DEV_BLOCK "/4294967295:4294967295/ro")];
	uint64_t value;
	int r;

	assert(ret);

	snprintf(path, sizeof(path), DEV_BLOCK "/%" PRIu32 ":%" PRIu32 "/ro", major, minor);
	r = sysfs_read_number(AT_FDCWD, path, &value);
	if (r < 0)
		return r;

	*ret = value != 0;
	return 0;
}
