/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include "daemon/alarm.h"
#include "daemon/bus/bus.h"
#include "daemon/identify.h"
#include "daemon/manager.h"
#include "daemon/monitor-internal.h"
#include "daemon/output/journal.h"
#include "daemon/settings.h"

void monitor_announce(struct monitor *monitor, enum fs_state state, unsigned int properties)
{
	if (filesystem_state(&monitor->fs) != state)
		properties |= BUS_PROPERTY_STATE;
	if (properties && monitor->live)
		bus_filesystem_changed(monitor->manager->bus, &monitor->fs, properties);
}

/* What nobody can write to cannot run out of space: an image is always full. */
void monitor_evaluate(struct monitor *monitor)
{
	struct crossing crossings[THRESHOLDS_MAX];
	enum fs_state state = filesystem_state(&monitor->fs);
	size_t n;

	if (monitor->fs.usage.read_only)
		return;

	n = threshold_set_update(&monitor->fs.thresholds, &monitor->fs.usage, crossings);
	alarm_crossings(monitor, crossings, n);
	monitor_announce(monitor, state, n > 0 ? BUS_PROPERTY_CROSSED : 0);
}

/* The service is ready once all that was mounted at its start can be seen. */
static void monitor_end_start(struct monitor *monitor)
{
	if (!monitor->awaited)
		return;
	monitor->awaited = false;
	monitor->manager->n_starting--;
	manager_check_ready(monitor->manager);
}

void monitor_reveal(struct monitor *monitor)
{
	if (monitor->live)
		return;

	monitor->live = true;
	bus_filesystem_added(monitor->manager->bus, &monitor->fs);
	if (monitor->origin == MONITOR_NEWBORN)
		alarm_simple(monitor, EVENT_MOUNTED, "mountinfo");
	if (manager_is_state_stalled(monitor->manager, monitor->fs.sb))
		monitor_stall(monitor, MONITOR_STALL_WRITE, "write");
	monitor_look_soon(monitor, false);
	monitor_end_start(monitor);
}

static void monitor_configure(struct monitor *monitor)
{
	struct config_settings settings;

	monitor_gate_configure(monitor);
	if (settings_resolve(monitor->manager->settings, monitor, &settings) < 0 ||
	    monitor_set(monitor, settings.thresholds, settings.n_thresholds, &settings.events) < 0)
		journal_log(LOG_ERR, NULL,
			    "Out of memory: a filesystem keeps its former thresholds");
}

static void on_identified(struct monitor *monitor)
{
	monitor->settled = true;

	/* Now that its names are known, no section may want it after all: this frees it. */
	if (!settings_wants(monitor->manager->settings, monitor->fs.sb)) {
		manager_judge(monitor->manager, monitor->fs.sb, monitor->origin);
		return;
	}

	monitor_configure(monitor);
	if (monitor->live)
		return;
	monitor_check(monitor);
	monitor_health_begin(monitor);
}

void monitor_begin(struct monitor *monitor)
{
	identify_start(monitor, on_identified);
}

static void on_identified_again(struct monitor *monitor)
{
	if (identify_is_lacking(monitor))
		return;
	monitor_look_soon(monitor, false);
	/* A section may name its devices. */
	if (settings_needs_identity(monitor->manager->settings))
		on_identified(monitor);
}

void monitor_identify_again(struct monitor *monitor)
{
	if (monitor->settled && identify_is_lacking(monitor))
		identify_start(monitor, on_identified_again);
}

void monitor_reload(struct monitor *monitor)
{
	/* Being identified for the first time: the settings are asked for after that. */
	if (!monitor->settled)
		return;

	if (settings_needs_identity(monitor->manager->settings))
		identify_start(monitor, on_identified);
	else
		monitor_configure(monitor);
}

int monitor_new(struct monitor **ret, struct manager *manager, struct superblock *sb,
		enum monitor_origin origin)
{
	_cleanup_(monitor_freep) struct monitor *monitor = NULL;
	const struct mount *mount = superblock_display_mount(sb);
	int r;

