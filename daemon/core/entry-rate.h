/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How many entries a watch may write
 *
 * ENTRY_RATE_MAX in a window of ENTRY_RATE_WINDOW_US, which begins with the
 * first; the rest is counted, and told by one entry that is the first of the
 * next window. Pure: the time is monotonic and comes in.
 */

#include <stdbool.h>
#include <stdint.h>

#define ENTRY_RATE_MAX 100
#define ENTRY_RATE_WINDOW_US 10000000ULL

/* Zeroed: nothing so far. */
struct entry_rate {
	uint64_t until_us; /* end of the window */
	uint64_t left_out; /* not told yet */
	unsigned int n;
};

/** entry_rate_pass() - may one more be written? Else it is counted; ask entry_rate_take() before */
bool entry_rate_pass(struct entry_rate *rate, uint64_t now_us);

/**
 * entry_rate_take() - how many were left out, once the window is over
 *
 * Return: 0: none, or it is not over; else the entry that tells it is counted.
 */
uint64_t entry_rate_take(struct entry_rate *rate, uint64_t now_us);
