/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What lies on a block device
 *
 * Partitions of a disk, and the devices made of it or of them (device mapper,
 * md), as sysfs has them: a failed request is told of the disk as a whole, and
 * a filesystem is on something above it. What was found is kept for
 * DISKS_KEPT_US, so that a storm of messages reads sysfs no more often than that;
 * when devices change it is read anew, but not within DISKS_PAUSE_US. Hundreds of
 * partitions take milliseconds: after DISKS_AT_ONCE in one wake-up no other disk is read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"

#define DISKS_KEPT_US 1000000ULL
#define DISKS_PAUSE_US 100000ULL
/* Disks that are kept in mind, devices on one of them, and how they may be stacked. */
#define DISKS_MAX 32
#define DISKS_DEVICES 256
#define DISKS_AT_ONCE 64
#define DISKS_DEPTH 8

struct disk_device {
	struct device_number number;
	bool is_partition; /* of that very disk; else something stacked on it */
	/* Where on the disk it lies, or the partition under it, in sectors of 512 bytes. */
	uint64_t start, size;
	unsigned int depth;
	uint64_t told_us; /* the caller's own: 0 when it was read */
};

struct disks;

/**
 * disks_new() - nothing known yet
 * @sysfs:	"/sys", or what a test made to look like it; copied
 *
 * Return: 0 or -ENOMEM.
 */
int disks_new(struct disks **ret, const char *sysfs);
struct disks *disks_free(struct disks *disks);
DEFINE_FREEP(disks, disks_free)

enum disks_outcome {
	DISKS_MORE = 1, /* there may be others besides */
};

/**
 * disks_find() - all that lies on a device, without itself
 * @now_us:	the same in all calls of one wake-up: what would have to be read after
 *		enough is as it was known before, and DISKS_MORE says so
 * @ret:	valid until the next call; each once for each place it lies on
 *
 * Return: 0 or DISKS_MORE.
 */
int disks_find(struct disks *disks, uint64_t now_us, struct device_number disk,
	       struct disk_device **ret, size_t *n_ret);

/** disk_device_has() - whether a sector of the disk is within it, or may be */
static inline bool disk_device_has(const struct disk_device *device, uint64_t sector)
{
	return sector >= device->start && sector - device->start < device->size;
}

/** disks_changed() - devices came, went or changed */
void disks_changed(struct disks *disks);
