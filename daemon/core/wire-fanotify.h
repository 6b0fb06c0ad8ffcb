/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Error events of fanotify
 *
 * Decodes what a group with FAN_REPORT_FID and FAN_FS_ERROR gives: metadata,
 * a record with errno and count, a record with fsid and handle (fanotify(7)).
 * Lengths are checked by own arithmetic. Pure: a handle is bytes, what it
 * names is asked elsewhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* MAX_HANDLE_SZ of the kernel */
#define FANOTIFY_HANDLE_MAX 128

struct fanotify_error {
	bool overflow; /* the queue was full: some are missing, no other member is set */
	int error; /* errno, positive */
	uint32_t count; /* errors merged into this one, itself included */
	int32_t pid; /* thread group of whoever was at it; 0: not known */
	uint64_t fsid; /* the two words of f_fsid, the first one low */
	bool has_handle; /* false: the superblock as a whole */
	int handle_type;
	uint32_t n_handle;
	uint8_t handle[FANOTIFY_HANDLE_MAX];
	bool has_inode; /* a handle type whose form is known */
	uint64_t inode;
};

/**
 * fanotify_error_next() - walk what one read() gave
 * @offset:	0 at the start, advanced past the event
 * @ret:	untouched unless 1 is returned
 *
 * Events that carry no error and are no overflow are skipped.
 *
 * Return: 1 with @ret, 0 at the end, -EBADMSG (the rest cannot be read).
 */
int fanotify_error_next(const void *buffer, size_t n_buffer, size_t *offset,
			struct fanotify_error *ret);
