/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What org.fsevents1.Manager offers for processes
 *
 * TrackProcess, TrackPidfd, RelayForks, RelayForksPidfd, StopRelay, ListRelays,
 * SubscribeProcessWarnings: forms of arguments, and who may do what. A pid is
 * made a process that is held before anything is decided by it; what a caller
 * may not have and what is not there are refused in the same words.
 */

#include <systemd/sd-bus.h>

int method_track_process(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_track_pidfd(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_relay_forks(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_relay_forks_pidfd(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_stop_relay(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_list_relays(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_subscribe_process_warnings(sd_bus_message *call, void *userdata, sd_bus_error *error);
