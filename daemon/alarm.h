/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Alarms
 *
 * Builds events of a monitored filesystem with their details and publishes
 * them; for thresholds that were crossed it has the top writers looked up
 * and adds them to the event afterwards, so that the alarm itself never waits.
 */

#include "daemon/core/threshold.h"
#include "daemon/monitor.h"

/* All give up silently (counted) only without memory. */
void alarm_crossings(struct monitor *monitor, const struct crossing *crossings, size_t n_crossings);
void alarm_simple(struct monitor *monitor, enum event_code code, const char *source);
void alarm_stalled(struct monitor *monitor, const char *operation);
void alarm_test(struct monitor *monitor, enum event_code code);

/** alarm_numbered() - an event got its id: the last one of its filesystem from now on */
void alarm_numbered(struct manager *manager, const struct event *event);

/** alarm_stop() - what is being looked up is given up; before the pool is freed */
void alarm_stop(struct manager *manager);
