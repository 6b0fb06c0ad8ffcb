/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * File events of fanotify
 *
 * Decodes what a group with FAN_REPORT_DFID_NAME_TARGET gives (fanotify(7)).
 * Lengths are checked by own arithmetic; all that is given back lies in the
 * buffer. Pure: a handle is bytes, what it names is asked elsewhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/handle.h"

struct file_name {
	struct handle_view dir; /* n 0: none */
	const char *name; /* bytes, NUL-terminated; "": the directory itself (the kernel's ".") */
	size_t n_name;
};

struct file_event {
	bool overflow; /* the queue was full: some are missing, no other member is set */
	uint32_t mask; /* FAN_..., as the kernel gave it */
	int32_t pid; /* thread group of whoever did it; 0: not in our namespace */
	struct file_name at; /* where; of a rename the old place */
	struct file_name to; /* of a rename the new place, else none */
	struct handle_view target; /* the inode itself; n 0: not reported */
};

/**
 * file_event_next() - walk what one read() gave
 * @offset:	0 at the start, advanced past the event
 * @ret:	untouched unless 1 is returned
 *
 * Return: 1 with @ret, 0 at the end, -EBADMSG (the rest cannot be read).
 */
int file_event_next(const void *buffer, size_t n_buffer, size_t *offset, struct file_event *ret);

/** handle_inode() - the inode number in a handle; 0 where the form of its type is not known */
uint64_t handle_inode(const struct handle_view *handle);
