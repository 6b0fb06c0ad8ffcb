/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reaching inodes by their handles, in a worker
 *
 * A mount that was opened for a moment, as it is seen: with what is mounted
 * below it and no further than its own root. And the same filesystem by a mount
 * that is attached nowhere, on which nothing is mounted: of btrfs from its top
 * level. That one does not keep others from being unmounted, but keeps the
 * superblock: it too is for a moment only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/handle.h"

struct reach {
	int mount_fd; /* O_PATH */
	int root_fd; /* the same directory, open: what handles are resolved by; -1: it has none */
	struct handle root; /* likewise: n 0 */
};

#define REACH_NONE                                                                                 \
	{                                                                                          \
		.mount_fd = -1, .root_fd = -1                                                      \
	}

/** reach_open() - as mountpoint_open(); Return: 0 or a negative errno */
int reach_open(struct reach *ret, const char *where, uint64_t mount_id, bool is_unique);

/**
 * reach_open_private() - the same filesystem, mounted on its own
 *
 * Return: 0, -ESTALE (it is not the same), or another negative errno.
 */
int reach_open_private(struct reach *ret, const struct reach *visible, bool btrfs);
void reach_deinit(struct reach *reach);

/** reach_handle() - an O_PATH descriptor; Return: it, -ESTALE (no such inode), -EOPNOTSUPP, or another negative errno */
int reach_handle(const struct reach *reach, const struct handle_view *handle);

/**
 * reach_path() - what is at a path, if it is that inode
 * @path:	from the root of the mount, without '/' before it; "": the root
 *
 * No further than this mount, and through no symbolic link.
 *
 * Return: an O_PATH descriptor, -EXDEV (something else is there, or nothing), or another
 * negative errno.
 */
int reach_path(const struct reach *reach, const char *path, uint64_t inode);

/**
 * reach_identity() - what tells this filesystem from others, and stays when it is mounted again
 *
 * From its uuid, where it has one, also of another device number and for all
 * subvolumes of btrfs; else from f_fsid. 0: not known.
 */
uint64_t reach_identity(const struct reach *reach);

/** handle_of() - of an open file; Return: 0, -EOPNOTSUPP, or another negative errno */
int handle_of(int fd, struct handle *ret);
