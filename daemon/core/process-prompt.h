/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How often events are read at once
 *
 * Who wakes for each event makes each fork pay for it; but what a process
 * executes is asked of itself, and short ones live for a millisecond. So the
 * first PROCESS_PROMPT_BURST signs of events, and PROCESS_PROMPT_RATE a second
 * of those that follow, are taken without a pause while somebody wants names.
 * Pure; the time is monotonic and passed in.
 */

#include <stdbool.h>
#include <stdint.h>

#define PROCESS_PROMPT_BURST 600
#define PROCESS_PROMPT_RATE 200

/* Zeroed at first: all of the burst is there. */
struct process_prompt {
	unsigned int n_taken;
	uint64_t refilled_us;
};

/** process_prompt_take() - Return: whether this sign is read at once */
bool process_prompt_take(struct process_prompt *prompt, uint64_t now_us);
