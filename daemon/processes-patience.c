/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <time.h>

#include "daemon/processes-internal.h"

static uint64_t now_us(void)
{
	struct timespec now = {};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* That begins next. */
static uint64_t next_scan(const struct processes *processes)
{
	struct feed_statistics statistics;

	feed_statistics(processes->feed, &statistics);
	return statistics.scans + 1;
}

static void charge(struct processes *processes, uid_t uid)
{
	scan_rate_charge(&processes->scan_rate, uid, next_scan(processes), processes->scan_took_us,
			 now_us());
}

static uint64_t wait_of(const struct processes *processes, uid_t uid)
{
	return scan_rate_wait(&processes->scan_rate, uid, next_scan(processes), now_us());
}

static void wait_at_most(struct processes *processes, uint64_t us)
{
	int enabled = SD_EVENT_OFF;
	uint64_t at_us = 0;

	(void)sd_event_source_get_enabled(processes->patience, &enabled);
	(void)sd_event_source_get_time(processes->patience, &at_us);
	if (enabled == SD_EVENT_OFF || at_us > now_us() + us)
		processes_arm(processes->patience, us);
}

bool processes_be_patient(struct processes *processes, uid_t uid)
{
	uint64_t us = wait_of(processes, uid);

	if (us > 0) {
		processes->put_off++;
		wait_at_most(processes, us);
		return true;
	}

	charge(processes, uid);
	return false;
}

/* Return: whether this user may cause one now; else it is waited for. */
static bool may(struct processes *processes, uid_t uid)
{
	uint64_t us = wait_of(processes, uid);

	if (us > 0)
		wait_at_most(processes, us);
	return us == 0;
}

/* All of a user's that wait are served by one: it is charged once. */
void processes_end_patience(struct processes *processes)
{
	struct tracked *tracked;
	struct relayed *relayed;

	LIST_FOREACH(tracked, &processes->tracked, all)
		if (!tracked->ready && group_options(tracked->group)->patient &&
		    may(processes, tracked->uid) && group_hurry(tracked->group))
			charge(processes, tracked->uid);
	LIST_FOREACH(relayed, &processes->relayed, all) {
		const struct relay_options *options = relay_options(relayed->relay);

		if (relayed->reply && options->patient && may(processes, options->owner) &&
		    relay_hurry(relayed->relay))
			charge(processes, options->owner);
	}
	processes_review_later(processes);
}
