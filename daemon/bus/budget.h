/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Replies that are on their way
 *
 * Between a call that was let through and its reply, nothing is charged yet:
 * hundreds of short calls could pass whose replies have a megabyte each. So
 * a call reserves what its reply may take, and the next one waits while its peer
 * or its user have reserved too much. Only the size can be known by kind: of
 * the few methods with large replies the largest so far is remembered.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/envelope.h"

#define BUDGET_PEER (256U << 10)
#define BUDGET_UID (1U << 20)

#define BUDGET_CALLS 64 /* of one peer at once */
#define BUDGET_FORGET_US (60ULL * 1000 * 1000) /* a call that never got a reply */

enum reply_kind {
	REPLY_OBJECTS,
	REPLY_EVENTS,
	REPLY_CONFIGURATION,
	REPLY_INTROSPECTION,
	REPLY_MEMBERS,
	REPLY_SMALL,

	_REPLY_KIND_N,
};

/* Largest replies so far; zeroed: none. */
struct reply_sizes {
	size_t largest[_REPLY_KIND_N];
};

struct budget_call {
	uint32_t serial;
	enum reply_kind kind;
	size_t cost;
	uint64_t since_us;
};

/* Of one peer; zeroed: nothing reserved. */
struct budget {
	struct budget_call *calls; /* owned */
	size_t n_calls;
	size_t reserved;
};

/**
 * budget_spares() - a call that asks for no reply, and does something all the same
 *
 * What such calls make is bounded by quotas of its own, and nothing is sent for them.
 * One whose reply is all there is to it is not worth its work.
 */
bool budget_spares(const struct envelope *call);

/** budget_cost() - what the reply to this call may take */
size_t budget_cost(const struct reply_sizes *sizes, const struct envelope *call);

/** budget_allows() - may one of this cost go now, as far as the peer itself goes? */
bool budget_allows(const struct budget *budget, size_t cost);

/** budget_reserve() - Return: 0 or -ENOMEM */
int budget_reserve(struct budget *budget, const struct envelope *call, size_t cost,
		   uint64_t now_us);

/** budget_settle() - a reply was sent; Return: true when a reservation ended */
bool budget_settle(struct budget *budget, struct reply_sizes *sizes, uint32_t reply_serial,
		   size_t n);

/** budget_expire() - forget reservations that are too old; Return: true when there were any */
bool budget_expire(struct budget *budget, uint64_t now_us);

void budget_deinit(struct budget *budget);
