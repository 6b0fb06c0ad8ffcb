/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "daemon/manager.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/settings.h"
#include "daemon/worker/users.h"

/* The users whom rules of processes name: their numbers come from a worker. */

/* Where a directory on the network is asked that does not answer. */
#define USERS_DEADLINE_US 5000000ULL

/* As a problem of the configuration that is found at once would be told. */
static void tell_unknown(const struct process_rule *rule)
{
	journal_log(LOG_WARNING, CATALOG_CONFIG_PROBLEM,
		    "%.200s:%u: [process %s] user: there is no user '%s', and so the section "
		    "matches nobody: allowed is the name of a user or a number",
		    rule->user_file, rule->user_line, rule->name, rule->user);
}

static void tell_failed(struct manager *manager, const char *why)
{
	manager->users_due = true;
	journal_log_limited(LOG_WARNING, NULL, "users",
			    "Sections of processes that name a user match nobody for now: users "
			    "cannot be looked up: %s",
			    why);
}

static void on_users(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct manager *manager = userdata;
	struct process_rule rule;
	size_t index = 0;

	manager->users = NULL;
	if (result != POOL_DONE) {
		tell_failed(manager, "no answer");
		return;
	}

	while (config_process_next(settings_config(manager->settings), &index, &rule)) {
		uid_t uid;
		int r;

		if (!process_rule_names_user(&rule))
			continue;
		r = users_reply_find(reply, n_reply, rule.user, &uid);
		if (r == 0)
			processes_set_user(manager->processes, rule.user, uid);
		else if (r == -ENOENT)
			tell_unknown(&rule);
		else
			tell_failed(manager, strerror(-r));
	}
}

void manager_ask_users(struct manager *manager)
{
	struct pool_submission submission = {
		.lane = POOL_LANE_TASKS,
		.job = JOB_USERS,
		.fd = -1,
		.deadline_us = USERS_DEADLINE_US,
		.reply = on_users,
		.userdata = manager,
	};
	const char *names[PROCESS_RULES_MAX];
	_cleanup_free_ void *payload = NULL;
	struct process_rule rule;
	size_t index = 0, n = 0;
	int r;

	/* Of rules that are not in force any more. */
	pool_cancel(manager->users);
	manager->users = NULL;
	manager->users_due = false;

	while (n < PROCESS_RULES_MAX &&
	       config_process_next(settings_config(manager->settings), &index, &rule))
		if (process_rule_names_user(&rule))
			names[n++] = rule.user;
	if (n == 0)
		return;

	r = users_request_encode(names, n, &payload, &submission.n_payload);
	if (r == 0) {
		submission.payload = payload;
		r = pool_submit(manager->pool, &submission, &manager->users);
	}
	if (r < 0)
		tell_failed(manager, strerror(-r));
}
