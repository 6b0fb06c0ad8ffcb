/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/settings.h"

/* What wakes the manager by itself: signals, with the reloads they ask for, and the tick. */

/* Part of the period that a tick may come late, so that wake-ups can be bundled. */
#define MANAGER_TICK_ACCURACY 12
#define MANAGER_TICK_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

static void on_reloaded(const struct bus_refusal *refusal, void *userdata)
{
	struct manager *manager = userdata;

	if (manager->serving)
		(void)sd_notifyf(false, "READY=1\nSTATUS=Monitoring %zu filesystem%s",
				 manager->n_monitors, manager->n_monitors == 1 ? "" : "s");
}

static void manager_reload(struct manager *manager)
{
	int r;

	if (manager->serving)
		(void)sd_notify(false, "RELOADING=1");

	r = settings_load(manager->settings, false, on_reloaded, manager);
	/* What is being read may be older than what it was sent for. */
	if (r == -EBUSY)
		manager->hung_up = true;
	else if (r < 0)
		on_reloaded(NULL, manager);
}

void manager_settings_loaded(struct manager *manager)
{
	if (!manager->hung_up)
		return;
	manager->hung_up = false;
	manager_reload(manager);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	manager_reload(userdata);
	return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct manager *manager = userdata;

	/* Once more, or before there is anything to store: at once. */
	if (manager->stopping || !manager->publisher)
		return sd_event_exit(manager->loop, 0);

	manager->stopping = true;
	publisher_stop(manager->publisher);
	return 0;
}

static uint64_t tick_period(struct manager *manager)
{
	return settings_daemon(manager->settings)->re_evaluation * 1000000ULL;
}

void manager_retime_tick(struct manager *manager)
{
	uint64_t period = tick_period(manager);

	(void)sd_event_source_set_time_accuracy(manager->tick, period / MANAGER_TICK_ACCURACY);
	(void)sd_event_source_set_time(manager->tick, manager_now(manager) + period);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	struct superblock *sb = NULL;

	while ((sb = superblock_table_next(manager->superblocks, sb)))
		if (sb->userdata)
			monitor_tick(sb->userdata);

	if (settings_is_unread(manager->settings))
		(void)settings_load(manager->settings, true, on_reloaded, manager);

	watches_tick(manager->watches);

	if (manager->users_due)
		manager_ask_users(manager);

	return sd_event_source_set_time(source, usec + tick_period(manager));
}

static int manager_add_signal(struct manager *manager, sd_event_source **ret, int number,
			      sd_event_signal_handler_t handler)
{
	int r;

	r = sd_event_add_signal(manager->loop, ret, number, handler, manager);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(*ret, strsignal(number));
	return sd_event_source_set_exit_on_failure(*ret, true);
}

int manager_add_events(struct manager *manager)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	uint64_t now = manager_now(manager), period = tick_period(manager);
	int r;

	r = manager_add_signal(manager, &manager->hangup, SIGHUP, on_hangup);
	if (r < 0)
		return r;

	for (size_t i = 0; i < 2; i++) {
		r = manager_add_signal(manager, &manager->signals[i], numbers[i], on_terminate);
		if (r < 0)
			return r;
	}

	r = sd_event_add_time(manager->loop, &manager->tick, CLOCK_MONOTONIC, now + period,
			      period / MANAGER_TICK_ACCURACY, on_tick, manager);
	if (r < 0)
		return r;

	(void)sd_event_source_set_description(manager->tick, "backstop");
	r = sd_event_source_set_priority(manager->tick, MANAGER_TICK_PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(manager->tick, SD_EVENT_ON);
	if (r < 0)
		return r;
	return sd_event_source_set_exit_on_failure(manager->tick, true);
}
