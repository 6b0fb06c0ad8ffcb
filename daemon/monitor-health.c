/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/alarm-health.h"
#include "daemon/bus/bus.h"
#include "daemon/core/fusion-hint.h"
#include "daemon/health.h"
#include "daemon/identify.h"
#include "daemon/manager.h"
#include "daemon/monitor-internal.h"
#include "daemon/source/block.h"
#include "daemon/source/btrfs.h"
#include "daemon/source/errors.h"
#include "daemon/source/ext4.h"
#include "daemon/source/statmount.h"

/* Between two looks that hints ask for: a storm of them costs no more than this. */
#define HEALTH_LOOK_PAUSE_US 20000ULL
/* What the kernel says of an error comes before the flags that it raises for it. */
#define HEALTH_AGAIN_US 500000ULL
/* Between two attempts at a mark. */
#define HEALTH_MARK_PAUSE_US 1000000ULL

static bool is_btrfs(const struct monitor *monitor)
{
	return strcmp(monitor->fs.sb->type, "btrfs") == 0;
}

static bool is_ext(const struct monitor *monitor)
{
	const char *type = monitor->fs.sb->type;

	return strcmp(type, "ext4") == 0 || strcmp(type, "ext3") == 0 || strcmp(type, "ext2") == 0;
}

bool monitor_is_on_device(const struct monitor *monitor, uint32_t major, uint32_t minor)
{
	for (size_t i = 0; i < monitor->n_devices; i++)
		if (monitor->devices[i].major == major && monitor->devices[i].minor == minor)
			return true;
	return false;
}

/* Of files that errors named, the latest ones: a fact comes a moment after its hint. */
static void health_keep_handle(struct monitor *monitor, const struct fanotify_error *error)
{
	if (!error->has_handle || !error->has_inode)
		return;
	if (!monitor->handles)
		monitor->handles = calloc(MONITOR_HANDLES_MAX, sizeof(*monitor->handles));
	if (monitor->handles)
		monitor->handles[monitor->n_handles++ % MONITOR_HANDLES_MAX] = *error;
}

static const struct fanotify_error *health_handle(const struct monitor *monitor,
						  const struct fusion_fact *fact)
{
	for (size_t i = 0; fact->has_inode && i < monitor->n_handles && i < MONITOR_HANDLES_MAX;
	     i++)
		if (monitor->handles[i].inode == fact->inode)
			return &monitor->handles[i];
	return NULL;
}

/* Takes over what fusion came to and tells it; @state is that of before. */
static void health_take(struct monitor *monitor, enum fs_state state,
			const struct fusion_fact *facts, size_t n_facts)
{
	struct filesystem *fs = &monitor->fs;
	enum read_only_reason was = fs->read_only;
	unsigned int properties = 0;

	fs->read_only = fusion_reason(&monitor->fusion);
	fs->failed = fusion_has_failed(&monitor->fusion);
	fs->frozen = fusion_is_frozen(&monitor->fusion);
	fs->full = fusion_is_full(&monitor->fusion);
	fs->error_count = fusion_error_count(&monitor->fusion);

	if (fs->read_only != was)
		properties |= BUS_PROPERTY_READ_ONLY | BUS_PROPERTY_READ_ONLY_REASON;

	for (size_t i = 0; i < n_facts; i++)
		alarm_health(monitor, &facts[i], health_handle(monitor, &facts[i]));
	monitor_announce(monitor, state, properties);
}

static void health_wait_next(struct monitor *monitor)
{
	uint64_t due = fusion_due(&monitor->fusion);

	if (monitor->look_us < due)
		due = monitor->look_us;
	health_wait(monitor->manager->health, &monitor->waiter, due);
}

void monitor_look_soon(struct monitor *monitor, bool ask_root)
{
	uint64_t due = manager_now(monitor->manager);

	/* The first look is that of the first answer. */
	if (!monitor->live)
		return;

	monitor->ask_root = monitor->ask_root || ask_root;
	if (due < monitor->looked_us + HEALTH_LOOK_PAUSE_US)
		due = monitor->looked_us + HEALTH_LOOK_PAUSE_US;
	if (due < monitor->look_us) {
		monitor->look_us = due;
		health_wait_next(monitor);
	}
}

