/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Audience
 *
 * The open streams of events, each charged to a user and owned by a bus name,
 * and closed when that name leaves or the reader goes.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/history.h"
#include "daemon/core/quota.h"
#include "daemon/output/stream.h"

struct audience;

/** audience_new() - @quota: borrowed, outlives it; Return: 0 or -ENOMEM */
int audience_new(struct audience **ret, sd_event *loop, struct quota *quota);
struct audience *audience_free(struct audience *audience);
DEFINE_FREEP(audience, audience_free)

/** audience_begin() - @history: what streams read from; borrowed, outlives it */
void audience_begin(struct audience *audience, const struct history *history);

struct audience_member {
	uid_t uid; /* charged */
	const char *owner; /* bus name, copied */
};

enum { _AUDIENCE_E_SUCCESS, AUDIENCE_E_LIMIT };

/**
 * audience_open() - one more stream
 * @ret_fd:	the client's end, owned by the caller
 *
 * Return: 0, AUDIENCE_E_LIMIT (this user, or all, have enough), or a negative errno.
 */
int audience_open(struct audience *audience, const struct audience_member *member,
		  const struct stream_options *options, int *ret_fd);

/** audience_owner_gone() - closes the streams of a bus name that left */
void audience_owner_gone(struct audience *audience, const char *owner);

/** audience_kick() - the history has a new event or amendment */
void audience_kick(struct audience *audience);

struct audience_statistics {
	uint64_t streams; /* open */
	uint64_t lost; /* events that slow readers did not get, over all streams ever */
};

void audience_statistics(const struct audience *audience, struct audience_statistics *ret);
