/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include "daemon/alarm.h"
#include "daemon/core/escape.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/runtime.h"
#include "daemon/settings.h"

/* What the bus may ask of the manager: see struct bus_ops. */

static int refuse(struct bus_refusal *refusal, const char *name, const char *text)
{
	refusal->name = name;
	strncpy(refusal->text, text, sizeof(refusal->text) - 1);
	refusal->text[sizeof(refusal->text) - 1] = '\0';
	return -1;
}

/* Only what was announced can be seen. */
static struct filesystem *visible(struct superblock *sb)
{
	struct monitor *monitor = monitor_of(sb);

	return monitor && monitor->live ? &monitor->fs : NULL;
}

static struct filesystem *find(const struct fs_key *key, void *userdata)
{
	struct manager *manager = userdata;

	return visible(superblock_table_find(manager->superblocks, key));
}

static struct filesystem *next(const struct filesystem *fs, void *userdata)
{
	struct manager *manager = userdata;
	struct superblock *sb = fs ? fs->sb : NULL;

	while ((sb = superblock_table_next(manager->superblocks, sb)))
		if (visible(sb))
			return visible(sb);
	return NULL;
}

static struct filesystem *resolve(const char *path, void *userdata)
{
	struct manager *manager = userdata;

	return visible(superblock_table_resolve(manager->superblocks, path));
}

static struct filesystem *find_device(uint32_t major, uint32_t minor, void *userdata)
{
	struct manager *manager = userdata;
	struct filesystem *fs;

	fs = visible(superblock_table_find_device(manager->superblocks, major, minor));
	if (fs)
		return fs;

	/* A member of a filesystem of several devices, or with an anonymous number. */
	while ((fs = next(fs, manager))) {
		const struct monitor *monitor = monitor_of_filesystem(fs);

		for (size_t i = 0; i < monitor->n_devices; i++)
			if (monitor->devices[i].major == major &&
			    monitor->devices[i].minor == minor)
				return fs;
	}
	return NULL;
}

static struct filesystem *find_mount(uint32_t mnt_id, void *userdata)
{
	struct manager *manager = userdata;
	struct superblock *sb = NULL;

	if (!superblock_table_find_mount(manager->superblocks, mnt_id, &sb))
		return NULL;
	return visible(sb);
}

static void get_usage(struct filesystem *fs, struct bus_reply *reply, void *userdata)
{
	monitor_ask(monitor_of_filesystem(fs), reply);
}

/* One line each, however long what was set is. */
static void log_configured(const char *what, const char *text)
{
	char shown[400];

	escape(shown, sizeof(shown), text, strlen(text), 0);
	journal_log(LOG_NOTICE, CATALOG_CONFIGURED, "%s: %s", what, shown);
}

static void log_set(const struct filesystem *fs, const char *what)
{
	const struct mount *mount = superblock_display_mount(fs->sb);

	log_configured(what, mount ? mount->where : fs->sb->source);
}

static int set_thresholds(struct filesystem *fs, const struct bus_threshold *items, size_t n,
			  struct bus_refusal *refusal, void *userdata)
{
	struct threshold_spec specs[THRESHOLDS_MAX];
	struct monitor *monitor = monitor_of_filesystem(fs);

	if (n > THRESHOLDS_MAX)
		return refuse(refusal, SD_BUS_ERROR_INVALID_ARGS,
			      "At most 64 thresholds are allowed");

	for (size_t i = 0; i < n; i++) {
		struct threshold_spec *spec = &specs[i];
		enum level_kind kind = items[i].inodes ? LEVEL_INODES : LEVEL_BYTES;

		*spec = (struct threshold_spec){
			.resource = items[i].inodes ? RESOURCE_INODES : RESOURCE_SPACE,
			.level = { .kind = kind, .value = items[i].level },
		};
		snprintf(spec->name, sizeof(spec->name), "%s", items[i].name);
		/* 0 asks for the default, as a line without hysteresis does. */
		if (items[i].hysteresis)
			spec->hysteresis = (struct level){
				.kind = kind,
				.value = items[i].hysteresis,
			};
		if (event_severity_from_name(items[i].severity, &spec->severity) < 0)
			return refuse(
				refusal, SD_BUS_ERROR_INVALID_ARGS,
				"The severity must be one of info, notice, warning, critical");
	}

