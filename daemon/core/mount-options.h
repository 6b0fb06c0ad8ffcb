/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Mount options
 *
 * Comma-separated options as mountinfo prints them. Not unescaped: a comma in
 * a value is \054.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * mount_options_read_only() - "ro" of a mount or superblock
 *
 * The kernel prints "ro" or "rw" before anything a filesystem may add, so
 * that only the first option counts.
 */
bool mount_options_read_only(const char *options);

/**
 * mount_options_next() - walk the options
 * @options:	moved past the option
 * @ret_n:	its length
 *
 * Return: the option, not NUL-terminated; NULL at the end.
 */
const char *mount_options_next(const char **options, size_t *ret_n);

/**
 * mount_options_owner() - who mounted it, where that shows
 * @type:	FUSE has user_id=; all else, and FUSE without it, is root's
 *
 * Return: the user; (uid_t)-2 for a number that is none.
 */
uid_t mount_options_owner(const char *type, const char *super_options);

/** mount_type_is_fuse() - "fuse", "fuseblk" and those with a subtype */
bool mount_type_is_fuse(const char *type);
