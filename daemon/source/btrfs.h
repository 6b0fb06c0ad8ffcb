/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * btrfs in sysfs
 *
 * What /sys/fs/btrfs tells of mounted btrfs filesystems: which one a block
 * device belongs to, its members, and how many bytes its next commit will
 * take from what statfs still calls available. sysfs touches no mount and
 * waits for no disk.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/config.h"

#define BTRFS_UUID_SIZE 37 /* with the NUL */

/** btrfs_uuid_is_valid() - 36 characters, hexadecimal digits and dashes: safe in a path */
bool btrfs_uuid_is_valid(const char *uuid);

/**
 * btrfs_uuid_find() - the filesystem that a block device is a member of
 *
 * Return: 0, -ENOENT for none that is mounted, or another negative errno.
 */
int btrfs_uuid_find(uint32_t major, uint32_t minor, char ret[static BTRFS_UUID_SIZE]);

/**
 * btrfs_members() - the block devices of a filesystem
 * @ret:	filled with at most @max of them; missing ones are left out
 *
 * Return: their number, which may be larger than @max, or a negative errno.
 */
int btrfs_members(const char *uuid, struct device_number *ret, size_t max);

/**
 * btrfs_unsettled() - bytes of data written, reserved or allocated, which the
 * f_bavail of statfs does not count yet
 *
 * Return: 0 or a negative errno.
 */
int btrfs_unsettled(const char *uuid, uint64_t *ret);