	if (monitor_set(monitor, specs, n, NULL) < 0)
		return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	log_set(fs, "Thresholds were set at run time");
	return 0;
}

static int set_events(struct filesystem *fs, uint32_t events, struct bus_refusal *refusal,
		      void *userdata)
{
	struct monitor *monitor = monitor_of_filesystem(fs);

	if (monitor_set(monitor, NULL, 0, &events) < 0)
		return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	log_set(fs, "Events were selected at run time");
	return 0;
}

static int configure(const char *line, struct bus_refusal *refusal, void *userdata)
{
	struct manager *manager = userdata;
	int r = runtime_configure(manager, line, refusal);

	if (r == 0)
		log_configured("Configured at run time", line[0] ? line : "all removed");
	return r;
}

static char *get_configuration(void *userdata)
{
	struct manager *manager = userdata;

	return runtime_format(manager);
}

static void on_reloaded(const struct bus_refusal *refusal, void *userdata)
{
	struct bus_reply *reply = userdata;

	if (refusal)
		bus_reply_refuse(reply, refusal);
	else
		bus_reply_done(reply);
}

static void reload(struct bus_reply *reply, void *userdata)
{
	struct manager *manager = userdata;
	struct bus_refusal refusal = {};
	int r;

	r = settings_load(manager->settings, false, on_reloaded, reply);
	if (r == 0)
		return;

	refuse(&refusal, r == -EBUSY ? SD_BUS_ERROR_LIMITS_EXCEEDED : SD_BUS_ERROR_NO_MEMORY,
	       r == -EBUSY ? "The configuration is just being read" : "Out of memory");
	bus_reply_refuse(reply, &refusal);
}

static int test(struct filesystem *fs, enum event_code code, struct bus_refusal *refusal,
		void *userdata)
{
	alarm_test(monitor_of_filesystem(fs), code);
	return 0;
}

static const struct history *history(void *userdata)
{
	struct manager *manager = userdata;

	return publisher_history(manager->publisher);
}

static const char *epoch(void *userdata)
{
	struct manager *manager = userdata;

	return publisher_epoch(manager->publisher);
}

static uint64_t epoch_first_id(void *userdata)
{
	struct manager *manager = userdata;

	return publisher_epoch_first_id(manager->publisher);
}

static int open_events(uint64_t since_id, const struct bus_sender *sender, int *ret_fd,
		       struct bus_refusal *refusal, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	r = publisher_open_stream(manager->publisher, since_id, sender->read_details, sender->uid,
				  sender->name, ret_fd);
	if (r == PUBLISHER_E_LIMIT)
		return refuse(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED, "Too many streams are open");
	if (r < 0)
		return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "The stream cannot be made");
	return 0;
}

static void owner_gone(const char *name, void *userdata)
{
	struct manager *manager = userdata;

	publisher_owner_gone(manager->publisher, name);
}

static void sources(void (*add)(const char *, const char *, void *), void *ctx, void *userdata)
{
	struct manager *manager = userdata;

	add("mounts", mounts_source(manager->mounts), ctx);
	add("space", "statfs", ctx);
	add("write-gate", settings_use_gate(manager->settings) ? "fanotify" : "none", ctx);
	add("stalls", "deadline", ctx);
	health_sources(manager->health, add, ctx);
	add("processes", processes_source(manager->processes), ctx);
	add("accounting", processes_accounting_source(manager->processes), ctx);
	add("watches", watches_source(manager->watches), ctx);
	if (manager->options.safe_mode)
		add("safe-mode", "after crashes", ctx);
}

