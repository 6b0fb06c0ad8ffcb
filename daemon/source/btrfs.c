/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/btrfs-stats.h"
#include "daemon/core/cleanup.h"
#include "daemon/source/btrfs.h"
#include "daemon/source/sysfs.h"

#define BTRFS_SYSFS "/sys/fs/btrfs"

/* Readings of the reservations while they move. */
#define UNSETTLED_TRIES 3

#define SECTOR_SIZE 512

/* Of each device the kernel leaves its beginning alone. */
#define DEVICE_RESERVED (1ULL << 20)

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

static int device_read(int dir_fd, const char *name, struct device_number *ret)
{
	char path[NAME_MAX + sizeof("/dev")], text[64];
	struct device_number device;
	int r;

	snprintf(path, sizeof(path), "%s/dev", name);
	r = sysfs_read(dir_fd, path, text, sizeof(text));
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

/* @kind: "data", or "mixed" on a small filesystem that keeps data and metadata together. */
static int allocation_read_kind(const char *uuid, const char *kind, const char *name, uint64_t *ret)
{
	char path[128];

	snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/allocation/%s/%s", uuid, kind, name);
	return sysfs_read_number(AT_FDCWD, path, ret);
}

static int allocation_read(const char *uuid, const char *name, uint64_t *ret)
{
	int r = allocation_read_kind(uuid, "data", name, ret);

	return r == -ENOENT ? allocation_read_kind(uuid, "mixed", name, ret) : r;
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

int btrfs_counters(const char *uuid, struct fusion_counters *ret)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	char path[sizeof(BTRFS_SYSFS "//devinfo") + BTRFS_UUID_SIZE];
	struct fusion_counters counters = {};
	struct dirent *entry;
	bool found = false;

	assert(ret);

	if (!btrfs_uuid_is_valid(uuid))
		return -EINVAL;

	snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/devinfo", uuid);
	dir = opendir(path);
	if (!dir)
		return -errno;

	while ((entry = readdir(dir))) {
		char name[NAME_MAX + sizeof("/error_stats")], text[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/error_stats", entry->d_name);
		/* A device that is missing has none. */
		if (sysfs_read(dirfd(dir), name, text, sizeof(text)) < 0 ||
		    strncmp(text, "invalid", strlen("invalid")) == 0)
			continue;
		btrfs_stats_add(&counters, text);
		found = true;
	}

	if (!found)
		return -ENOENT;

	*ret = counters;
	return 0;
}

int btrfs_commit_ms(const char *uuid, uint64_t *ret)
{
	char path[128], text[512];
	int r;

	assert(ret);

	if (!btrfs_uuid_is_valid(uuid))
		return -EINVAL;

	snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/commit_stats", uuid);
	r = sysfs_read(AT_FDCWD, path, text, sizeof(text));
	if (r < 0)
		return r;

	*ret = btrfs_stats_number(text, "cur_commit_ms");
	return 0;
}

int btrfs_data_left(const char *uuid, uint64_t *ret)
{
	static const char *const taken[] = { "bytes_used", "bytes_reserved", "bytes_pinned",
					     "bytes_readonly", "bytes_may_use" };
	uint64_t left, bytes;
	int r;

	assert(ret);

	if (!btrfs_uuid_is_valid(uuid))
		return -EINVAL;

	r = allocation_read_kind(uuid, "data", "total_bytes", &left);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]) && r == 0; i++) {
		r = allocation_read_kind(uuid, "data", taken[i], &bytes);
		if (r == 0)
			left -= bytes < left ? bytes : left;
	}
	if (r < 0)
		return r;

	*ret = left;
	return 0;
}

/* What no block group has; a missing device is not counted, which makes it less. */
static int unallocated_read(const char *uuid, uint64_t *ret)
{
	static const char *const kinds[] = { "data", "metadata", "mixed", "system" };
	_cleanup_(closedirp) DIR *dir = NULL;
	char path[sizeof(BTRFS_SYSFS "//devices") + BTRFS_UUID_SIZE];
	uint64_t left = 0, number;
	struct dirent *entry;

	snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/devices", uuid);
	dir = opendir(path);
	if (!dir)
		return -errno;

	while ((entry = readdir(dir))) {
		char name[NAME_MAX + sizeof("/size")];

		snprintf(name, sizeof(name), "%s/size", entry->d_name);
		if (entry->d_name[0] == '.' || sysfs_read_number(dirfd(dir), name, &number) < 0 ||
		    number * SECTOR_SIZE < DEVICE_RESERVED)
			continue;
		left += number * SECTOR_SIZE - DEVICE_RESERVED;
	}

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (allocation_read_kind(uuid, kinds[i], "disk_total", &number) == 0)
			left -= number < left ? number : left;
	}

	*ret = left;
	return 0;
}

