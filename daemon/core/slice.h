/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Slice
 *
 * What one turn of the loop may spend on work of many small steps, so that
 * everything else has its turn between two of them. A clock is asked for, not
 * after each step; a slice makes at least SLICE_STEPS of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLICE_STEPS 64

struct slice {
	uint64_t (*now_ns)(void *userdata);
	void *userdata;
	uint64_t end_ns;
	size_t n_steps; /* since the clock was asked */
	bool over;
};

static inline struct slice slice_begin(uint64_t (*now_ns)(void *userdata), void *userdata,
				       uint64_t length_ns)
{
	return (struct slice){
		.now_ns = now_ns,
		.userdata = userdata,
		.end_ns = now_ns(userdata) + length_ns,
	};
}

/** slice_spend() - after so many steps; Return: false where the rest is for another turn */
static inline bool slice_spend(struct slice *slice, size_t n_steps)
{
	if (slice->over)
		return false;

	slice->n_steps += n_steps;
	if (slice->n_steps < SLICE_STEPS)
		return true;

	slice->n_steps = 0;
	slice->over = slice->now_ns(slice->userdata) >= slice->end_ns;
	return !slice->over;
}
