/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Alarms of health
 *
 * Makes an event of what fusion found. Where a file is damaged, and the kernel
 * gave a handle of it, its path is looked up by a worker, once for each inode and
 * one at a time for each filesystem, and added to the event afterwards.
 */

#include "daemon/core/fusion.h"
#include "daemon/core/wire-fanotify.h"
#include "daemon/monitor.h"

/**
 * alarm_health() - tell a fact
 * @handle:	of the error that led to it, NULL: none; borrowed for the call
 */
void alarm_health(struct monitor *monitor, const struct fusion_fact *fact,
		  const struct fanotify_error *handle);

/** alarm_health_forget() - what is being looked up for it is given up */
void alarm_health_forget(struct monitor *monitor);
