/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What org.fsevents1.Manager offers for watches
 *
 * Watch, WatchPath, WatchInode: forms of arguments, and who may call them at all.
 * Whether what is named may be seen by the caller is found out behind
 * struct bus_watch_ops, in its own name and on no word of it.
 */

#include <stdint.h>
#include <systemd/sd-bus.h>

int method_watch(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_watch_path(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_watch_inode(sd_bus_message *call, void *userdata, sd_bus_error *error);

/**
 * bus_watch_read_mask() - read events as their names
 *
 * Unknown ones and none at all are refused by name, with the list of those there are.
 * Return: 0 with FSEVENTS_... in @ret, 1 when the call was refused (answered), or a
 * negative errno.
 */
int bus_watch_read_mask(sd_bus_message *call, uint32_t *ret);
