/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/quota.h"

#define QUOTA_CHAINS 256

/* A user who is charged for something. */
struct quota_user {
	struct quota_user *next;
	uid_t uid;
	uint64_t used[_QUOTA_KIND_N];
};

struct quota {
	struct quota_limit limits[_QUOTA_KIND_N];
	uint64_t total[_QUOTA_KIND_N];
	struct quota_user *chains[QUOTA_CHAINS];
};

int quota_new(struct quota **ret, const struct quota_limit limits[static _QUOTA_KIND_N])
{
	struct quota *quota;

	assert(ret);

	quota = calloc(1, sizeof(*quota));
	if (!quota)
		return -ENOMEM;

	memcpy(quota->limits, limits, sizeof(quota->limits));
	*ret = quota;
	return 0;
}

void quota_set_limit(struct quota *quota, enum quota_kind kind, struct quota_limit limit)
{
	assert(quota);

	quota->limits[kind] = limit;
}

struct quota *quota_free(struct quota *quota)
{
	if (!quota)
		return NULL;

	for (unsigned int i = 0; i < QUOTA_CHAINS; i++)
		assert(!quota->chains[i]);
	for (unsigned int kind = 0; kind < _QUOTA_KIND_N; kind++)
		assert(quota->total[kind] == 0);

	free(quota);
	return NULL;
}

/* Where the user's entry is, or where it would be added. */
static struct quota_user **quota_find(struct quota *quota, uid_t uid)
{
	struct quota_user **p = &quota->chains[uid % QUOTA_CHAINS];

	while (*p && (*p)->uid != uid)
		p = &(*p)->next;

	return p;
}

static bool quota_fits(uint64_t used, uint64_t amount, uint64_t limit)
{
	return used <= limit && amount <= limit - used;
}

int quota_charge(struct quota *quota, struct quota_charge *charge, uid_t uid, enum quota_kind kind,
		 uint64_t amount)
{
	const struct quota_limit *limit;
	struct quota_user **p, *user;

	assert(quota);
	assert(charge && !charge->quota);
	assert((unsigned int)kind < _QUOTA_KIND_N);

	if (amount == 0)
		return 0;

	limit = &quota->limits[kind];
	p = quota_find(quota, uid);
	if (!quota_fits(*p ? (*p)->used[kind] : 0, amount, limit->per_uid) ||
	    !quota_fits(quota->total[kind], amount,
			uid == 0 ? limit->total : limit->total - limit->reserved))
		return QUOTA_E_EXCEEDED;

	user = *p;
	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return -ENOMEM;
		user->uid = uid;
		*p = user;
	}

	user->used[kind] += amount;
	quota->total[kind] += amount;
	*charge = (struct quota_charge){
		.quota = quota,
		.uid = uid,
		.kind = kind,
		.amount = amount,
	};
	return 0;
}

void quota_move(struct quota_charge *to, struct quota_charge *from)
{
	assert(to && !to->quota);
	assert(from);

	*to = *from;
	*from = (struct quota_charge){};
}

void quota_release(struct quota_charge *charge)
{
	struct quota_user **p, *user;

	assert(charge);

	if (!charge->quota)
		return;

	p = quota_find(charge->quota, charge->uid);
	user = *p;
	assert(user && user->used[charge->kind] >= charge->amount);
	assert(charge->quota->total[charge->kind] >= charge->amount);

	user->used[charge->kind] -= charge->amount;
	charge->quota->total[charge->kind] -= charge->amount;
	*charge = (struct quota_charge){};

	for (unsigned int kind = 0; kind < _QUOTA_KIND_N; kind++)
		if (user->used[kind] > 0)
			return;

	*p = user->next;
	free(user);
}

uint64_t quota_used(const struct quota *quota, uid_t uid, enum quota_kind kind)
{
	const struct quota_user *user;

	assert(quota);
	assert((unsigned int)kind < _QUOTA_KIND_N);

	user = *quota_find((struct quota *)quota, uid);
	return user ? user->used[kind] : 0;
}

uint64_t quota_total(const struct quota *quota, enum quota_kind kind)
{
	assert(quota);
	assert((unsigned int)kind < _QUOTA_KIND_N);

	return quota->total[kind];
}
