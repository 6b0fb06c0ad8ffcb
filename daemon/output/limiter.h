/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How often one thing may be logged
 *
 * A burst per key and window; what comes above it is counted and the count
 * given out when the window is over. Bounded: keys without a place of their
 * own share one, so that inventing keys does not help. Pure: the time comes in.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMITER_BURST 10
#define LIMITER_WINDOW_US (30ULL * 1000 * 1000)
#define LIMITER_PLACES 128

/* Of a key, for the line that tells the count. */
#define LIMITER_LABEL_MAX 64

struct limiter_place {
	uint64_t key; /* 0: free */
	uint64_t until_us; /* end of the window */
	uint64_t suppressed;
	unsigned int n;
	char label[LIMITER_LABEL_MAX];
};

/* Zeroed: nothing was seen yet. The place after the last is the shared one. */
struct limiter {
	struct limiter_place places[LIMITER_PLACES + 1];
};

/**
 * limiter_pass() - may this one be logged
 * @key:	not 0; what counts together
 * @label:	names it for limiter_next(); cut
 *
 * Return: true, or false and it is counted as suppressed.
 */
bool limiter_pass(struct limiter *limiter, uint64_t key, const char *label, uint64_t now_us);

/**
 * limiter_next() - a count to tell
 * @ret_label:	of at least LIMITER_LABEL_MAX
 *
 * Gives each count once, after its window; call until it returns 0.
 *
 * Return: how many were suppressed, 0 when nothing is due.
 */
uint64_t limiter_next(struct limiter *limiter, uint64_t now_us,
		      char ret_label[static LIMITER_LABEL_MAX]);

/** limiter_due_us() - when limiter_next() has something; UINT64_MAX: never */
uint64_t limiter_due_us(const struct limiter *limiter);

/** limiter_key() - a key of two strings; either may be NULL */
uint64_t limiter_key(const char *a, const char *b);
