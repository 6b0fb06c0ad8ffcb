/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Kernel messages about filesystems and block devices
 *
 * Decodes one record of /dev/kmsg and says what it means for the health of
 * which device. Text is no interface, and so what is not known for sure is
 * only a hint to look again. Only records of facility 0 count: the kernel
 * gives any other facility to what a process writes there
 * (devkmsg_write(), kernel/printk/printk.c). Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/fusion.h"

#define KERNEL_DEVICE_MAX 64

struct kernel_message {
	struct fusion_hint hint; /* ->source is FUSION_SOURCE_KMSG */
	char device[KERNEL_DEVICE_MAX]; /* the kernel's name, "sda1", "dm-0"; "" with ->numbered */
	bool numbered; /* the record has DEVICE=bMAJOR:MINOR */
	uint32_t major, minor;
	bool has_sector; /* the device is a disk as a whole, and this is where on it */
	uint64_t sector; /* of 512 bytes */
	uint64_t seq; /* of the record */
};

enum kernel_message_outcome {
	KERNEL_MESSAGE_OTHER = 1, /* well-formed, and not about this; ->seq is set */
	KERNEL_MESSAGE_FOREIGN, /* written by a process; ->seq is set */
};

/**
 * kernel_message_decode() - one record, as one read() gave it
 * @record:	"PRIORITY,SEQUENCE,TIMESTAMP,FLAGS[,...];TEXT\n KEY=VALUE\n..."; need not end in NUL
 *
 * See Documentation/ABI/testing/dev-kmsg of the kernel.
 *
 * Return: 0 with @ret, an outcome, or -EBADMSG with @ret untouched.
 */
int kernel_message_decode(const char *record, size_t n_record, struct kernel_message *ret);
