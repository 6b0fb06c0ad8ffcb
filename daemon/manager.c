/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <systemd/sd-daemon.h>

#include "daemon/alarm.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/settings.h"
#include "daemon/starts.h"

uint64_t manager_now(struct manager *manager)
{
	uint64_t now = 0;

	(void)sd_event_now(manager->loop, CLOCK_MONOTONIC, &now);
	return now;
}

/* The moment itself, and not that of the wake-up. */
static uint64_t manager_clock(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void manager_add_monitor(struct manager *manager, struct superblock *sb,
				enum monitor_origin origin)
{
	_cleanup_(monitor_freep) struct monitor *monitor = NULL;
	int r;

	r = monitor_new(&monitor, manager, sb, origin);
	if (r < 0) {
		journal_log(LOG_ERR, NULL, "A filesystem cannot be monitored: %s", strerror(-r));
		return;
	}
	sb->userdata = TAKE_PTR(monitor);
}

static void manager_drop_monitor(struct manager *manager, struct superblock *sb, bool unmounted)
{
	struct monitor *monitor = monitor_of(sb);

	if (!monitor)
		return;

	if (monitor->live) {
		if (unmounted)
			alarm_simple(monitor, EVENT_UNMOUNTED, "mountinfo");
		bus_filesystem_removed(manager->bus, &monitor->fs);
	}
	sb->userdata = monitor_free(monitor);
}

/* What no section brings in and the defaults leave out has no monitor. */
void manager_judge(struct manager *manager, struct superblock *sb, enum monitor_origin origin)
{
	bool wanted = settings_wants(manager->settings, sb);

	if (wanted && !sb->userdata)
		manager_add_monitor(manager, sb, origin);
	else if (!wanted && sb->userdata)
		manager_drop_monitor(manager, sb, false);
}

static void on_superblock_added(struct superblock *sb, void *userdata)
{
	struct manager *manager = userdata;

	watches_superblock_added(manager->watches, sb);
	/* Those of the first reading are judged once the settings are in force. */
	if (manager->configured)
		manager_judge(manager, sb, MONITOR_NEWBORN);
}

static void on_superblock_changed(struct superblock *sb, void *userdata)
{
	struct manager *manager = userdata;

	watches_superblock_changed(manager->watches, sb);
	if (!manager->configured)
		return;
	manager_judge(manager, sb, MONITOR_NEWBORN);
	if (sb->userdata)
		monitor_mounts_changed(sb->userdata);
}

static void on_superblock_removed(struct superblock *sb, void *userdata)
{
	struct manager *manager = userdata;

	watches_superblock_removed(manager->watches, sb);
	manager_drop_monitor(manager, sb, true);
}

static const struct superblock_ops manager_superblock_ops = {
	.added = on_superblock_added,
	.changed = on_superblock_changed,
	.removed = on_superblock_removed,
};

static const struct mounts_ops manager_mounts_ops = {};

static void manager_judge_all(struct manager *manager, enum monitor_origin origin)
{
	struct superblock *sb = NULL;

	while ((sb = superblock_table_next(manager->superblocks, sb))) {
		struct monitor *had = sb->userdata;

		manager_judge(manager, sb, origin);
		if (had && sb->userdata)
			monitor_reload(had);
	}
}

static void manager_take_settings(struct manager *manager)
{
	bool gate_used = settings_use_gate(manager->settings);
	int r;

	journal_set_level(manager->options.log_level >= 0
				  ? (enum config_log_level)manager->options.log_level
				  : settings_daemon(manager->settings)->log_level);

	quota_set_limit(manager->quota, QUOTA_STREAMS,
			(struct quota_limit){
				.per_uid = settings_limits(manager->settings)->streams,
				.total = CONFIG_STREAMS_MAX,
				.reserved = CONFIG_STREAMS_MAX / 4,
			});
	r = processes_configure(manager->processes, settings_config(manager->settings));
	if (r < 0)
		journal_log(LOG_ERR, NULL, "Rules of processes stay as they were: %s",
			    strerror(-r));
	r = watches_configure(manager->watches, settings_config(manager->settings));
	if (r < 0)
		journal_log(LOG_ERR, NULL, "Watches stay as they were: %s", strerror(-r));
	manager_ask_users(manager);
	manager_retime_tick(manager);

	if (manager->configured && gate_used != manager->gate_used)
		journal_log(LOG_NOTICE, CATALOG_SOURCE_CHANGED,
			    gate_used ? "Write gates are used from now on"
				      : "Write gates are not used any more: filesystems are asked "
					"on a schedule");
	manager->gate_used = gate_used;
}

void manager_apply_settings(struct manager *manager)
{
	manager_take_settings(manager);
	manager_judge_all(manager, MONITOR_ADOPTED);
}

void manager_check_ready(struct manager *manager)
{
	if (manager->serving || !manager->configured || !manager->publishing ||
	    manager->n_starting > 0 || !manager->connected)
		return;

	manager->serving = true;
	(void)sd_notifyf(false, "READY=1\nSTATUS=Monitoring %zu filesystem%s", manager->n_monitors,
			 manager->n_monitors == 1 ? "" : "s");
	journal_log(LOG_INFO, CATALOG_STARTED, "Monitoring %zu filesystem%s", manager->n_monitors,
		    manager->n_monitors == 1 ? "" : "s");
}

static void on_publisher_signal(const struct event *event, uint64_t count, void *userdata)
{
	struct manager *manager = userdata;

	if (!manager->was_connected && held_push(&manager->held, event, count) == 0)
		return;
	bus_signal(manager->bus, event, count);
}

static void manager_signal_held(const struct event *event, uint64_t count, void *userdata)
{
	struct manager *manager = userdata;

	bus_signal(manager->bus, event, count);
}

void manager_set_connected(struct manager *manager, bool connected)
{
	manager->connected = connected;
	if (connected && !manager->was_connected) {
		manager->was_connected = true;
		held_release(&manager->held, manager_signal_held, manager);
	}
	manager_check_ready(manager);
}

static void on_publisher_ready(void *userdata)
{
	struct manager *manager = userdata;
	int r;

	manager->publishing = true;
	/*
	 * Whoever is answered before the history is there would take it for lost, and
	 * read all of it again.
	 */
	r = bus_start(manager->bus);
	if (r < 0)
		(void)sd_event_exit(manager->loop, r);
	else
		manager_check_ready(manager);
}

static void on_publisher_numbered(const struct event *event, void *userdata)
{
	alarm_numbered(userdata, event);
}

bool manager_is_state_stalled(struct manager *manager, const struct superblock *sb)
{
	return manager->state_stalled &&
	       superblock_table_resolve(manager->superblocks, manager->state_directory) == sb;
}

/* The daemon's own writes are a probe of the filesystem that holds its state. */
static void on_state_stalled(bool stalled, void *userdata)
{
	struct manager *manager = userdata;
	struct superblock *sb = NULL;

	manager->state_stalled = stalled;

	/* All, since by the end of it another one may be mounted there. */
	while ((sb = superblock_table_next(manager->superblocks, sb))) {
		struct monitor *monitor = sb->userdata;

		if (!monitor || !monitor->live)
			continue;
		if (manager_is_state_stalled(manager, sb))
			monitor_stall(monitor, MONITOR_STALL_WRITE, "write");
		else if (monitor->stalls & MONITOR_STALL_WRITE)
			monitor_unstall(monitor, MONITOR_STALL_WRITE, "write");
	}
}

static void on_publisher_stopped(void *userdata)
{
	struct manager *manager = userdata;

	(void)sd_event_exit(manager->loop, 0);
}

static const struct publisher_ops manager_publisher_ops = {
	.numbered = on_publisher_numbered,
	.signal = on_publisher_signal,
	.ready = on_publisher_ready,
	.state_stalled = on_state_stalled,
	.stopped = on_publisher_stopped,
};

static int manager_begin(struct manager *manager)
{
	const struct config_daemon *config = settings_daemon(manager->settings);
	struct publisher_options publisher = {
		.state_directory = manager->state_directory,
		.skip_past = manager->options.safe_mode,
		.ended_abruptly = manager->options.ended_abruptly,
		.history_size = config->history_size,
		.quota = manager->quota,
	};
	struct mounts_options mounts = {
		.use_fanotify = config->source_mount_events && !manager->options.safe_mode,
	};
	int r;

	r = publisher_new(&manager->publisher, manager->loop, manager->pool, &publisher,
			  &manager_publisher_ops, manager);
	if (r < 0)
		return r;

	r = publisher_start(manager->publisher);
	if (r < 0)
		return r;

	r = mounts_new(&manager->mounts, manager->loop, manager->superblocks, &mounts,
		       &manager_mounts_ops, manager);
	if (r < 0)
		return r;

	if (manager->options.safe_mode)
		processes_set_off(manager->processes, "safe mode after crashes");
	else if (!config->source_processes)
		processes_set_off(manager->processes, "switched off by the configuration");
	if (manager->options.safe_mode)
		watches_set_off(manager->watches, "safe mode after crashes");
	else if (!config->source_watches)
		watches_set_off(manager->watches, "switched off by the configuration");

	r = mounts_start(manager->mounts);
	if (r < 0)
		return r;
	manager->began_us = manager_clock();

	return health_start(manager->health);
}

/* Everything else begins once it is known what is wanted. */
static void on_first_settings(const struct bus_refusal *refusal, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	r = manager_begin(manager);
	if (r < 0) {
		journal_log(LOG_ERR, NULL, "Cannot start: %s", strerror(-r));
		(void)sd_event_exit(manager->loop, r);
		return;
	}

	manager_take_settings(manager);
	manager->configured = true;
	/* Held back while the monitors are made. */
	manager->n_starting++;
	manager_judge_all(manager, MONITOR_INITIAL);
	manager->n_starting--;
	manager_check_ready(manager);
}

static int manager_copy_options(struct manager *manager, const struct manager_options *options)
{
	manager->options = *options;
	manager->bus_address = strdup(options->bus_address);
	manager->state_directory = strdup(options->state_directory);
	if (!manager->bus_address || !manager->state_directory)
		return -ENOMEM;

	if (options->config_file) {
		manager->config_file = strdup(options->config_file);
		if (!manager->config_file)
			return -ENOMEM;
	}
	return 0;
}

static int manager_build(struct manager *manager)
{
	static const struct quota_limit limits[_QUOTA_KIND_N] = {
		[QUOTA_STREAMS] = { .per_uid = 8, .total = CONFIG_STREAMS_MAX },
		[QUOTA_REPLY_BYTES] = { .per_uid = 1 << 20, .total = 64 << 20 },
	};
	int r;

	r = pool_new(&manager->pool, manager->loop, manager->options.zygote_fd);
	if (r < 0)
		return r;

	r = gate_new(&manager->gate, manager->loop, manager->pool);
	if (r < 0)
		return r;

	r = health_new(&manager->health, manager);
	if (r < 0)
		return r;

	r = superblock_table_new(&manager->superblocks, &manager_superblock_ops, manager);
	if (r < 0)
		return r;

	r = settings_new(&manager->settings, manager);
	if (r < 0)
		return r;

	r = quota_new(&manager->quota, limits);
	if (r < 0)
		return r;

	r = processes_new(&manager->processes, manager->loop,
			  &(struct processes_options){ .quota = manager->quota,
						       .pool = manager->pool },
			  &manager_processes_ops, manager);
	if (r < 0)
		return r;

	r = watches_new(&manager->watches, manager->loop,
			&(struct watches_options){ .quota = manager->quota,
						   .pool = manager->pool,
						   .superblocks = manager->superblocks,
						   .state_directory = manager->state_directory });
	if (r < 0)
		return r;

	r = bus_new(&manager->bus, manager->loop, manager->bus_address, manager->quota,
		    &manager_bus_ops, manager);
	if (r < 0)
		return r;
	processes_set_bus(manager->processes, manager->bus);
	watches_set_bus(manager->watches, manager->bus);
	return 0;
}

int manager_new(struct manager **ret, sd_event *loop, const struct manager_options *options)
{
	_cleanup_(manager_freep) struct manager *manager = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(options && options->bus_address && options->state_directory);

	manager = calloc(1, sizeof(*manager));
	if (!manager)
		return -ENOMEM;

	manager->loop = sd_event_ref(loop);

	r = manager_copy_options(manager, options);
	if (r < 0)
		return r;

	r = manager_build(manager);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(manager);
	return 0;
}

int manager_start(struct manager *manager)
{
	int r;

	assert(manager);

	r = sd_event_set_watchdog(manager->loop, true);
	if (r < 0)
		return r;

	r = manager_add_events(manager);
	if (r < 0)
		return r;

	if (manager->options.safe_mode)
		journal_log(
			LOG_WARNING, CATALOG_SAFE_MODE,
			"Crashed %d times within a minute: in safe mode, mountinfo and statfs only",
			STARTS_MAX);

	return settings_load(manager->settings, true, on_first_settings, manager);
}

struct manager *manager_free(struct manager *manager)
{
	struct superblock *sb = NULL;

	if (!manager)
		return NULL;

	/* From here on it gets neither ready nor new monitors. */
	manager->configured = manager->serving = false;
	if (manager->superblocks)
		while ((sb = superblock_table_next(manager->superblocks, sb)))
			sb->userdata = monitor_free(sb->userdata);

	/* While it flushes, calls may still come in that look at the others. */
	bus_free(manager->bus);
	processes_free(manager->processes);
	watches_free(manager->watches);
	pool_cancel(manager->users);
	settings_free(manager->settings);
	mounts_free(manager->mounts);
	alarm_stop(manager);
	publisher_free(manager->publisher);
	held_release(&manager->held, NULL, NULL);
	health_free(manager->health);
	gate_free(manager->gate);
	pool_free(manager->pool);
	superblock_table_free(manager->superblocks);
	quota_free(manager->quota);

	sd_event_source_disable_unref(manager->tick);
	sd_event_source_disable_unref(manager->hangup);
	for (size_t i = 0; i < 2; i++)
		sd_event_source_disable_unref(manager->signals[i]);
	sd_event_unref(manager->loop);

	free(manager->config_file);
	free(manager->bus_address);
	free(manager->state_directory);
	free(manager);
	return NULL;
}
