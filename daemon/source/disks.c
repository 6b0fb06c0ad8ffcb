/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/source/disks.h"
#include "daemon/source/sysfs.h"

struct disk {
	struct device_number number;
	struct disk_device *devices;
	size_t n_devices;
	uint64_t read_us;
	bool is_stale; /* something changed since */
	bool has_more;
};

struct disks {
	char *sysfs;
	struct disk disks[DISKS_MAX];
	size_t n_disks;
	uint64_t read_us; /* when one was read last */
	size_t n_read; /* devices on those that were read then */
};

/* One reading; the first device is the disk itself. */
struct walk {
	int root_fd;
	struct disk_device devices[DISKS_DEVICES + 1];
	size_t n_devices;
	bool has_more;
};

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static DIR *directory_open(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static bool is_same(const struct device_number *a, const struct device_number *b)
{
	return a->major == b->major && a->minor == b->minor;
}

/* What is stacked on several devices is found from each of them. */
static bool walk_has(const struct walk *walk, const struct disk_device *device)
{
	for (size_t i = 0; i < walk->n_devices; i++)
		if (is_same(&walk->devices[i].number, &device->number) &&
		    walk->devices[i].start == device->start &&
		    walk->devices[i].size == device->size)
			return true;
	return false;
}

static void walk_add(struct walk *walk, const struct disk_device *device)
{
	if (!device->is_partition && walk_has(walk, device))
		return;

	if (walk->n_devices > DISKS_DEVICES || device->depth > DISKS_DEPTH) {
		walk->has_more = true;
		return;
	}
	walk->devices[walk->n_devices++] = *device;
}

static int number_read(int dir_fd, const char *name, struct device_number *ret)
{
	char path[NAME_MAX + sizeof("/dev")], text[32];
	struct device_number number;
	int r;

	snprintf(path, sizeof(path), "%s/dev", name);
	r = sysfs_read(dir_fd, path, text, sizeof(text));
	if (r < 0)
		return r;
	if (sscanf(text, "%" SCNu32 ":%" SCNu32, &number.major, &number.minor) != 2)
		return -EBADMSG;

	*ret = number;
	return 0;
}

static int place_read(int dir_fd, const char *name, struct disk_device *device)
{
	char path[NAME_MAX + sizeof("/start")];
	uint64_t start, size;
	int r;

	snprintf(path, sizeof(path), "%s/start", name);
	r = sysfs_read_number(dir_fd, path, &start);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/size", name);
	r = sysfs_read_number(dir_fd, path, &size);
	if (r < 0)
		return r;

	device->start = start;
	device->size = size;
	return 0;
}

/* Directories within that of a device; what is stacked on it may have some too. */
static void partitions_walk(struct walk *walk, const struct disk_device *base, DIR *dir)
{
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		char path[NAME_MAX + sizeof("/partition")];
		struct disk_device device = *base;

		snprintf(path, sizeof(path), "%s/partition", entry->d_name);
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    faccessat(dirfd(dir), path, F_OK, 0) < 0 ||
		    number_read(dirfd(dir), entry->d_name, &device.number) < 0)
			continue;
		device.is_partition = base->depth == 0;
		device.depth++;
		if (device.is_partition && place_read(dirfd(dir), entry->d_name, &device) < 0)
			continue;
		walk_add(walk, &device);
	}
}

static void holders_walk(struct walk *walk, const struct disk_device *base, int dir_fd)
{
	_cleanup_(closedirp) DIR *dir = directory_open(dir_fd, "holders");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct disk_device device = *base;

		if (entry->d_name[0] == '.' ||
		    number_read(dirfd(dir), entry->d_name, &device.number) < 0)
			continue;
		device.is_partition = false;
		device.depth++;
		walk_add(walk, &device);
	}
}

/* What lies directly on one of the devices found so far. */
static void walk_device(struct walk *walk, size_t at)
{
	const struct disk_device base = walk->devices[at];
	char path[sizeof("dev/block/4294967295:4294967295")];
	_cleanup_(closedirp) DIR *dir = NULL;

	snprintf(path, sizeof(path), "dev/block/%" PRIu32 ":%" PRIu32, base.number.major,
		 base.number.minor);
	dir = directory_open(walk->root_fd, path);
	if (!dir)
		return;

	partitions_walk(walk, &base, dir);
	holders_walk(walk, &base, dirfd(dir));
}

