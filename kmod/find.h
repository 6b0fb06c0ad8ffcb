/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_FIND_H
#define FSEVENTS_FIND_H

/*
 * Which filesystem a request is about: by descriptor, by type and device, by
 * number
 */

struct genl_info;
struct super_block;

/*
 * Called with the control lock held and @sb kept mounted; what it returns is
 * the answer to the request.
 */
typedef int (*find_function_t)(struct super_block *sb, struct genl_info *info, void *data);

/**
 * find_filesystem() - call @function for the filesystem that a request names
 *
 * The control lock must not be held. The caller may be made to wait for at most
 * a second.
 *
 * Return: what @function returned; else a negative errno, with its text in the
 * answer: -EINVAL, -EBADF, -ENOENT, -ENODEV, -EBUSY, -EOPNOTSUPP, -ENOMEM.
 */
int find_filesystem(struct genl_info *info, find_function_t function, void *data);

int find_init(void);
/* Waits for searches that were given up. */
void find_exit(void);

#endif
