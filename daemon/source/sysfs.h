/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Attributes in sysfs
 *
 * Short texts and numbers. sysfs waits for no disk and no server.
 */

#include <stddef.h>
#include <stdint.h>

/**
 * sysfs_read() - what an attribute says
 * @dir_fd:	@path is relative to it; or AT_FDCWD
 * @ret:	without the newline at its end; what is longer than @n_ret is cut
 *
 * Return: 0, -ENOENT (no such attribute, or what it is about is gone), or
 * another negative errno.
 */
int sysfs_read(int dir_fd, const char *path, char *ret, size_t n_ret);

/** sysfs_read_number() - a decimal number and nothing else; Return: as sysfs_read(), or -EBADMSG */
int sysfs_read_number(int dir_fd, const char *path, uint64_t *ret);

/** sysfs_read_fd() - as sysfs_read(), of an attribute that is open, once more from its start */
int sysfs_read_fd(int fd, char *ret, size_t n_ret);
