/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/btrfs.h"

#define BTRFS_SYSFS "/sys/fs/btrfs"

/* Readings of the reservations while they move. */
#define UNSETTLED_TRIES 3

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

bool btrfs_uuid_is_valid(const char *uuid)
{
	assert(uuid);

	for (size_t i = 0; i < BTRFS_UUID_SIZE - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? uuid[i] != '-' : !isxdigit((unsigned char)uuid[i]))
			return false;
	}

	return uuid[BTRFS_UUID_SIZE - 1] == '\0';
}

/* Return: 0 with what the file says, NUL-terminated, or a negative errno. */
static int attribute_read(int dir_fd, const char *path, char *ret, size_t n_ret)
{
	_cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;

	n = read(fd, ret, n_ret - 1);
	if (n < 0)
		return -errno;

	ret[n] = '\0';
	return 0;
}

static int device_read(int dir_fd, const char *name, struct device_number *ret)
{
	char path[NAME_MAX + sizeof("/dev")], text[64];
	struct device_number device;
	int r;

	snprintf(path, sizeof(path), "%s/dev", name);
	r = attribute_read(dir_fd, path, text, sizeof(text));
	if (r < 0)
		return r;
	if (sscanf(text, "%" SCNu32 ":%" SCNu32, &device.major, &device.minor) != 2)
		return -EBADMSG;

	*ret = device;
	return 0;
}

int btrfs_members(const char *uuid, struct device_number *ret, size_t max)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	char path[sizeof(BTRFS_SYSFS "//devices") + BTRFS_UUID_SIZE];
	struct device_number device;
	struct dirent *entry;
	int n = 0;

	assert(ret || max == 0);

	if (!btrfs_uuid_is_valid(uuid))
		return -EINVAL;

	snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/devices", uuid);
	dir = opendir(path);
	if (!dir)
		return -errno;

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (device_read(dirfd(dir), entry->d_name, &device) < 0)
			continue;
		if ((size_t)n < max)
			ret[n] = device;
		n++;
	}

	return n;
}

static bool btrfs_has_member(const char *uuid, uint32_t major, uint32_t minor)
{
	struct device_number devices[64];
	int n = btrfs_members(uuid, devices, sizeof(devices) / sizeof(devices[0]));

	for (int i = 0; i < n && i < (int)(sizeof(devices) / sizeof(devices[0])); i++)
		if (devices[i].major == major && devices[i].minor == minor)
			return true;
	return false;
}

int btrfs_uuid_find(uint32_t major, uint32_t minor, char ret[static BTRFS_UUID_SIZE])
{
	_cleanup_(closedirp) DIR *dir = opendir(BTRFS_SYSFS);
	struct dirent *entry;

	if (!dir)
		return -errno;

	while ((entry = readdir(dir))) {
		if (!btrfs_uuid_is_valid(entry->d_name) ||
		    !btrfs_has_member(entry->d_name, major, minor))
			continue;
		memcpy(ret, entry->d_name, BTRFS_UUID_SIZE);
		return 0;
	}

	return -ENOENT;
}

/* "data", or "mixed" on a small filesystem that keeps data and metadata together. */
static int allocation_read(const char *uuid, const char *name, uint64_t *ret)
{
	static const char *const kinds[] = { "data", "mixed" };
	int r = -ENOENT;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && r == -ENOENT; i++) {
		char path[128], text[64];

		snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/allocation/%s/%s", uuid, kinds[i],
			 name);
		r = attribute_read(AT_FDCWD, path, text, sizeof(text));
		if (r == 0 && sscanf(text, "%" SCNu64, ret) != 1)
			r = -EBADMSG;
	}

	return r;
}

int btrfs_unsettled(const char *uuid, uint64_t *ret)
{
	uint64_t before = 0, reserved = 0, may_use = 0;
	int r;

	assert(ret);

	if (!btrfs_uuid_is_valid(uuid))
		return -EINVAL;

	r = allocation_read(uuid, "bytes_reserved", &reserved);
	if (r < 0)
		return r;

	/*
	 * Bytes move from promised (may_use) to allocated (reserved). Those that
	 * move between the two readings are in neither: read again then. Should
	 * they move all the time, so many bytes are seen late; in the other order
	 * they would be counted twice, and alarms told that are not due.
	 */
	for (unsigned int i = 0; i < UNSETTLED_TRIES; i++) {
		before = reserved;
		r = allocation_read(uuid, "bytes_may_use", &may_use);
		if (r < 0)
			return r;
		r = allocation_read(uuid, "bytes_reserved", &reserved);
		if (r < 0)
			return r;
		if (reserved == before)
			break;
	}

	if (__builtin_add_overflow(before, may_use, ret))
		*ret = UINT64_MAX;
	return 0;
}
