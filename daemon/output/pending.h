/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Events that wait for their ids
 *
 * What happens before the past is known waits here, in order and bounded.
 */

#include <stddef.h>

#include "daemon/core/event.h"

/* At most; past it the least severe are dropped. */
#define PENDING_EVENTS 4096
#define PENDING_BYTES (1U << 20)

/* Zeroed: empty. */
struct pending {
	struct event *items;
	size_t n_items, n_allocated, n_bytes;
};

void pending_deinit(struct pending *pending);

/**
 * pending_push() - let an event wait
 * @event:	taken over: emptied on return
 *
 * Return: how many events were dropped for it, itself perhaps.
 */
size_t pending_push(struct pending *pending, struct event *event);
