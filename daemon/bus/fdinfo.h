/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What can be learnt of a stranger's descriptor without touching its file
 *
 * fcntl(F_GETFL) and /proc/self/fdinfo ask the kernel's own table only.
 * fstat() and its like ask the filesystem, which may be somebody's stopped
 * program, and are not used.
 */

#include <stdbool.h>
#include <stdint.h>

/** fdinfo_is_path() - opened with O_PATH: it can be closed without asking anybody */
bool fdinfo_is_path(int fd);

/** fdinfo_is_pidfd() - a descriptor of a process; as harmless to close */
bool fdinfo_is_pidfd(int fd);

/** fdinfo_is_null() - /dev/null: what stands in a message for one that was not taken (pump.h) */
bool fdinfo_is_null(int fd);

/** fdinfo_pid() - of a pidfd; Return: 0, -ESRCH (it has ended and was waited for, or is of another namespace), or a negative errno */
int fdinfo_pid(uint32_t *ret, int fd);

/** fdinfo_mount_id() - mnt_id as in mountinfo; Return: 0, -ENODATA, or a negative errno */
int fdinfo_mount_id(uint32_t *ret, int fd);
