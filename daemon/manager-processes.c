/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>

#include "daemon/manager.h"
#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal-entry.h"
#include "daemon/output/journal.h"

/* What a rule of the policy found, for the journal and the bus. */

static void describe(const struct bus_process_warning *warning, char *ret, size_t n_ret)
{
	const char *comm = warning->comm ? warning->comm : "?";

	if (strcmp(warning->code, "fork-rate") == 0)
		(void)snprintf(ret, n_ret,
			       "%" PRIu64 " forks in a second where %" PRIu64
			       " are allowed, most by process %u (%s): %" PRIu64,
			       warning->rate, warning->limit, warning->pid, comm,
			       warning->culprit_forks);
	else if (WIFSIGNALED(warning->status))
		(void)snprintf(ret, n_ret, "Process %u was ended by signal %d", warning->pid,
			       WTERMSIG(warning->status));
	else
		(void)snprintf(ret, n_ret, "Process %u ended with status %d", warning->pid,
			       WEXITSTATUS(warning->status));
}

static const char *message_id(const struct bus_process_warning *warning)
{
	if (strcmp(warning->code, "fork-rate") == 0)
		return CATALOG_PROCESS_FORK_RATE;
	if (strcmp(warning->code, "exit-signal") == 0)
		return CATALOG_PROCESS_EXIT_SIGNAL;
	return CATALOG_PROCESS_EXIT_STATUS;
}

static void on_warn(const struct bus_process_warning *warning, void *userdata)
{
	struct manager *manager = userdata;
	char text[256], more[64] = "", pid[16];
	const struct journal_field fields[] = {
		{ JOURNAL_FIELD_CODE, warning->code },
		{ JOURNAL_FIELD_SEVERITY, warning->severity },
		{ JOURNAL_FIELD_PID, pid },
		{ JOURNAL_FIELD_RULE, warning->rule },
		{},
	};

	(void)snprintf(pid, sizeof(pid), "%" PRIu32, warning->pid);
	describe(warning, text, sizeof(text));
	if (warning->suppressed > 0)
		(void)snprintf(more, sizeof(more), " (%" PRIu64 " more were not told)",
			       warning->suppressed);
	/* Rules are the administrator's, and each is told once a minute at most. */
	journal_log_fields(LOG_WARNING, message_id(warning), fields, "[process %s] %s%s",
			   warning->rule, text, more);
	bus_process_warning(manager->bus, warning);
}

const struct processes_ops manager_processes_ops = { .warn = on_warn };
