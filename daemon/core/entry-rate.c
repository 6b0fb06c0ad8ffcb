/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/entry-rate.h"

static void renew(struct entry_rate *rate, uint64_t now_us)
{
	if (now_us < rate->until_us)
		return;
	rate->until_us = now_us + ENTRY_RATE_WINDOW_US;
	rate->n = 0;
}

bool entry_rate_pass(struct entry_rate *rate, uint64_t now_us)
{
	assert(rate);

	renew(rate, now_us);
	if (rate->n >= ENTRY_RATE_MAX) {
		rate->left_out++;
		return false;
	}
	rate->n++;
	return true;
}

uint64_t entry_rate_take(struct entry_rate *rate, uint64_t now_us)
{
	uint64_t left_out;

	assert(rate);

	if (rate->left_out == 0 || now_us < rate->until_us)
		return 0;

	renew(rate, now_us);
	rate->n++;
	left_out = rate->left_out;
	rate->left_out = 0;
	return left_out;
}
