/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Uevents of block devices
 *
 * The kernel's uevent multicast group, by libmnl: a disk that turned read-only
 * or writable, changed, or was removed. Datagrams of others than the kernel
 * are dropped and counted; when the socket overruns, everybody is told to
 * look again. The kernel sends none to the network namespaces of user namespaces.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/wire-uevent.h"

struct uevents;

struct uevents_ops {
	void (*event)(const struct uevent *event, void *userdata);
	void (*lost)(void *userdata); /* once for each wake-up at most */
};

/** uevents_new() - Return: 0 or a negative errno */
int uevents_new(struct uevents **ret, sd_event *loop, const struct uevents_ops *ops,
		void *userdata);
struct uevents *uevents_free(struct uevents *uevents);
DEFINE_FREEP(uevents, uevents_free)

struct uevents_statistics {
	uint64_t messages;
	uint64_t foreign; /* not from the kernel: dropped */
	uint64_t malformed;
	uint64_t overruns;
};
void uevents_statistics(const struct uevents *uevents, struct uevents_statistics *ret);