/* The kernel speaks first and raises its flags then: once more when it must have done so. */
static void health_look_twice(struct monitor *monitor, bool ask_root)
{
	monitor->again_us = manager_now(monitor->manager) + HEALTH_AGAIN_US;
	monitor_look_soon(monitor, ask_root);
}

/*
 * statmount() asks by id and touches no mount; any of them leads to the superblock.
 * Others than ext4 have none of the options, and some read their disk for them.
 */
static int look_super(const struct monitor *monitor, struct statmount_super *ret)
{
	const struct superblock *sb = monitor->fs.sb;
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < sb->n_mounts; i++) {
		if (sb->mounts[i]->unique_id == 0)
			continue;
		r = statmount_super(sb->mounts[i]->unique_id, is_ext(monitor), ret);
		if (r != -ENOENT)
			return r;
	}
	return r;
}

/* Return: false when it is being unmounted, and so there is nothing to see. */
static bool look_flags(const struct monitor *monitor, struct fusion_look *look)
{
	struct statmount_super super;
	int r = look_super(monitor, &super);

	if (r == -ENOENT)
		return false;

	look->read_only_known = true;
	if (r < 0) {
		look->read_only = monitor->flag_read_only;
		look->read_only_source = monitor->flag_source;
		return true;
	}
	look->read_only = super.read_only;
	look->read_only_source = FUSION_SOURCE_STATMOUNT;
	look->emergency = super.emergency_ro;
	look->shutdown = super.shutdown;
	return true;
}

/*
 * Of several devices only all together say that nothing can be written: the one
 * that a btrfs was sprouted from stays read-only, and mirrors go on without one.
 */
static void look_devices(struct monitor *monitor, struct fusion_look *look)
{
	bool all = true;

	identify_members(monitor);
	for (size_t i = 0; i < monitor->n_devices; i++) {
		bool read_only;

		if (block_is_read_only(monitor->devices[i].major, monitor->devices[i].minor,
				       &read_only) < 0)
			continue;
		look->device_known = true;
		all = all && read_only;
	}
	look->device_read_only = look->device_known && all;
}

static void look_counters(const struct monitor *monitor, struct fusion_look *look)
{
	uint64_t commit_ms;

	if (monitor->ext4) {
		look->counters_known = ext4_errors_read(monitor->ext4, &look->counters) == 0;
		look->counters_source = FUSION_SOURCE_EXT4;
	} else if (monitor->btrfs_uuid[0]) {
		look->counters_known = btrfs_counters(monitor->btrfs_uuid, &look->counters) == 0;
		look->counters_source = FUSION_SOURCE_BTRFS;
		look->committing =
			btrfs_commit_ms(monitor->btrfs_uuid, &commit_ms) == 0 && commit_ms > 0;
	}
}

static void look_usage(struct monitor *monitor, struct fusion_look *look)
{
	const struct usage *usage = &monitor->fs.usage;

	if (!monitor->fs.usage_known)
		return;
	look->usage = usage;
	if (!monitor->btrfs_uuid[0])
		return;
	look->mixed_left_known =
		btrfs_mixed_left(monitor->btrfs_uuid, usage_bytes(usage), &look->mixed_left) == 0;
	look->data_left_known = btrfs_data_left(monitor->btrfs_uuid, &look->data_left) == 0;
	look->metadata_left_known = btrfs_metadata_left(monitor->btrfs_uuid, usage_bytes(usage),
							&look->metadata_left) == 0;
	monitor->metadata_left_known = look->metadata_left_known;
	monitor->metadata_left = look->metadata_left;
}

static bool survives_device(const struct monitor *monitor)
{
	return monitor->n_devices > 1 && btrfs_survives_device(monitor->btrfs_uuid);
}

