/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reaching a mount by its path, in a worker
 *
 * A path may lead elsewhere by now: another filesystem was mounted over it,
 * or a directory on the way was exchanged. So what a path led to counts only
 * if it is the mount that was meant. A path that was renamed above the mount point leads nowhere,
 * and no change of the mount table is told for that: then it is looked up anew. An open
 * descriptor makes umount fail: it is closed at once.
 */

#include <stdbool.h>
#include <stdint.h>

/**
 * mountpoint_open() - an O_PATH descriptor of the root of a mount
 * @where:	its mount point
 * @mount_id:	its id, unique or not as @is_unique says
 *
 * Return: a descriptor, -ESTALE when another mount is there, or another
 * negative errno.
 */
int mountpoint_open(const char *where, uint64_t mount_id, bool is_unique);

/**
 * mountpoint_ids() - of the mount by which a file was opened
 * @ret_id:	as in mountinfo
 * @ret_unique:	0 where the kernel has none
 *
 * Return: 0 or a negative errno.
 */
int mountpoint_ids(int fd, uint32_t *ret_id, uint64_t *ret_unique);
