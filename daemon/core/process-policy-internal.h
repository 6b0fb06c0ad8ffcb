/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a policy is made of. For process-policy.c and process-policy-note.c alone. */

#include "daemon/core/process-policy.h"

#define SECOND_US 1000000ULL
/* The last second is counted in parts, so that none is looked at longer. */
#define SLOTS 10
#define SLOT_US (SECOND_US / SLOTS)
/* Processes among which the culprit is sought. */
#define SUSPECTS 16
/* Warnings of one rule and code at once; then one in PROCESS_WARNING_PAUSE_US. */
#define BURST 4

struct suspect {
	struct process_culprit who;
	uint64_t n_forks;
};

struct allowance {
	unsigned int n_used;
	uint64_t refilled_us;
	uint64_t suppressed;
};

struct rule {
	struct process_rule rule; /* strings owned */
	bool user_known;
	uint32_t uid;

	uint64_t slot; /* number of the current one */
	uint64_t forks[SLOTS];
	uint64_t warned_slot; /* before which none is told again */
	struct suspect suspects[SUSPECTS];
	uint64_t suspects_us; /* since when they are counted */
	struct allowance allowances[_PROCESS_WARNING_CODE_N];
};

struct process_policy {
	const struct process_policy_ops *ops;
	void *userdata;
	struct rule *rules;
	size_t n_rules;
};