void monitor_look(struct monitor *monitor, bool with_usage)
{
	enum fs_state state = filesystem_state(&monitor->fs);
	struct fusion_fact facts[FUSION_FACTS_MAX];
	struct fusion_look look = {
		.root_known = monitor->root_known,
		.root_error = monitor->root_error,
		.codes = monitor->fs.capabilities,
		.heard = health_hears(monitor->manager->health),
		.culprits = monitor->module_codes & 1U << EVENT_ENOSPC,
	};
	uint64_t now = manager_now(monitor->manager);
	size_t n;

	monitor->look_us = monitor->again_us > now ? monitor->again_us : UINT64_MAX;
	monitor->looked_us = now;
	if (look_flags(monitor, &look)) {
		look_devices(monitor, &look);
		look_counters(monitor, &look);
		monitor->survives_device = survives_device(monitor);
		if (with_usage)
			look_usage(monitor, &look);
		n = fusion_look(&monitor->fusion, now, &look, facts);
		health_take(monitor, state, facts, n);
	}
	health_wait_next(monitor);
}

void monitor_hint(struct monitor *monitor, const struct fusion_hint *hint)
{
	enum fs_state state = filesystem_state(&monitor->fs);
	struct fusion_fact facts[FUSION_FACTS_MAX];
	struct fusion_hint weighed = *hint;
	bool look = false;
	size_t n;

	if (!monitor->live)
		monitor->survives_device = survives_device(monitor);
	/* A device failed, and another one has what was written. */
	if (weighed.kind == FUSION_HINT_WRITEBACK_ERROR && monitor->survives_device)
		weighed.kind = FUSION_HINT_IO_ERROR;
	n = fusion_hint(&monitor->fusion, manager_now(monitor->manager), &weighed, facts, &look);
	/* Nobody knows it before the first look, which tells what was said until then. */
	if (!monitor->live)
		return;
	health_take(monitor, state, facts, n);
	if (look)
		health_look_twice(monitor, true);
	health_wait_next(monitor);
}

/*
 * Everything that can happen to ext4 shows without touching it. A check that is
 * under way may have looked before: once more after it.
 */
static void health_ask_root(struct monitor *monitor)
{
	bool ask = monitor->ask_root && !is_ext(monitor) && monitor->fs.usage_known;

	if (ask && monitor->ticket)
		return;
	monitor->ask_root = false;
	if (ask)
		monitor_check(monitor);
}

void monitor_health_due(struct monitor *monitor)
{
	enum fs_state state = filesystem_state(&monitor->fs);
	struct fusion_fact facts[FUSION_FACTS_MAX];
	uint64_t now = manager_now(monitor->manager);
	size_t n;

	if (fusion_due(&monitor->fusion) <= now) {
		n = fusion_tell(&monitor->fusion, now, facts);
		health_take(monitor, state, facts, n);
		if (fusion_wants_look(&monitor->fusion))
			monitor_look_soon(monitor, true);
	}
	if (monitor->look_us <= now) {
		monitor_look(monitor, false);
		health_ask_root(monitor);
	}
	health_wait_next(monitor);
}

void monitor_health_root(struct monitor *monitor, bool known, int error)
{
	if (!known)
		return;
	monitor->root_known = true;
	monitor->root_error = error;
}

void monitor_health_flag(struct monitor *monitor, bool read_only, enum fusion_source source)
{
	monitor->flag_read_only = read_only;
	monitor->flag_source = source;
}

static void on_error(const struct fanotify_error *error, void *userdata)
{
	struct monitor *monitor = userdata;
	struct capability_sources sources;
	struct fusion_hint hint;

	health_capability(monitor->manager->health, &sources);
	/* Since all filesystems report errors a thread of the kernel does it for them. */
	fusion_hint_from_error(&hint, error, !sources.fs_errors_common);
	if (error->overflow) {
		monitor_look_soon(monitor, true);
		return;
	}
	health_keep_handle(monitor, error);
	monitor_hint(monitor, &hint);
}

void monitor_health_capabilities(struct monitor *monitor)
{
	enum fs_state state = filesystem_state(&monitor->fs);
	uint32_t was = monitor->fs.capabilities;
	struct capability_sources sources;

	health_capability(monitor->manager->health, &sources);
	sources.fs_errors = monitor->errors_marked;
	sources.module = monitor->module_codes;
	monitor->fs.capabilities = capability_codes(monitor->fs.sb, &sources);
	if (monitor->fs.capabilities != was)
		monitor_announce(monitor, state, BUS_PROPERTY_CAPABILITIES);
}

