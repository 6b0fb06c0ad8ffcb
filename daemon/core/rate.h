/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Rates per causing user
 *
 * One user who fills a disk, mounts in a loop or breaks files must not be able to flood
 * the history, the state file, the journal and the streams: events that are
 * an ordinary user's doing pass here before they are numbered. Each user has
 * RATE_BURST events of each code at once and RATE_PER_SECOND of them in the
 * long run; what is refused is counted and told with the next that passes.
 * By code, so that nobody hides one thing behind a flood of another.
 * Pure, the time is monotonic and passed in; the table is bounded (RATE_USERS) and
 * those for whom it has no room share one allowance.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"

#define RATE_PER_SECOND 10
#define RATE_BURST 200
#define RATE_USERS 256

struct rate;

int rate_new(struct rate **ret); /* 0 or -ENOMEM */
struct rate *rate_free(struct rate *rate);
DEFINE_FREEP(rate, rate_free)

/**
 * rate_take() - may this event be published?
 * @event:		looked at for ->cause_uid (0: always), ->code and ->test (always)
 * @ret_suppressed:	set when true is returned: how many were refused since
 *			the last that passed
 *
 * Return: true when it may; else it is counted and to be dropped.
 */
bool rate_take(struct rate *rate, uint64_t now_us, const struct event *event,
	       uint64_t *ret_suppressed);

/** rate_suppressed() - refused in all */
uint64_t rate_suppressed(const struct rate *rate);
