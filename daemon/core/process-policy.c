/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/process-policy-internal.h"
#include "daemon/core/span.h"

const char *process_warning_name(enum process_warning_code code)
{
	switch (code) {
	case PROCESS_WARNING_FORK_RATE:
		return "fork-rate";
	case PROCESS_WARNING_EXIT_SIGNAL:
		return "exit-signal";
	case PROCESS_WARNING_EXIT_STATUS:
		return "exit-status";
	case _PROCESS_WARNING_CODE_N:
		break;
	}

	assert(false);
	return NULL;
}

int process_policy_new(struct process_policy **ret, const struct process_policy_ops *ops,
		       void *userdata)
{
	struct process_policy *policy;

	assert(ret && ops);

	policy = calloc(1, sizeof(*policy));
	if (!policy)
		return -ENOMEM;
	policy->ops = ops;
	policy->userdata = userdata;

	*ret = policy;
	return 0;
}

static void rules_free(struct rule *rules, size_t n_rules)
{
	for (size_t i = 0; i < n_rules; i++) {
		free((char *)rules[i].rule.name);
		free((char *)rules[i].rule.command);
		free((char *)rules[i].rule.unit);
		free((char *)rules[i].rule.user);
	}
	free(rules);
}

struct process_policy *process_policy_free(struct process_policy *policy)
{
	if (!policy)
		return NULL;

	rules_free(policy->rules, policy->n_rules);
	free(policy);
	return NULL;
}