static void on_marked(int error, void *userdata)
{
	struct monitor *monitor = userdata;

	monitor->errors_marked = error == 0;
	monitor->errors_impossible = error == -EOPNOTSUPP || error == -ENODEV || error == -EXDEV;
	monitor->errors_again = error < 0 && !monitor->errors_impossible;
	monitor_health_capabilities(monitor);
}

static const struct errors_ops monitor_errors_ops = {
	.error = on_error,
	.marked = on_marked,
};

/* Only on disks of our own: a server says nothing, and may not answer. */
static void health_mark(struct monitor *monitor)
{
	struct errors *errors = health_errors(monitor->manager->health);
	const struct mount *mount = monitor_reachable_mount(monitor);
	const struct superblock *sb = monitor->fs.sb;
	struct errors_lane lane = {
		.lane = monitor_lane(monitor),
		.key = sb->generation,
		.owner_uid = sb->owner_uid,
	};

	if (!errors || monitor_is_foreign(monitor) || monitor->errors_impossible ||
	    (sb->key.major == 0 && !is_btrfs(monitor)))
		return;

	monitor->errors_again = true;
	if (!mount)
		return;
	monitor->tried_us = manager_now(monitor->manager);
	monitor->errors = errors_member_free(monitor->errors);
	monitor->errors_again = errors_member_new(&monitor->errors, errors, mount, &lane,
						  &monitor_errors_ops, monitor) < 0;
}

static void on_ext4_error(void *userdata)
{
	health_look_twice(userdata, false);
}

/* Where there is none (ext2 by its own driver), or nothing to follow it with, until the next tick. */
static void health_count(struct monitor *monitor)
{
	const struct superblock *sb = monitor->fs.sb;

	if (!monitor->ext4 && is_ext(monitor) && sb->key.major != 0)
		(void)ext4_errors_new(&monitor->ext4, monitor->manager->loop, sb->key.major,
				      sb->key.minor, on_ext4_error, monitor);
}

void monitor_health_begin(struct monitor *monitor)
{
	if (monitor->health_begun || monitor->manager->options.safe_mode)
		return;
	monitor->health_begun = true;

	health_count(monitor);
	health_mark(monitor);
	monitor_module_begin(monitor);
}

void monitor_health_retry(struct monitor *monitor)
{
	if (monitor->ask_root)
		monitor_look_soon(monitor, true);
	monitor_module_retry(monitor);
	if (monitor->errors_again && monitor->live &&
	    manager_now(monitor->manager) >= monitor->tried_us + HEALTH_MARK_PAUSE_US)
		health_mark(monitor);
}

void monitor_health_tick(struct monitor *monitor)
{
	if (monitor->health_begun)
		health_count(monitor);
	monitor_health_retry(monitor);
	monitor_look_soon(monitor, false);
}

int monitor_health_init(struct monitor *monitor)
{
	const struct superblock *sb = monitor->fs.sb;

	/* What the superblock points to is another text after each change of its mounts. */
	monitor->type = strdup(sb->type);
	if (!monitor->type)
		return -ENOMEM;
	fusion_init(&monitor->fusion, monitor->type);
	monitor->waiter.monitor = monitor;
	monitor->look_us = UINT64_MAX;
	monitor->mountinfo_read_only = sb->read_only;
	monitor_health_flag(monitor, sb->read_only, FUSION_SOURCE_MOUNTINFO);
	monitor_health_capabilities(monitor);
	return 0;
}

void monitor_health_deinit(struct monitor *monitor)
{
	health_wait(monitor->manager->health, &monitor->waiter, UINT64_MAX);
	errors_member_free(monitor->errors);
	monitor_module_deinit(monitor);
	ext4_errors_free(monitor->ext4);
	alarm_health_forget(monitor);
	free(monitor->handles);
	free(monitor->type);
}
