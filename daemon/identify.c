/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/identify.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/settings.h"
#include "daemon/source/btrfs.h"
#include "daemon/worker/devices.h"

#define IDENTIFY_DEADLINE_US 1000000ULL

static void identify_done(struct monitor *monitor)
{
	monitor->identified(monitor);
}

static int identify_submit(struct monitor *monitor, const char *const *paths, size_t n_paths,
			   bool with_names, pool_reply_fn reply)
{
	struct pool_submission submission = {
		.lane = POOL_LANE_TASKS,
		.job = JOB_DEVICES,
		.fd = -1,
		.deadline_us = IDENTIFY_DEADLINE_US,
		.reply = reply,
		.userdata = monitor,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = device_request_encode(paths, n_paths, monitor->devices,
				  with_names ? monitor->n_devices : 0, &payload,
				  &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	return pool_submit(monitor->manager->pool, &submission, &monitor->identity);
}

/* What was known before holds where nothing could be learnt. */
static void identify_take(struct monitor *monitor, const void *reply, size_t n_reply)
{
	char *uuid = NULL, *label = NULL;
	int r = -ENOENT;

	/* Of a filesystem on several devices any one has the uuid and label of all. */
	for (size_t i = 0; r == -ENOENT && i < monitor->n_devices; i++)
		r = devices_reply_find_identity(reply, n_reply, &monitor->devices[i], &uuid,
						&label);
	if (r < 0 && r != -ENOENT)
		return;

	free(monitor->uuid);
	free(monitor->label);
	monitor->uuid = uuid;
	monitor->label = label;
}

static void on_identity(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct monitor *monitor = userdata;

	monitor->identity = NULL;
	if (result == POOL_DONE) {
		identify_take(monitor, reply, n_reply);
		settings_take_devices(monitor->manager->settings, reply, n_reply);
	}
	identify_done(monitor);
}

/* An anonymous number says nothing of the disks; btrfs names one of them. */
static bool identify_has_source(const struct superblock *sb)
{
	return strcmp(sb->type, "btrfs") == 0 && sb->source[0] == '/';
}

/*
 * uuid and label, only where some section matches by them. And which numbers
 * the devices have that sections name: this one may have been plugged in
 * after they were looked up.
 */
static void identify_names(struct monitor *monitor)
{
	struct settings *settings = monitor->manager->settings;
	_cleanup_free_ const char **paths = NULL;
	size_t n_paths;

	if (monitor->n_devices > 0 && settings_needs_identity(settings) &&
	    settings_device_paths(settings, &paths, &n_paths) == 0 &&
	    identify_submit(monitor, paths, n_paths, true, on_identity) == 0)
		return;
	identify_done(monitor);
}

/* Of more than there is room for the others are unknown. What cannot be read is as before. */
void identify_members(struct monitor *monitor)
{
	int n;

	if (!monitor->btrfs_uuid[0])
		return;
	n = btrfs_members(monitor->btrfs_uuid, monitor->devices, MONITOR_DEVICES_MAX);
	if (n > 0)
		monitor->n_devices = n < MONITOR_DEVICES_MAX ? (size_t)n : MONITOR_DEVICES_MAX;
}

bool identify_is_lacking(const struct monitor *monitor)
{
	return !monitor->identity && !monitor->btrfs_uuid[0] && identify_has_source(monitor->fs.sb);
}

static void on_source(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct monitor *monitor = userdata;
	struct device_number number;

	monitor->identity = NULL;
	if (result == POOL_DONE &&
	    devices_reply_find_path(reply, n_reply, monitor->fs.sb->source, &number) == 0 &&
	    btrfs_uuid_find(number.major, number.minor, monitor->btrfs_uuid) == 0)
		identify_members(monitor);
	identify_names(monitor);
}

void identify_start(struct monitor *monitor, void (*done)(struct monitor *monitor))
{
	const struct superblock *sb = monitor->fs.sb;
	const char *source = sb->source;

	identify_stop(monitor);
	monitor->identified = done;

	if (identify_has_source(sb)) {
		if (identify_submit(monitor, &source, 1, false, on_source) < 0)
			identify_done(monitor);
		return;
	}

	if (sb->key.major != 0) {
		monitor->devices[0] = (struct device_number){ sb->key.major, sb->key.minor };
		monitor->n_devices = 1;
	}
	identify_names(monitor);
}

void identify_stop(struct monitor *monitor)
{
	pool_cancel(monitor->identity);
	monitor->identity = NULL;
}
