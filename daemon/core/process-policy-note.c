/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/core/process-policy-internal.h"

static bool take(struct allowance *allowance, uint64_t now_us)
{
	uint64_t n;

	if (allowance->n_used == 0)
		allowance->refilled_us = now_us;
	n = now_us > allowance->refilled_us
		    ? (now_us - allowance->refilled_us) / PROCESS_WARNING_PAUSE_US
		    : 0;
	if (n >= allowance->n_used) {
		allowance->n_used = 0;
		allowance->refilled_us = now_us;
	} else {
		allowance->n_used -= (unsigned int)n;
		allowance->refilled_us += n * PROCESS_WARNING_PAUSE_US;
	}
	if (allowance->n_used >= BURST) {
		allowance->suppressed++;
		return false;
	}

	allowance->n_used++;
	return true;
}

static void warn(struct process_policy *policy, struct rule *rule, struct process_warning *warning)
{
	struct allowance *allowance = &rule->allowances[warning->code];

	if (!take(allowance, warning->monotonic_us))
		return;

	warning->severity = SEVERITY_WARNING;
	warning->rule = rule->rule.name;
	warning->suppressed = allowance->suppressed;
	allowance->suppressed = 0;
	policy->ops->warn(warning, policy->userdata);
}

/* Return: forks of the last second, this one included. */
static uint64_t count_fork(struct rule *rule, uint64_t now_us)
{
	uint64_t slot = now_us / SLOT_US, sum = 0;

	/* A clock that goes back counts on where it was. */
	if (slot > rule->slot) {
		if (slot - rule->slot >= SLOTS)
			memset(rule->forks, 0, sizeof(rule->forks));
		for (uint64_t i = rule->slot + 1; slot - rule->slot < SLOTS && i <= slot; i++)
			rule->forks[i % SLOTS] = 0;
		rule->slot = slot;
	}

	rule->forks[rule->slot % SLOTS]++;
	for (unsigned int i = 0; i < SLOTS; i++)
		sum += rule->forks[i];
	return sum;
}

static struct process_culprit culprit_of(const struct process *process)
{
	return (struct process_culprit){
		.pid = process->pid,
		.uid = process->uid,
		.uid_known = process_is_of(process, process->uid, UINT64_MAX),
		.start_ticks = process->start_ticks,
		.born_ticks = process->born_ticks,
	};
}

/* A scan, or a look, may have told the start meanwhile. */
static bool is_same(const struct process_culprit *a, const struct process_culprit *b)
{
	return a->pid == b->pid && a->born_ticks == b->born_ticks &&
	       (a->start_ticks == b->start_ticks || a->start_ticks == 0 || b->start_ticks == 0);
}

/* The least suspected gives way to a new one, which takes over its count: the most is never missed. */
static void suspect(struct rule *rule, const struct process_culprit *who, uint64_t now_us)
{
	struct suspect *least = &rule->suspects[0];

	if (now_us - rule->suspects_us >= SECOND_US) {
		memset(rule->suspects, 0, sizeof(rule->suspects));
		rule->suspects_us = now_us;
	}

	for (unsigned int i = 0; i < SUSPECTS; i++) {
		struct suspect *s = &rule->suspects[i];

		if (is_same(&s->who, who)) {
			s->who = *who;
			s->n_forks++;
			return;
		}
		if (s->n_forks < least->n_forks)
			least = s;
	}

	least->who = *who;
	least->n_forks++;
}

static const struct suspect *find_culprit(const struct rule *rule)
{
	const struct suspect *most = &rule->suspects[0];

	for (unsigned int i = 1; i < SUSPECTS; i++)
		if (rule->suspects[i].n_forks > most->n_forks)
			most = &rule->suspects[i];

	return most;
}

static void note_fork(struct process_policy *policy, const struct process_change *change,
		      uint64_t now_us)
{
	struct process *parent = change->parent, *child = change->process;
	bool blamed = parent->culprit.pid && now_us - parent->culprit_us < SECOND_US;

	child->rules |= parent->rules;
	child->culprit = blamed ? parent->culprit : culprit_of(parent);
	child->culprit_us = now_us;

	for (size_t i = 0; i < policy->n_rules; i++) {
		struct rule *rule = &policy->rules[i];
		const struct suspect *culprit;
		uint64_t forks;

		if (!(parent->rules & 1ULL << i) || rule->rule.fork_rate == 0)
			continue;
		forks = count_fork(rule, now_us);
		suspect(rule, &child->culprit, now_us);
		if (forks <= rule->rule.fork_rate || rule->slot < rule->warned_slot)
			continue;

		rule->warned_slot = rule->slot + SLOTS;
		culprit = find_culprit(rule);
		warn(policy, rule,
		     &(struct process_warning){
			     .code = PROCESS_WARNING_FORK_RATE,
			     .pid = culprit->who.pid,
			     .uid_known = culprit->who.uid_known,
			     .uid = culprit->who.uid,
			     .start_ticks = culprit->who.start_ticks,
			     .born_ticks = culprit->who.born_ticks,
			     .monotonic_us = now_us,
			     .rate = forks,
			     .limit = rule->rule.fork_rate,
			     .culprit_forks = culprit->n_forks,
		     });
	}
}

static void note_end(struct process_policy *policy, const struct process *process, uint64_t now_us)
{
	int status = (int)process->status;
	bool by_signal = WIFSIGNALED(status);

	if (!by_signal && WEXITSTATUS(status) == 0)
		return;
	for (size_t i = 0; i < policy->n_rules; i++) {
		struct rule *rule = &policy->rules[i];

		if (!(process->rules & 1ULL << i) || rule->rule.exits == PROCESS_EXITS_NONE ||
		    (rule->rule.exits == PROCESS_EXITS_SIGNAL && !by_signal))
			continue;
		warn(policy, rule,
		     &(struct process_warning){
			     .code = by_signal ? PROCESS_WARNING_EXIT_SIGNAL
					       : PROCESS_WARNING_EXIT_STATUS,
			     .pid = process->pid,
			     .uid_known = process_is_of(process, process->uid, UINT64_MAX),
			     .uid = process->uid,
			     .start_ticks = process->start_ticks,
			     .born_ticks = process->born_ticks,
			     .monotonic_us = now_us,
			     .status = process->status,
		     });
	}
}

bool process_warning_is_of(const struct process_warning *warning, uint64_t start_ticks,
			   const struct process_identity *identity)
{
	assert(warning && identity);

	if (!warning->uid_known || !identity->uid_known || identity->uid != warning->uid)
		return false;
	if (warning->start_ticks)
		return start_ticks == warning->start_ticks;

	return start_ticks <= warning->born_ticks + 1;
}

void process_policy_note(struct process_policy *policy, const struct process_change *change,
			 uint64_t monotonic_us)
{
	assert(policy && change);

	switch (change->kind) {
	case PROCESS_FORKED:
		if (change->parent->rules)
			note_fork(policy, change, monotonic_us);
		break;
	case PROCESS_ENDED:
		if (change->process->rules)
			note_end(policy, change->process, monotonic_us);
		break;
	case PROCESS_NONE:
	case PROCESS_EXECED:
	case PROCESS_UID:
	case PROCESS_THREAD_ENDED:
	case PROCESS_VANISHED:
	case PROCESS_UNFOUND:
	case PROCESS_FULL:
		break;
	}
}
