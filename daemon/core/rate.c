/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/rate.h"

/* Time that one event costs, and the most that can be saved up. */
#define RATE_STEP_US (1000000ULL / RATE_PER_SECOND)
#define RATE_SPAN_US (RATE_BURST * RATE_STEP_US)

/*
 * A leaky bucket in one number: the time at which it is empty again. An
 * event adds RATE_STEP_US to it and must not bring it past now + RATE_SPAN_US.
 */
struct rate_bucket {
	uint64_t empty_us;
	uint64_t suppressed;
};

struct rate_user {
	uint32_t uid; /* 0: not in use */
	struct rate_bucket buckets[_EVENT_CODE_N];
};

struct rate {
	struct rate_user users[RATE_USERS];
	struct rate_user others; /* all for whom there was no room */
	uint64_t suppressed;
};

int rate_new(struct rate **ret)
{
	assert(ret);

	/* Pages of it are used as users appear. */
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct rate *rate_free(struct rate *rate)
{
	free(rate);
	return NULL;
}

/* All allowances are whole again, as if the user had never appeared. */
static bool rate_user_is_idle(const struct rate_user *user, uint64_t now_us)
{
	for (unsigned int i = 0; i < _EVENT_CODE_N; i++)
		if (user->buckets[i].empty_us > now_us)
			return false;

	return true;
}

static struct rate_user *rate_find(struct rate *rate, uint32_t uid, uint64_t now_us)
{
	struct rate_user *spare = NULL;

	for (unsigned int i = 0; i < RATE_USERS; i++) {
		struct rate_user *user = &rate->users[i];

		if (user->uid == uid)
			return user;
		if (user->uid == 0) {
			spare = spare ?: user;
			break; /* those in use come first */
		}
		if (!spare && rate_user_is_idle(user, now_us))
			spare = user;
	}

	if (!spare)
		return &rate->others;

	*spare = (struct rate_user){ .uid = uid };
	return spare;
}

bool rate_take(struct rate *rate, uint64_t now_us, const struct event *event,
	       uint64_t *ret_suppressed)
{
	struct rate_bucket *bucket;
	uint64_t from_us;

	assert(rate);
	assert(event && (unsigned int)event->code < _EVENT_CODE_N);
	assert(ret_suppressed);

	if (event->cause_uid == 0 || event->test) {
		*ret_suppressed = 0;
		return true;
	}

	bucket = &rate_find(rate, event->cause_uid, now_us)->buckets[event->code];
	from_us = bucket->empty_us > now_us ? bucket->empty_us : now_us;
	if (from_us - now_us > RATE_SPAN_US - RATE_STEP_US) {
		bucket->suppressed++;
		rate->suppressed++;
		return false;
	}

	bucket->empty_us = from_us + RATE_STEP_US;
	*ret_suppressed = bucket->suppressed;
	bucket->suppressed = 0;
	return true;
}

uint64_t rate_suppressed(const struct rate *rate)
{
	assert(rate);

	return rate->suppressed;
}
