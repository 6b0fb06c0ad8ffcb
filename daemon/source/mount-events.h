/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Mount events by fanotify
 *
 * A group that hears of mounts and unmounts in the caller's mount namespace
 * (Linux 6.15). It is used as a sign only: what an event says is not believed,
 * since the mount table has it all, and so a queue that overflowed loses nothing.
 */

#include <stdint.h>

/**
 * mount_events_open() - Return: a descriptor to poll for EPOLLIN, or a
 * negative errno (-EINVAL: not in this kernel, -EPERM)
 */
int mount_events_open(void);

/** mount_events_drain() - read all that is queued; Return: overflows among it */
unsigned int mount_events_drain(int fd);
