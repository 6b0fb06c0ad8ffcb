/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Policy on processes: the sections [process NAME]
 *
 *	command =	name of the executable (as comm, or the last part of its path), or its absolute path
 *	unit =		full name of a unit of the system; processes in its control group, or below
 *	user =		name or number: the real uid
 *	fork-rate =	N/s: a warning where the processes of the rule together fork
 *			more than N new processes within a second
 *	exits =		signal: a warning where one ends by a signal; status: and where
 *			one ends with a status other than 0; none: never
 *
 * Keys given must all match; a rule without command, unit and user matches
 * every process. Children match as their parent did until they execute: what
 * a process is called, its unit and user are inherited.
 *
 * The culprit of a fork rate is the process that forked most within that
 * second, the forks of those it forked within it counted in: the root
 * of a bomb, not one of its leaves.
 *
 * Pure: what a process is called and where it belongs is looked up by the
 * caller when asked; the table (process.h) holds the bits of the rules.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"
#include "daemon/core/process.h"

#define PROCESS_RULES_MAX 64
#define PROCESS_WARNING_PAUSE_US                                                                   \
	60000000ULL /* between two of one rule and code; what falls between is counted */

enum process_exits {
	PROCESS_EXITS_NONE,
	PROCESS_EXITS_SIGNAL,
	PROCESS_EXITS_STATUS, /* signals too */
};

/* As configured (config_process_rule_next()). */
struct process_rule {
	const char *name;
	const char *command; /* unescaped bytes; NULL: any */
	const char *unit; /* NULL: any */
	const char *user; /* NULL: any; a name's number is set by process_policy_set_user() */
	const char *user_file; /* for messages: where that stands; not copied */
	unsigned int user_line;
	uint32_t fork_rate; /* a second; 0: none */
	enum process_exits exits;
};

/* What was found of a process; NULL: not known, which matches no rule that asks for it. */
struct process_identity {
	const char *comm; /* as in /proc/PID/comm, without the newline */
	const char *file; /* as /proc/PID/exe points to */
	const char *unit; /* process_unit_of() */
	bool uid_known;
	uint32_t uid; /* real */
};

enum process_warning_code {
	PROCESS_WARNING_FORK_RATE, /* "fork-rate" */
	PROCESS_WARNING_EXIT_SIGNAL, /* "exit-signal" */
	PROCESS_WARNING_EXIT_STATUS, /* "exit-status" */

	_PROCESS_WARNING_CODE_N,
};

struct process_warning {
	enum process_warning_code code;
	enum event_severity severity; /* SEVERITY_WARNING */
	const char *rule; /* name; borrowed for the call */
	uint32_t pid; /* the culprit, or who ended */
	bool uid_known;
	uint32_t uid; /* of it, as it was when it was seen last */
	uint64_t start_ticks, born_ticks; /* as of struct process */
	uint64_t monotonic_us;
	uint32_t status; /* of an exit: as of waitpid(2) */
	uint64_t rate, limit; /* of forks, a second */
	uint64_t culprit_forks; /* of these, by the culprit and its offspring */
	uint64_t suppressed; /* of this rule and code since the last that was told */
};

/**
 * process_warning_is_of() - whether what was read of the pid is of the one that is warned of
 * @start_ticks:	read after @identity: who had the pid then had it before
 */
bool process_warning_is_of(const struct process_warning *warning, uint64_t start_ticks,
			   const struct process_identity *identity);

const char *process_warning_name(enum process_warning_code code);

struct process_policy;

struct process_policy_ops {
	void (*warn)(const struct process_warning *warning, void *userdata);
};

int process_policy_new(struct process_policy **ret, const struct process_policy_ops *ops,
		       void *userdata); /* no rules; 0 or -ENOMEM */
struct process_policy *process_policy_free(struct process_policy *policy);
DEFINE_FREEP(process_policy, process_policy_free)

/**
 * process_policy_set_rules() - replace all; copied
 *
 * For feed_set_rules(): the bits of all processes are of no meaning then.
 * Return: 0, -E2BIG, or -ENOMEM with the old ones in force.
 */
int process_policy_set_rules(struct process_policy *policy, const struct process_rule *rules,
			     size_t n_rules);
/** process_rule_names_user() - the user is given by a name, whose number a worker looks up */
bool process_rule_names_user(const struct process_rule *rule);
/** process_policy_set_user() - for feed_set_user() */
void process_policy_set_user(struct process_policy *policy, const char *name, uint32_t uid);

bool process_policy_is_active(
	const struct process_policy *policy); /* there is a rule that can warn */
/** process_policy_wants_identity() - some rule asks for command or unit: each exec is to be looked up */
bool process_policy_wants_identity(const struct process_policy *policy);
/** process_policy_match() - the bits of the rules that match */
uint64_t process_policy_match(const struct process_policy *policy,
			      const struct process_identity *identity);

/**
 * process_unit_of() - the unit of the system and its slices, in the text of /proc/PID/cgroup
 * @ret:	"user.slice/user-1000.slice/session-3.scope"; at least 256 bytes
 *
 * What stands below is the unit's own choice, a user's for example, and is
 * left out: nobody takes another's name.
 *
 * Return: 0, or -ENOENT where there is none.
 */
int process_unit_of(const char *text, size_t n_text, char *ret, size_t n_ret);

/* The rest is for feed.c. */
void process_policy_note(struct process_policy *policy, const struct process_change *change,
			 uint64_t monotonic_us);
