/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * btrfs in sysfs
 *
 * What /sys/fs/btrfs tells of mounted btrfs filesystems: which one a block
 * device belongs to, its members, how many bytes its next commit will take from
 * what statfs still calls available, what its data has left when statfs says
 * that nothing is, and its errors. sysfs touches no mount and
 * waits for no disk.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/config.h"
#include "daemon/core/fusion.h"

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

/**
 * btrfs_counters() - errors of all its devices since the counters were reset last
 *
 * Wrong checksums and generations are corrupted; reads, writes and flushes
 * that failed are io_error; ->last_error is 0. They are kept on disk.
 *
 * Return: 0, -ENOENT (no such filesystem, or before Linux 5.14) or another
 * negative errno.
 */
int btrfs_counters(const char *uuid, struct fusion_counters *ret);

/**
 * btrfs_commit_ms() - for how long the commit under way has lasted; 0: there is none
 *
 * That of a transaction which was aborted meanwhile lasts until unmount.
 *
 * Return: 0, -ENOENT (no such filesystem, or before Linux 6.0) or another
 * negative errno.
 */
int btrfs_commit_ms(const char *uuid, uint64_t *ret);

/**
 * btrfs_data_left() - bytes that the block groups of data could still take
 *
 * Space of no block group is left out: while there is any that can be used,
 * metadata is not exhausted, and what shows as such may be out of reach (the
 * end of a device that the filesystem does not fill, the larger device of a
 * mirror).
 *
 * Return: 0, -ENOENT (no such filesystem, or one that keeps data and metadata
 * together) or another negative errno.
 */
int btrfs_data_left(const char *uuid, uint64_t *ret);

/**
 * btrfs_metadata_left() - bytes that metadata could still take
 * @size:	bytes of f_blocks
 *
 * Of its block groups without the global reserve, as btrfs_statfs() of the kernel
 * reckons it, and of what no block group has. Below 4 MiB no file can be created,
 * while f_bavail often still says what data has left. Promises to what is
 * being written are not taken off: they shrink again.
 *
 * Return: as btrfs_data_left().
 */
int btrfs_metadata_left(const char *uuid, uint64_t size, uint64_t *ret);

/**
 * btrfs_mixed_left() - the same of a filesystem that keeps data and metadata together
 * @size:	likewise
 *
 * Its f_bavail never is 0: the global reserve shows as available.
 *
 * Return: 0, -ENOENT (no such filesystem, or one that keeps them apart) or
 * another negative errno.
 */
int btrfs_mixed_left(const char *uuid, uint64_t size, uint64_t *ret);

/** btrfs_survives_device() - all its data is on more than one device, so that one may lose a write */
bool btrfs_survives_device(const char *uuid);
