/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What clients have not read of streams that have ended
 *
 * Packets that were sent stay in kernel memory until the client reads them or
 * closes its last descriptor, whatever became of the daemon's end. So that
 * end is kept, and what was charged for the stream, until nothing is left. The
 * client reads what was sent and then the end, as if it had been closed.
 */

#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/quota.h"

struct unread;

/** unread_new() - Return: 0 or -ENOMEM */
int unread_new(struct unread **ret, sd_event *loop);
/** unread_free() - closes all that is kept and gives back its charges */
struct unread *unread_free(struct unread *unread);
DEFINE_FREEP(unread, unread_free)

/**
 * unread_keep() - a stream has ended
 * @fd:		the daemon's end, watched by nobody; taken over
 * @charge:	for it; taken over, zeroed
 *
 * Where all is read, or where there is no memory to wait with, both are given
 * back at once.
 */
void unread_keep(struct unread *unread, int fd, struct quota_charge *charge);
