/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Uevents of block devices
 *
 * Decodes a message of the kernel's uevent socket: "ACTION@DEVPATH" and then
 * KEY=VALUE, each ended by NUL (kobject_uevent_env(), lib/kobject_uevent.c).
 * Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uevent_kind {
	UEVENT_CHANGED, /* of a block device, in whatever way */
	UEVENT_READ_ONLY, /* DISK_RO=1 */
	UEVENT_WRITABLE, /* DISK_RO=0 */
	UEVENT_REMOVED,
};

struct uevent {
	enum uevent_kind kind;
	uint32_t major, minor;
};

enum uevent_outcome {
	UEVENT_OTHER = 1, /* not of a block device, or not one of these */
};

/** uevent_decode() - Return: 0 with @ret, UEVENT_OTHER, or -EBADMSG; @ret untouched unless 0 */
int uevent_decode(const char *message, size_t n_message, struct uevent *ret);