static void limits(void (*add)(const char *, uint64_t, void *), void *ctx, void *userdata)
{
	struct manager *manager = userdata;
	const struct config_limits *limit = settings_limits(manager->settings);

	add("thresholds-per-filesystem", THRESHOLDS_MAX, ctx);
	add("events-per-query", 256, ctx);
	add("history-size", settings_daemon(manager->settings)->history_size, ctx);
	add("streams-per-user", limit->streams, ctx);
	add("watches-per-user", limit->watches, ctx);
	add("directories-per-user", WATCHES_DIRECTORIES, ctx);
	add("watched-filesystems-per-user", WATCHES_SHARE, ctx);
	add("groups-per-user", limit->groups, ctx);
	add("relays-per-user", limit->relays, ctx);
	add("queue-bytes-per-user", limit->queue_bytes, ctx);
	add("unread-reply-bytes-per-user", 1 << 20, ctx);
}

static void statistics(bool is_root, void (*add)(const char *, uint64_t, void *), void *ctx,
		       void *userdata)
{
	struct manager *manager = userdata;
	struct publisher_statistics publisher;
	struct mounts_statistics mounts;
	struct pool_statistics pool;
	struct bus_statistics bus;

	publisher_statistics(manager->publisher, &publisher);
	mounts_statistics(manager->mounts, &mounts);
	pool_statistics(manager->pool, &pool);
	bus_statistics(manager->bus, &bus);

	add("filesystems", manager->n_monitors, ctx);
	add("events", publisher.events, ctx);
	add("signals", publisher.signals, ctx);
	add("signals-coalesced", publisher.coalesced, ctx);
	add("signals-skipped", publisher.signals_skipped + bus.signals_skipped, ctx);
	if (!is_root)
		return;

	add("checks", manager->checks, ctx);
	add("mount-readings", mounts.readings, ctx);
	add("mount-lines-skipped", mounts.skipped_lines, ctx);
	add("workers", pool.workers, ctx);
	add("workers-blocked", pool.blocked, ctx);
	add("workers-started", pool.spawned, ctx);
	add("workers-killed", pool.killed, ctx);
	add("checks-stalled", pool.stalled, ctx);
	add("alarms-lost", manager->alarms_lost, ctx);
	add("journal-dropped", journal_dropped(), ctx);
	add("state-dropped", publisher.state_dropped, ctx);
	add("streams", publisher.streams, ctx);
	add("stream-events-lost", publisher.stream_lost, ctx);
	add("replies-refused", bus.replies_refused, ctx);
	add("calls-denied", bus.denied, ctx);
	add("authorizations-asked", bus.asked, ctx);
	add("bus-reconnects", bus.reconnects, ctx);
	add("descriptors-refused", bus.descriptors_refused, ctx);
	health_statistics(manager->health, add, ctx);
	processes_statistics(manager->processes, true, add, ctx);
	watches_statistics(manager->watches, true, add, ctx);
}

static void *process_userdata(void *userdata)
{
	struct manager *manager = userdata;

	return manager->processes;
}

static void *watch_userdata(void *userdata)
{
	struct manager *manager = userdata;

	return manager->watches;
}

static void connected(bool is_connected, void *userdata)
{
	manager_set_connected(userdata, is_connected);
}

const struct bus_ops manager_bus_ops = {
	.find = find,
	.next = next,
	.resolve = resolve,
	.find_device = find_device,
	.find_mount = find_mount,
	.get_usage = get_usage,
	.set_thresholds = set_thresholds,
	.set_events = set_events,
	.configure = configure,
	.get_configuration = get_configuration,
	.reload = reload,
	.test = test,
	.history = history,
	.epoch = epoch,
	.epoch_first_id = epoch_first_id,
	.open_events = open_events,
	.owner_gone = owner_gone,
	.sources = sources,
	.limits = limits,
	.statistics = statistics,
	.process = &processes_bus_ops,
	.process_userdata = process_userdata,
	.watch = &watches_bus_ops,
	.watch_userdata = watch_userdata,
	.connected = connected,
};
