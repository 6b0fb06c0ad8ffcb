/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "daemon/core/escape.h"
#include "daemon/output/journal.h"
#include "daemon/processes-internal.h"

bool processes_identify(uint32_t pid, struct process_identity *ret, void *userdata)
{
	struct processes *processes = userdata;

	return process_read_identity(pid, &processes->identity, ret) == 0;
}

bool processes_read_uids(uint32_t pid, uint32_t ret[static 4], void *userdata)
{
	return process_read_uids(pid, ret) == 0;
}

/* One that has ended is nobody any more, or another by now. */
static bool identify_culprit(struct processes *processes, const struct process_warning *warning,
			     struct process_identity *ret)
{
	struct procfile_stat stat;

	return processes_identify(warning->pid, ret, processes) &&
	       process_read_stat(warning->pid, &stat) == 0 &&
	       process_warning_is_of(warning, stat.start_ticks, ret);
}

static void on_warn(const struct process_warning *warning, void *userdata)
{
	struct processes *processes = userdata;
	struct process_identity identity = {};
	struct bus_process_warning told = {
		.id = ++processes->last_warning,
		.realtime_usec = warning->monotonic_us + processes->realtime_minus_monotonic_us,
		.code = process_warning_name(warning->code),
		.severity = event_severity_name(warning->severity),
		.pid = warning->pid,
		.uid = warning->uid_known ? warning->uid : UINT32_MAX,
		.rule = warning->rule,
		.rate = warning->rate,
		.limit = warning->limit,
		.culprit_forks = warning->culprit_forks,
		.status = (int32_t)warning->status,
		.suppressed = warning->suppressed,
	};
	char comm[4 * sizeof(processes->identity.comm) + 1];
	char unit[4 * sizeof(processes->identity.unit) + 1];

	if (warning->code == PROCESS_WARNING_FORK_RATE &&
	    identify_culprit(processes, warning, &identity)) {
		if (identity.comm) {
			(void)escape(comm, sizeof(comm), identity.comm, strlen(identity.comm), 0);
			told.comm = comm;
		}
		if (identity.unit) {
			(void)escape(unit, sizeof(unit), identity.unit, strlen(identity.unit), 0);
			told.unit = unit;
		}
	}

	processes->ops->warn(&told, processes->userdata);
}

const struct process_policy_ops processes_policy_ops = {
	.warn = on_warn,
};

static void set_limits(struct processes *processes, const struct config_limits *limits)
{
	quota_set_limit(processes->quota, QUOTA_GROUPS,
			(struct quota_limit){ .per_uid = limits->groups,
					      .total = GROUPS_MAX,
					      .reserved = GROUPS_MAX / 4 });
	quota_set_limit(processes->quota, QUOTA_RELAYS,
			(struct quota_limit){ .per_uid = limits->relays,
					      .total = RELAYS_MAX,
					      .reserved = RELAYS_MAX / 4 });
	quota_set_limit(processes->quota, QUOTA_QUEUE_BYTES,
			(struct quota_limit){ .per_uid = limits->queue_bytes,
					      .total = PROCESSES_QUEUE_BYTES_MAX,
					      .reserved = PROCESSES_QUEUE_BYTES_MAX / 4 });
}

int processes_configure(struct processes *processes, const struct config *config)
{
	struct process_rule rules[PROCESS_RULES_MAX];
	size_t index = 0, n = 0;
	int r;

	assert(processes);
	assert(config);

	/* More than these are a fault of the configuration, and told as such. */
	while (n < PROCESS_RULES_MAX && config_process_next(config, &index, &rules[n]))
		n++;
	if (n > 0 && processes->off) {
		journal_log(LOG_WARNING, NULL,
			    "Processes are not followed, nor judged by rules: %s", processes->off);
		n = 0;
	}

	r = feed_set_rules(processes->feed, rules, n);
	if (r < 0)
		return r;

	set_limits(processes, config_limits(config));
	processes_review_later(processes);
	return 0;
}

void processes_set_user(struct processes *processes, const char *name, uid_t uid)
{
	assert(processes);
	assert(name);

	feed_set_user(processes->feed, name, uid);
	processes_review_later(processes);
}