static void disk_read(struct disk *disk, const char *sysfs)
{
	_cleanup_close_ int root_fd = open(sysfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct walk walk = {
		.root_fd = root_fd,
		.devices = { { .number = disk->number, .size = UINT64_MAX } },
		.n_devices = 1,
	};

	free(disk->devices);
	disk->devices = NULL;
	disk->n_devices = 0;
	disk->has_more = true;
	disk->is_stale = false;
	if (root_fd < 0)
		return;

	/* In breadth, so that partitions come before what lies on them. */
	for (size_t i = 0; i < walk.n_devices; i++)
		walk_device(&walk, i);

	disk->has_more = walk.has_more;
	if (walk.n_devices == 1)
		return;
	disk->devices = calloc(walk.n_devices - 1, sizeof(*disk->devices));
	if (!disk->devices) {
		disk->has_more = true;
		return;
	}
	disk->n_devices = walk.n_devices - 1;
	memcpy(disk->devices, walk.devices + 1, disk->n_devices * sizeof(*disk->devices));
}

static bool disk_is_due(const struct disk *disk, uint64_t now_us)
{
	uint64_t age_us = now_us - disk->read_us;

	return age_us >= DISKS_KEPT_US || (disk->is_stale && age_us >= DISKS_PAUSE_US);
}

static bool disks_are_enough(const struct disks *disks, uint64_t now_us)
{
	return disks->read_us == now_us && disks->n_read >= DISKS_AT_ONCE;
}

/* Return: its place, or one for it; NULL: all are taken by what was read just now, or it is not its turn. */
static struct disk *disk_find(struct disks *disks, uint64_t now_us, struct device_number number)
{
	struct disk *oldest = &disks->disks[0];

	for (size_t i = 0; i < disks->n_disks; i++) {
		if (is_same(&disks->disks[i].number, &number))
			return &disks->disks[i];
		if (disks->disks[i].read_us < oldest->read_us)
			oldest = &disks->disks[i];
	}

	if (disks_are_enough(disks, now_us))
		return NULL;
	if (disks->n_disks < DISKS_MAX)
		oldest = &disks->disks[disks->n_disks++];
	else if (now_us - oldest->read_us < DISKS_PAUSE_US)
		return NULL;

	free(oldest->devices);
	*oldest = (struct disk){ .number = number, .is_stale = true };
	return oldest;
}

int disks_find(struct disks *disks, uint64_t now_us, struct device_number number,
	       struct disk_device **ret, size_t *n_ret)
{
	bool due, put_off;
	struct disk *disk;

	assert(disks);
	assert(ret);
	assert(n_ret);

	disk = disk_find(disks, now_us, number);
	due = disk && (disk->read_us == 0 || disk_is_due(disk, now_us));
	put_off = due && disks_are_enough(disks, now_us);
	if (due && !put_off) {
		disk->read_us = now_us;
		disk_read(disk, disks->sysfs);
		disks->n_read = disks->read_us == now_us ? disks->n_read : 0;
		disks->n_read += 1 + disk->n_devices;
		disks->read_us = now_us;
	}

	*ret = disk ? disk->devices : NULL;
	*n_ret = disk ? disk->n_devices : 0;
	return !disk || disk->has_more || put_off ? DISKS_MORE : 0;
}

void disks_changed(struct disks *disks)
{
	assert(disks);

	for (size_t i = 0; i < disks->n_disks; i++)
		disks->disks[i].is_stale = true;
}

int disks_new(struct disks **ret, const char *sysfs)
{
	_cleanup_(disks_freep) struct disks *disks = NULL;

	assert(ret);
	assert(sysfs);

	disks = calloc(1, sizeof(*disks));
	if (!disks)
		return -ENOMEM;
	disks->sysfs = strdup(sysfs);
	if (!disks->sysfs)
		return -ENOMEM;

	*ret = TAKE_PTR(disks);
	return 0;
}

struct disks *disks_free(struct disks *disks)
{
	if (!disks)
		return NULL;

	for (size_t i = 0; i < disks->n_disks; i++)
		free(disks->disks[i].devices);
	free(disks->sysfs);
	free(disks);
	return NULL;
}
