/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * ext4 in sysfs
 *
 * /sys/fs/ext4/DEVICE/errors_count wakes up who polls it for each error
 * (ext4_error() of the kernel), and what stands beside it says which one was
 * the last. The open file does not keep the filesystem busy. Who was woken up
 * is not woken up again before ext4_errors_read(), which has all until then: a
 * storm of errors costs no more than the readings.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/fusion.h"

struct ext4_errors;

/* The counter moved: read it, now or later. May free the object. */
typedef void (*ext4_errors_fn)(void *userdata);

/**
 * ext4_errors_new() - follow the counter of the filesystem on a device
 *
 * Return: 0, -ENOENT (no such filesystem, or no such file), or another negative errno.
 */
int ext4_errors_new(struct ext4_errors **ret, sd_event *loop, uint32_t major, uint32_t minor,
		    ext4_errors_fn changed, void *userdata);
struct ext4_errors *ext4_errors_free(struct ext4_errors *errors);
DEFINE_FREEP(ext4_errors, ext4_errors_free)

/**
 * ext4_errors_read() - the counter and the last error of now; further ones wake up again
 *
 * By its code an error counts as corrupted or as io_error, as fusion_error_kind()
 * has it for those that fanotify tells.
 *
 * Return: 0, -ENOENT (unmounted) or another negative errno.
 */
int ext4_errors_read(struct ext4_errors *errors, struct fusion_counters *ret);
