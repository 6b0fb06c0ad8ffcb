/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is said of block devices
 *
 * Brings it to the monitors of the filesystems concerned. A filesystem that
 * lies on the device itself, as a whole or as one of its members (btrfs), is told.
 * A failed request names the disk and a sector: whoever lies on the partition
 * that has it is told. Everything else that lies on the device, by partitions,
 * device mapper or md, is looked at and hears of nothing else. Where nothing is
 * known to lie, a btrfs may have got a device: all of them look.
 */

#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"
#include "daemon/core/kernel-message.h"

struct health_device;
struct manager;

/** health_device_new() - Return: 0 or -ENOMEM */
int health_device_new(struct health_device **ret, struct manager *manager);
struct health_device *health_device_free(struct health_device *devices);
DEFINE_FREEP(health_device, health_device_free)

/** health_device_message() - a message of the kernel, with the number of its device */
void health_device_message(struct health_device *devices, const struct kernel_message *message);

/** health_device_changed() - it became something else, or went: whoever lies there looks */
void health_device_changed(struct health_device *devices, struct device_number number);

/** health_device_look_at_all() - what it was about is not known */
void health_device_look_at_all(struct health_device *devices);
