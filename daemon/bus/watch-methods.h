/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What org.fsevents1.Manager offers for watches
 *
 * Watch, WatchPath, WatchInode: forms of arguments, and who may call them at all.
 * Whether what is named may be seen by the caller is found out behind
 * struct bus_watch_ops, in its own name and on no word of it.
 */

#include <systemd/sd-bus.h>

int method_watch(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_watch_path(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_watch_inode(sd_bus_message *call, void *userdata, sd_bus_error *error);
