/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/budget.h"

/* Before one was seen, and at least. */
static const size_t smallest[_REPLY_KIND_N] = {
	/* More than a peer's share: one at a time, they take long to make too. */
	[REPLY_OBJECTS] = BUDGET_PEER + 1, [REPLY_EVENTS] = 64 << 10,
	[REPLY_CONFIGURATION] = 16 << 10,  [REPLY_INTROSPECTION] = 16 << 10,
	[REPLY_MEMBERS] = 16 << 10,	   [REPLY_SMALL] = 4 << 10,
};

static enum reply_kind kind_of(const struct envelope *call)
{
	static const struct {
		const char *member;
		enum reply_kind kind;
	} kinds[] = {
		{ "GetManagedObjects", REPLY_OBJECTS },
		{ "GetEvents", REPLY_EVENTS },
		{ "GetConfiguration", REPLY_CONFIGURATION },
		{ "Introspect", REPLY_INTROSPECTION },
		{ "ListMembers", REPLY_MEMBERS },
	};

	for (size_t i = 0; call->member && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(call->member, kinds[i].member) == 0)
			return kinds[i].kind;
	return REPLY_SMALL;
}

bool budget_spares(const struct envelope *call)
{
	static const char *const members[] = {
		"Configure",  "EmitTestEvent",	 "Release",   "Reload",
		"RelayForks", "RelayForksPidfd", "Remove",    "SetEvents",
		"Start",      "SetThresholds",	 "StopRelay", "SubscribeProcessWarnings",
	};

	assert(call);

	for (size_t i = 0;
	     call->no_reply && call->member && i < sizeof(members) / sizeof(members[0]); i++)
		if (strcmp(call->member, members[i]) == 0)
			return true;
	return false;
}

size_t budget_cost(const struct reply_sizes *sizes, const struct envelope *call)
{
	enum reply_kind kind = kind_of(call);

	assert(sizes);

	return sizes->largest[kind] > smallest[kind] ? sizes->largest[kind] : smallest[kind];
}

bool budget_allows(const struct budget *budget, size_t cost)
{
	assert(budget);

	/* One at a time may be of any size. */
	return budget->n_calls == 0 ||
	       (budget->n_calls < BUDGET_CALLS && budget->reserved + cost <= BUDGET_PEER);
}

int budget_reserve(struct budget *budget, const struct envelope *call, size_t cost, uint64_t now_us)
{
	assert(budget);
	assert(budget->n_calls < BUDGET_CALLS);

	if (!budget->calls) {
		budget->calls = calloc(BUDGET_CALLS, sizeof(*budget->calls));
		if (!budget->calls)
			return -ENOMEM;
	}

	budget->calls[budget->n_calls++] = (struct budget_call){
		.serial = call->serial,
		.kind = kind_of(call),
		.cost = cost,
		.since_us = now_us,
	};
	budget->reserved += cost;
	return 0;
}

static void budget_remove(struct budget *budget, size_t i)
{
	budget->reserved -= budget->calls[i].cost;
	budget->calls[i] = budget->calls[--budget->n_calls];
	if (budget->n_calls == 0)
		budget_deinit(budget);
}

bool budget_settle(struct budget *budget, struct reply_sizes *sizes, uint32_t reply_serial,
		   size_t n)
{
	assert(budget);
	assert(sizes);

	for (size_t i = 0; i < budget->n_calls; i++) {
		enum reply_kind kind = budget->calls[i].kind;

		if (budget->calls[i].serial != reply_serial)
			continue;
		if (kind != REPLY_SMALL && n > sizes->largest[kind])
			sizes->largest[kind] = n;
		budget_remove(budget, i);
		return true;
	}
	return false;
}

bool budget_expire(struct budget *budget, uint64_t now_us)
{
	bool found = false;
	size_t i = 0;

	assert(budget);

	while (i < budget->n_calls) {
		if (now_us - budget->calls[i].since_us < BUDGET_FORGET_US) {
			i++;
			continue;
		}
		budget_remove(budget, i);
		found = true;
	}
	return found;
}

void budget_deinit(struct budget *budget)
{
	free(budget->calls);
	*budget = (struct budget){};
}
