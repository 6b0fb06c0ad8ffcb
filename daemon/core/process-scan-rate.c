/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/process-scan-rate.h"

#define DEBT_MAX_US (SCAN_RATE_BURST_US + SCAN_RATE_WAIT_US / SCAN_RATE_SHARE)

static uint64_t debt_of(const struct scan_rate_user *user, uint64_t now_us)
{
	uint64_t paid_us = (now_us - user->as_of_us) / SCAN_RATE_SHARE;

	return paid_us < user->debt_us ? user->debt_us - paid_us : 0;
}

static const struct scan_rate_user *find(const struct scan_rate *rate, uid_t uid)
{
	for (size_t i = 0; i < rate->n_users; i++)
		if (rate->users[i].uid == uid)
			return &rate->users[i];

	return NULL;
}

static struct scan_rate_user *enter(struct scan_rate *rate, uid_t uid, uint64_t now_us)
{
	struct scan_rate_user *user = (struct scan_rate_user *)find(rate, uid);

	if (user)
		return user;

	if (rate->n_users < SCAN_RATE_USERS) {
		user = &rate->users[rate->n_users++];
	} else {
		user = &rate->users[0];
		for (size_t i = 1; i < rate->n_users; i++)
			if (debt_of(&rate->users[i], now_us) < debt_of(user, now_us))
				user = &rate->users[i];
	}
	*user = (struct scan_rate_user){ .uid = uid, .as_of_us = now_us };
	return user;
}

uint64_t scan_rate_wait(const struct scan_rate *rate, uid_t uid, uint64_t scan, uint64_t now_us)
{
	const struct scan_rate_user *user;
	uint64_t debt_us;

	assert(rate);

	user = uid == 0 ? NULL : find(rate, uid);
	debt_us = user && user->scan != scan ? debt_of(user, now_us) : 0;
	return debt_us > SCAN_RATE_BURST_US ? (debt_us - SCAN_RATE_BURST_US) * SCAN_RATE_SHARE : 0;
}

void scan_rate_charge(struct scan_rate *rate, uid_t uid, uint64_t scan, uint64_t took_us,
		      uint64_t now_us)
{
	struct scan_rate_user *user;
	uint64_t debt_us;

	assert(rate);
	assert(scan > 0);

	if (uid == 0)
		return;
	user = enter(rate, uid, now_us);
	if (user->scan == scan)
		return;

	debt_us = debt_of(user, now_us);
	debt_us += took_us > SCAN_RATE_MIN_US ? took_us : SCAN_RATE_MIN_US;
	user->debt_us = debt_us < DEBT_MAX_US ? debt_us : DEBT_MAX_US;
	user->as_of_us = now_us;
	user->scan = scan;
}
