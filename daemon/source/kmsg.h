/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Messages of the kernel
 *
 * Follows /dev/kmsg from its end and tells what kernel-message.h makes of the
 * records. Reads late (KMSG_LATE_US after the first sign) and a bounded number
 * in each wake-up; while messages pour in, what the kernel overwrote meanwhile
 * is told as lost, so that everybody looks again.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/kernel-message.h"

#define KMSG_LATE_US 5000ULL
#define KMSG_BATCH 256

struct kmsg;

struct kmsg_ops {
	/* What was said, with the number of the device: names were looked up in sysfs. */
	void (*message)(const struct kernel_message *message, void *userdata);
	void (*lost)(uint64_t n, void *userdata); /* once for each wake-up at most */
};

/** kmsg_new() - Return: 0, -EOPNOTSUPP (no /dev/kmsg, or not allowed), or another negative errno */
int kmsg_new(struct kmsg **ret, sd_event *loop, const struct kmsg_ops *ops, void *userdata);
struct kmsg *kmsg_free(struct kmsg *kmsg);
DEFINE_FREEP(kmsg, kmsg_free)

/**
 * kmsg_catch_up() - tell now what waits, KMSG_BATCH records of it at most
 *
 * For whoever is about to conclude something and would wait for the timer in vain.
 */
void kmsg_catch_up(struct kmsg *kmsg);

struct kmsg_statistics {
	uint64_t records; /* read */
	uint64_t messages; /* of these, told */
	uint64_t foreign; /* written by processes, ignored */
	uint64_t unknown_device;
	uint64_t lost;
};
void kmsg_statistics(const struct kmsg *kmsg, struct kmsg_statistics *ret);
