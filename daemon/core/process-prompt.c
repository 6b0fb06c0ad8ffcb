/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/process-prompt.h"

#define PERIOD_US (1000000 / PROCESS_PROMPT_RATE)

bool process_prompt_take(struct process_prompt *prompt, uint64_t now_us)
{
	uint64_t n;

	assert(prompt);

	n = (now_us - prompt->refilled_us) / PERIOD_US;
	prompt->refilled_us += n * PERIOD_US;
	prompt->n_taken -= n < prompt->n_taken ? (unsigned int)n : prompt->n_taken;
	if (prompt->n_taken == PROCESS_PROMPT_BURST)
		return false;

	prompt->n_taken++;
	return true;
}
