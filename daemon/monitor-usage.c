/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdio.h>
#include <systemd/sd-bus.h>

#include "daemon/bus/bus.h"
#include "daemon/manager.h"
#include "daemon/monitor-internal.h"
#include "daemon/names.h"

/* Figures this fresh answer GetUsage without touching the mount again. */
#define MONITOR_FRESH_US 50000ULL

static void refuse(struct bus_reply *reply, const char *name, const char *text)
{
	struct bus_refusal refusal = { .name = name };

	snprintf(refusal.text, sizeof(refusal.text), "%s", text);
	bus_reply_refuse(reply, &refusal);
}

void monitor_refuse(struct monitor *monitor, const char *name, const char *text)
{
	for (size_t i = 0; i < monitor->n_waiters; i++)
		refuse(monitor->waiters[i], name, text);
	monitor->n_waiters = 0;
}

void monitor_answer(struct monitor *monitor)
{
	for (size_t i = 0; i < monitor->n_waiters; i++)
		bus_reply_usage(monitor->waiters[i], &monitor->fs, &monitor->fs.usage);
	monitor->n_waiters = 0;
}

void monitor_ask(struct monitor *monitor, struct bus_reply *reply)
{
	/* One that only does not take what is written still has its figures. */
	bool stalled = monitor->stalls & MONITOR_STALL_STATFS;

	if (monitor->fs.usage_known && !stalled &&
	    manager_now(monitor->manager) < monitor->usage_us + MONITOR_FRESH_US) {
		bus_reply_usage(reply, &monitor->fs, &monitor->fs.usage);
		return;
	}

	if (stalled && !monitor->ticket) {
		refuse(reply, BUS_ERROR_STALLED, "The filesystem does not answer");
		return;
	}

	if (monitor->n_waiters == MONITOR_WAITERS_MAX) {
		refuse(reply, SD_BUS_ERROR_LIMITS_EXCEEDED,
		       "Too many callers wait for this filesystem");
		return;
	}

	monitor->waiters[monitor->n_waiters++] = reply;
	monitor_check(monitor);
}