static uint64_t left_of(uint64_t bytes, uint64_t taken)
{
	return bytes - (taken < bytes ? taken : bytes);
}

/* Block groups of one kind. */
struct allocation {
	uint64_t total;
	uint64_t left; /* of that, as btrfs_statfs() of the kernel reckons it for metadata */
	uint64_t copies; /* each byte takes so many on disk: two, mostly */
};

static int allocation_load(const char *uuid, const char *kind, struct allocation *ret)
{
	uint64_t total = 0, used = 0, readonly = 0, on_disk = 0, reserve = 0;
	char path[128];
	int r;

	snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/allocation/global_rsv_size", uuid);
	r = allocation_read_kind(uuid, kind, "total_bytes", &total);
	if (r == 0)
		r = allocation_read_kind(uuid, kind, "bytes_used", &used);
	if (r == 0)
		r = allocation_read_kind(uuid, kind, "bytes_readonly", &readonly);
	if (r == 0)
		r = allocation_read_kind(uuid, kind, "disk_total", &on_disk);
	if (r == 0)
		r = sysfs_read_number(AT_FDCWD, path, &reserve);
	if (r < 0)
		return r;

	ret->total = total;
	ret->left = left_of(left_of(left_of(total, used), readonly), reserve);
	ret->copies = total > 0 && on_disk > total ? on_disk / total : 1;
	return 0;
}

/*
 * What no block group has of the size that the filesystem was given, which may be
 * less than its devices. f_blocks is that, by the copies of data; with several
 * numbers of them it cannot be told from it.
 */
static uint64_t unallocated_within(const char *uuid, uint64_t size, uint64_t unallocated)
{
	static const char *const kinds[] = { "data", "metadata", "system" };
	uint64_t within, total, on_disk;

	if (allocation_read_kind(uuid, "data", "total_bytes", &total) < 0 ||
	    allocation_read_kind(uuid, "data", "disk_total", &on_disk) < 0 || total == 0 ||
	    on_disk % total != 0 || __builtin_mul_overflow(size, on_disk / total, &within))
		return unallocated;

	within = left_of(within, DEVICE_RESERVED);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (allocation_read_kind(uuid, kinds[i], "disk_total", &on_disk) == 0)
			within = left_of(within, on_disk);
	return within < unallocated ? within : unallocated;
}

int btrfs_metadata_left(const char *uuid, uint64_t size, uint64_t *ret)
{
	struct allocation metadata;
	uint64_t unallocated;
	int r;

	assert(ret);

	if (!btrfs_uuid_is_valid(uuid))
		return -EINVAL;

	r = allocation_load(uuid, "metadata", &metadata);
	if (r == 0)
		r = unallocated_read(uuid, &unallocated);
	if (r < 0)
		return r;

	*ret = metadata.left + unallocated_within(uuid, size, unallocated) / metadata.copies;
	return 0;
}

int btrfs_mixed_left(const char *uuid, uint64_t size, uint64_t *ret)
{
	uint64_t unallocated, within, system = 0;
	struct allocation mixed;
	int r;

	assert(ret);

	if (!btrfs_uuid_is_valid(uuid))
		return -EINVAL;

	r = allocation_load(uuid, "mixed", &mixed);
	if (r == 0)
		r = allocation_read_kind(uuid, "system", "total_bytes", &system);
	if (r == 0)
		r = unallocated_read(uuid, &unallocated);
	if (r < 0)
		return r;

	/* The filesystem need not fill its devices. */
	within = left_of(left_of(left_of(size, mixed.total), system), DEVICE_RESERVED);
	unallocated /= mixed.copies;
	*ret = mixed.left + (within < unallocated ? within : unallocated);
	return 0;
}

/* Each kind of block groups has a directory for each profile that is in use. */
static bool has_profile(const char *uuid, const char *const *profiles)
{
	static const char *const kinds[] = { "data", "mixed" };
	char path[128];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (const char *const *profile = profiles; *profile; profile++) {
			snprintf(path, sizeof(path), BTRFS_SYSFS "/%s/allocation/%s/%s", uuid,
				 kinds[i], *profile);
			if (access(path, F_OK) == 0)
				return true;
		}
	return false;
}

bool btrfs_survives_device(const char *uuid)
{
	static const char *const sure[] = { "raid1", "raid1c3", "raid1c4", "raid10",
					    "raid5", "raid6",	NULL };
	/* dup has both copies on one device */
	static const char *const alone[] = { "single", "dup", "raid0", NULL };

	assert(uuid);

	return btrfs_uuid_is_valid(uuid) && has_profile(uuid, sure) && !has_profile(uuid, alone);
}
