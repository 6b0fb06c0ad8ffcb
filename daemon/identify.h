/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What lies below a filesystem
 *
 * Finds the block devices of a monitored filesystem, and for sections that
 * match by them its uuid and label. Device files are looked at by a worker:
 * the source of a mount is a text that whoever mounted it chose. Once it is
 * known which btrfs it is, its devices are read anew from sysfs as often as wanted:
 * they come and go while it is mounted.
 */

#include <stdbool.h>

struct monitor;

/**
 * identify_start() - find out the devices, uuid and label of a filesystem; also anew
 * @done:	called later or at once, when monitor->devices, ->uuid, ->label
 *		and ->btrfs_uuid are as known as they will be; not after identify_stop().
 *		It may free the monitor
 */
void identify_start(struct monitor *monitor, void (*done)(struct monitor *monitor));
void identify_stop(struct monitor *monitor);

/** identify_members() - the devices of a btrfs may be others now; waits for nothing */
void identify_members(struct monitor *monitor);

/** identify_is_lacking() - there should be more devices than none, and nobody is looking for them */
bool identify_is_lacking(const struct monitor *monitor);
