/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Block devices in sysfs
 *
 * Names and numbers, and whether a device takes writes. sysfs waits for no disk.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_NAME_MAX 64

/** block_name() - the kernel's name of a device, as in sysfs ('!' for '/'); Return: 0, -ENOENT or another negative errno */
int block_name(uint32_t major, uint32_t minor, char ret[static BLOCK_NAME_MAX]);

/** block_number() - of a name as kernel messages have it ('/' or '!'); Return: 0, -ENOENT, -EINVAL (no such name can be) */
int block_number(const char *name, uint32_t *ret_major, uint32_t *ret_minor);

/** block_is_read_only() - Return: 0, -ENOENT or another negative errno */
int block_is_read_only(uint32_t major, uint32_t minor, bool *ret);
