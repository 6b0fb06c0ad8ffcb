/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Signals held back at the start
 *
 * What is found at the start, such as a threshold that is crossed already, can
 * be known before the name on the bus is owned, when nobody could hear of it.
 * Those signals wait here for the first connection; after that the history
 * serves whoever was away. Bounded: past HELD_MAX the later ones are dropped.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"

#define HELD_MAX 256

struct held {
	struct {
		struct event event;
		uint64_t count;
	} * items;
	size_t n_items;
};

/** held_push() - keep a copy; Return: 0, -ENOBUFS or -ENOMEM */
int held_push(struct held *held, const struct event *event, uint64_t count);

/** held_release() - hand out all, in order, and be empty; @signal NULL: drop them */
void held_release(struct held *held,
		  void (*signal)(const struct event *event, uint64_t count, void *userdata),
		  void *userdata);