static int copy_text(const char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int rule_init(struct rule *rule, const struct process_rule *from)
{
	uint64_t number;

	rule->rule.fork_rate = from->fork_rate;
	rule->rule.exits = from->exits;
	if (copy_text(&rule->rule.name, from->name) < 0 ||
	    copy_text(&rule->rule.command, from->command) < 0 ||
	    copy_text(&rule->rule.unit, from->unit) < 0 ||
	    copy_text(&rule->rule.user, from->user) < 0)
		return -ENOMEM;

	if (from->user && span_number(span_of(from->user), &number) == 0 && number < UINT32_MAX) {
		rule->user_known = true;
		rule->uid = (uint32_t)number;
	}
	return 0;
}

int process_policy_set_rules(struct process_policy *policy, const struct process_rule *rules,
			     size_t n_rules)
{
	struct rule *copies;

	assert(policy);
	assert(rules || n_rules == 0);

	if (n_rules > PROCESS_RULES_MAX)
		return -E2BIG;
	/* One more, since calloc() of nothing may give NULL. */
	copies = calloc(n_rules + 1, sizeof(*copies));
	if (!copies)
		return -ENOMEM;
	for (size_t i = 0; i < n_rules; i++) {
		assert(rules[i].name);
		if (rule_init(&copies[i], &rules[i]) < 0) {
			rules_free(copies, i + 1);
			return -ENOMEM;
		}
	}

	rules_free(policy->rules, policy->n_rules);
	policy->rules = copies;
	policy->n_rules = n_rules;
	return 0;
}

bool process_rule_names_user(const struct process_rule *rule)
{
	uint64_t number;

	assert(rule);

	return rule->user && span_number(span_of(rule->user), &number) < 0;
}

void process_policy_set_user(struct process_policy *policy, const char *name, uint32_t uid)
{
	assert(policy && name);

	for (size_t i = 0; i < policy->n_rules; i++) {
		struct rule *rule = &policy->rules[i];

		if (!rule->rule.user || strcmp(rule->rule.user, name) != 0)
			continue;
		rule->user_known = true;
		rule->uid = uid;
	}
}

static bool can_warn(const struct rule *rule)
{
	return rule->rule.fork_rate > 0 || rule->rule.exits != PROCESS_EXITS_NONE;
}

bool process_policy_is_active(const struct process_policy *policy)
{
	assert(policy);

	for (size_t i = 0; i < policy->n_rules; i++)
		if (can_warn(&policy->rules[i]))
			return true;

	return false;
}

bool process_policy_wants_identity(const struct process_policy *policy)
{
	assert(policy);

	for (size_t i = 0; i < policy->n_rules; i++)
		if (can_warn(&policy->rules[i]) &&
		    (policy->rules[i].rule.command || policy->rules[i].rule.unit))
			return true;

	return false;
}

/* The kernel cuts comm at 15 bytes. */
#define COMM_MAX 15

static bool is_command(const char *command, const struct process_identity *identity)
{
	const char *slash;

	if (*command == '/')
		return identity->file && strcmp(identity->file, command) == 0;

	slash = identity->file ? strrchr(identity->file, '/') : NULL;
	if (slash && strcmp(slash + 1, command) == 0)
		return true;

	return identity->comm && strncmp(identity->comm, command, COMM_MAX) == 0 &&
	       (strlen(command) <= COMM_MAX || !slash);
}

static bool is_in_unit(const char *unit, const char *units)
{
	struct span rest = span_of(units);

	while (rest.p)
		if (span_equal(span_split(&rest, '/'), unit))
			return true;

	return false;
}

static bool is_match(const struct rule *rule, const struct process_identity *identity)
{
	if (!can_warn(rule))
		return false;
	if (rule->rule.user &&
	    (!rule->user_known || !identity->uid_known || identity->uid != rule->uid))
		return false;
	if (rule->rule.unit && (!identity->unit || !is_in_unit(rule->rule.unit, identity->unit)))
		return false;

	return !rule->rule.command || is_command(rule->rule.command, identity);
}

uint64_t process_policy_match(const struct process_policy *policy,
			      const struct process_identity *identity)
{
	uint64_t bits = 0;

	assert(policy && identity);

	for (size_t i = 0; i < policy->n_rules; i++)
		if (is_match(&policy->rules[i], identity))
			bits |= 1ULL << i;

	return bits;
}

static bool ends_with(struct span name, const char *end)
{
	size_t n = strlen(end);

	return name.n > n && memcmp(name.p + name.n - n, end, n) == 0;
}

/* The line of the unified hierarchy, else that of systemd's own. */
static bool find_hierarchy(const char *text, size_t n_text, struct span *ret)
{
	static const char unified[] = "0::", named[] = ":name=systemd:";
	const char *at = text, *end = text + n_text;
	bool found = false;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((newline ? newline : end) - at);
		const char *colon = memchr(at, ':', n);
		size_t n_rest = colon ? (size_t)(at + n - colon) : 0;

		/* empty where the unified one is only mounted beside the others */
		if (n > sizeof(unified) && memcmp(at, unified, sizeof(unified) - 1) == 0) {
			*ret = (struct span){ at + 3, n - 3 };
			return true;
		}
		if (n_rest >= sizeof(named) - 1 && memcmp(colon, named, sizeof(named) - 1) == 0) {
			*ret = (struct span){ colon + sizeof(named) - 1,
					      n_rest - (sizeof(named) - 1) };
			found = true;
		}
		at = newline ? newline + 1 : end;
	}

	return found;
}

int process_unit_of(const char *text, size_t n_text, char *ret, size_t n_ret)
{
	struct span path;
	size_t n = 0;

	assert(text || n_text == 0);
	assert(ret && n_ret >= 256);

	if (n_text == 0 || !find_hierarchy(text, n_text, &path))
		return -ENOENT;

	/* Below the first that is no slice, names are the unit's own, or its user's. */
	while (path.p) {
		struct span name = span_split(&path, '/');
		bool slice = ends_with(name, ".slice");

		if (name.n == 0)
			continue;
		if (!slice && !ends_with(name, ".service") && !ends_with(name, ".scope"))
			break;
		if (n + name.n + 1 >= n_ret)
			return -ENOENT;
		if (n > 0)
			ret[n++] = '/';
		memcpy(ret + n, name.p, name.n);
		n += name.n;
		if (!slice)
			break;
	}

	ret[n] = '\0';
	return n > 0 ? 0 : -ENOENT;
}