	assert(ret);
	assert(manager);
	assert(sb);

	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return -ENOMEM;

	monitor->manager = manager;
	monitor->origin = origin;
	monitor->fs.sb = sb;
	monitor->fs.read_only = sb->read_only ? READ_ONLY_ADMIN : READ_ONLY_NO;
	r = monitor_health_init(monitor);
	if (r < 0)
		return r;

	r = monitor_check_init(monitor);
	if (r < 0)
		return r;
	/* Most mounts that live for moments only never get any further. */
	if (origin != MONITOR_INITIAL && mount)
		(void)sd_event_source_set_time(monitor->timer, mount->seen_us + MONITOR_BIRTH_US);

	manager->n_monitors++;
	monitor->counted = true;
	if (origin == MONITOR_INITIAL) {
		monitor->awaited = true;
		manager->n_starting++;
	}
	*ret = TAKE_PTR(monitor);
	return 0;
}

struct monitor *monitor_free(struct monitor *monitor)
{
	if (!monitor)
		return NULL;

	monitor_refuse(monitor, SD_BUS_ERROR_UNKNOWN_OBJECT, "The filesystem is gone");
	monitor_health_deinit(monitor);
	monitor_check_deinit(monitor);
	identify_stop(monitor);
	if (monitor->counted)
		monitor->manager->n_monitors--;
	monitor_end_start(monitor);
	filesystem_deinit(&monitor->fs);
	free(monitor->uuid);
	free(monitor->label);
	free(monitor);
	return NULL;
}

static size_t monitor_crossed(const struct monitor *monitor)
{
	size_t n = 0;

	for (size_t i = 0; i < monitor->fs.thresholds.n_items; i++)
		n += monitor->fs.thresholds.items[i].crossed;
	return n;
}

int monitor_set(struct monitor *monitor, const struct threshold_spec *specs, size_t n_specs,
		const uint32_t *events)
{
	struct filesystem *fs = &monitor->fs;
	enum fs_state state = filesystem_state(fs);
	size_t crossed = monitor_crossed(monitor);
	unsigned int properties = 0;
	int r;

	if (specs) {
		r = threshold_set_replace(&fs->thresholds, specs, n_specs);
		if (r < 0)
			return r;
		(void)threshold_set_resolve(&fs->thresholds, &fs->usage);
		properties |= BUS_PROPERTY_THRESHOLDS;
	}

	if (events && *events != fs->events) {
		fs->events = *events;
		properties |= BUS_PROPERTY_EVENTS;
	}

	/* A check that is under way has newer figures than these. */
	if (specs && fs->usage_known && !monitor->ticket)
		monitor_evaluate(monitor);
	if (monitor_crossed(monitor) != crossed)
		properties |= BUS_PROPERTY_CROSSED;
	monitor_announce(monitor, state, properties);

	/* The distance to the nearest level is another one now. */
	if (specs && monitor->live)
		monitor_check(monitor);
	return 0;
}

void monitor_mounts_changed(struct monitor *monitor)
{
	struct filesystem *fs = &monitor->fs;
	enum fs_state state = filesystem_state(fs);
	unsigned int properties =
		BUS_PROPERTY_WHERE | BUS_PROPERTY_SOURCE | BUS_PROPERTY_MOUNT_POINTS;
	bool remounted = fs->sb->read_only != monitor->mountinfo_read_only;

	monitor_announce(monitor, state, properties);

	monitor->mountinfo_read_only = fs->sb->read_only;
	if (remounted)
		monitor_health_flag(monitor, fs->sb->read_only, FUSION_SOURCE_MOUNTINFO);
	monitor_look_soon(monitor, false);

	/* It may be reached again, or be written to again, which no gate tells. */
	if (monitor->live && (!fs->usage_known || remounted))
		monitor_check_soon(monitor, manager_now(monitor->manager) + MONITOR_BIRTH_US);
}
