/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include "daemon/bus/bus.h"
#include "daemon/core/escape.h"
#include "daemon/manager.h"
#include "daemon/monitor-internal.h"
#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"

#define MONITOR_RETRY_MIN_US 1000000ULL
#define MONITOR_RETRY_MAX_US 5000000ULL

/* How long to go on looking on btrfs once the gate is armed: two commits. */
#define MONITOR_SETTLE_US 60000000ULL

/* Of the size: what a full filesystem needs, about, to be full no more. */
#define CHECK_ROOM_PART 128

/* Below the bus, so that it stays responsive whatever is due. */
#define MONITOR_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/*
 * Whatever a check comes to, it leaves behind a timer, another check under
 * way, or nothing but the shared tick where that is all there is to wait for;
 * an armed gate is on top of it.
 */

/* A timer that need not be exact lets the kernel bundle wake-ups. */
static void check_set_timer(struct monitor *monitor, uint64_t due_us)
{
	uint64_t now = manager_now(monitor->manager);
	uint64_t accuracy;

	if (due_us == UINT64_MAX) {
		(void)sd_event_source_set_enabled(monitor->timer, SD_EVENT_OFF);
		return;
	}

	accuracy = due_us > now ? (due_us - now) / 16 : 0;
	if (accuracy < 500)
		accuracy = 500;
	if (accuracy > 250000)
		accuracy = 250000;

	(void)sd_event_source_set_time_accuracy(monitor->timer, accuracy);
	(void)sd_event_source_set_time(monitor->timer, due_us);
	(void)sd_event_source_set_enabled(monitor->timer, SD_EVENT_ONESHOT);
}

static bool check_is_scheduled(const struct monitor *monitor)
{
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(monitor->timer, &enabled);
	return enabled != SD_EVENT_OFF;
}

void monitor_check_soon(struct monitor *monitor, uint64_t due_us)
{
	uint64_t at = UINT64_MAX;

	(void)sd_event_source_get_time(monitor->timer, &at);
	if (!check_is_scheduled(monitor) || at > due_us)
		check_set_timer(monitor, due_us);
}

bool monitor_is_foreign(const struct monitor *monitor)
{
	return superblock_class(monitor->fs.sb) != SUPERBLOCK_LOCAL;
}

/* A local disk that stalled goes on in a worker of its own. */
enum pool_lane monitor_lane(const struct monitor *monitor)
{
	if (monitor_is_foreign(monitor) || monitor->apart || monitor->stalls & MONITOR_STALL_STATFS)
		return POOL_LANE_FOREIGN;
	return POOL_LANE_LOCAL;
}

/* A server is asked at least this often: a hang of one on this machine is told within a second. */
static uint64_t check_probe_us(const struct monitor *monitor)
{
	if (!monitor_is_foreign(monitor))
		return UINT64_MAX;
	return superblock_is_network(monitor->fs.sb) ? MONITOR_PROBE_NET_US : MONITOR_PROBE_US;
}

void monitor_wait(struct monitor *monitor)
{
	uint64_t due = monitor->fs.schedule.due_us;
	uint64_t probe = check_probe_us(monitor);
	uint64_t now = manager_now(monitor->manager);

	if (probe != UINT64_MAX && due > now + probe)
		due = now + probe;
	check_set_timer(monitor, due);
}

/*
 * The end is a level too, where somebody wants to be told: nothing left, and
 * then about as much as has to be there again.
 */
static void check_add_end(const struct monitor *monitor, uint64_t *bytes, uint64_t *inodes)
{
	const struct filesystem *fs = &monitor->fs;
	const uint32_t space = 1U << EVENT_ENOSPC | 1U << EVENT_ENOSPC_METADATA;
	uint64_t left = usage_available_bytes(&fs->usage), files = fs->usage.files_available;
	uint64_t metadata;

	if (fs->full) {
		left = usage_bytes(&fs->usage) / CHECK_ROOM_PART;
		files = fs->usage.files / CHECK_ROOM_PART;
	}
	if (fs->events & space && left < *bytes)
		*bytes = left;
	if (fs->events & 1U << EVENT_ENOSPC_METADATA && monitor->metadata_left_known) {
		metadata = fusion_metadata_distance(&monitor->fusion, monitor->metadata_left);
		if (metadata < *bytes)
			*bytes = metadata;
	}
	if (fs->events & 1U << EVENT_ENOSPC_INODES && usage_counts_files(&fs->usage) &&
	    files < *inodes)
		*inodes = files;
}

static void check_follow_schedule(struct monitor *monitor, uint64_t taken_us)
{
	struct filesystem *fs = &monitor->fs;
	uint64_t bytes = UINT64_MAX, inodes = UINT64_MAX;

	/* Where nothing can be crossed there is nothing to be near to. */
	if (!fs->usage.read_only) {
		threshold_set_distance(&fs->thresholds, &fs->usage, &bytes, &inodes);
		check_add_end(monitor, &bytes, &inodes);
	}

	switch (schedule_checked(&fs->schedule, taken_us, &fs->usage, bytes, inodes)) {
	case SCHEDULE_WAIT:
	case SCHEDULE_GUARDED:
		monitor_wait(monitor);
		break;
	case SCHEDULE_ARM:
		/* Until the gate answers the schedule has a time to fall back on. */
		monitor_wait(monitor);
		monitor_arm(monitor);
		break;
	}
}

static void check_take(struct monitor *monitor, const struct statfs_reply *reply)
{
	struct filesystem *fs = &monitor->fs;
	enum fs_state state = filesystem_state(fs);
	unsigned int properties = 0;
	bool was_live = monitor->live;

	monitor->tries = 0;
	monitor->lost = false;
	monitor->retry_us = 0;
	monitor->apart = false;
	monitor->worker_told = false;

	fs->usage = reply->usage;
	fs->usage_known = usage_is_known(&reply->usage);
	monitor->usage_us = reply->taken_us;
	/* A mount that is read-only says nothing of who else may write. */
	if (monitor->mount_read_only)
		fs->usage.read_only = fs->sb->read_only;
	else
		monitor_health_flag(monitor, fs->usage.read_only, FUSION_SOURCE_STATFS);
	/* Percent of the size of now; also where nothing can be crossed. */
	if (threshold_set_resolve(&fs->thresholds, &fs->usage))
		properties |= BUS_PROPERTY_THRESHOLDS;

	monitor_reveal(monitor);
	monitor_unstall(monitor, MONITOR_STALL_STATFS, "statfs");
	if (was_live)
		monitor_announce(monitor, state, properties);

	monitor_look(monitor, true);
	monitor_health_retry(monitor);
	monitor_evaluate(monitor);
	monitor_answer(monitor);
	check_follow_schedule(monitor, reply->taken_us);
}

/* There are no figures. */
static void check_unknown(struct monitor *monitor, const char *why)
{
	enum fs_state state = filesystem_state(&monitor->fs);

	monitor->tries = 0;
	monitor->fs.usage_known = false;
	monitor_reveal(monitor);
	monitor_announce(monitor, state, 0);
	monitor_look_soon(monitor, false);
	monitor_refuse(monitor, SD_BUS_ERROR_FILE_NOT_FOUND, why);
}

static void check_failed(struct monitor *monitor, const char *why)
{
	check_unknown(monitor, why);
	schedule_failed(&monitor->fs.schedule, manager_now(monitor->manager));
	monitor_wait(monitor);
}

/* That a mount comes or is uncovered is told; until then there is nothing to ask. */
static void check_unreachable(struct monitor *monitor)
{
	check_unknown(monitor, "The filesystem cannot be reached by any mount point");
	monitor->fs.schedule.due_us = UINT64_MAX;
	check_set_timer(monitor, UINT64_MAX);
}

/* Where it was mounted it is no more: the table may be behind by a moment, so once more with it. */
static void check_lost(struct monitor *monitor)
{
	monitor->tries = 0;
	if (monitor->lost) {
		check_failed(monitor, "No mount point of the filesystem leads to it");
		return;
	}
	monitor->lost = true;
	monitor_check_soon(monitor, manager_now(monitor->manager) + MONITOR_BIRTH_US);
}

/* Nothing was learnt; what is known stays. */
static void check_retry(struct monitor *monitor, const char *name, const char *text)
{
	uint64_t pause = monitor->retry_us ? monitor->retry_us * 3 / 2 : MONITOR_RETRY_MIN_US;

	if (pause > MONITOR_RETRY_MAX_US)
		pause = MONITOR_RETRY_MAX_US;
	monitor->retry_us = pause;
	monitor->tries = 0;

	monitor_reveal(monitor);
	monitor_refuse(monitor, name, text);
	check_set_timer(monitor, manager_now(monitor->manager) + pause);
}

static void check_stalled(struct monitor *monitor)
{
	monitor_reveal(monitor);
	monitor_stall(monitor, MONITOR_STALL_STATFS, "statfs");
	check_retry(monitor, BUS_ERROR_STALLED, "The filesystem does not answer");
}

/* Once until it answers again: it is tried every few seconds. */
static void check_log_worker(struct monitor *monitor, const char *message_id, const char *what)
{
	const struct mount *mount = superblock_display_mount(monitor->fs.sb);
	const char *where = mount ? mount->where : "";
	char shown[256];

	if (monitor->worker_told)
		return;
	monitor->worker_told = true;
	escape(shown, sizeof(shown), where, strlen(where), 0);
	journal_log_limited(LOG_WARNING, message_id, "", "%s: %s", shown, what);
}

/*
 * An earlier worker cannot die. In the lane of all local disks that may be
 * the fault of others: only a lane of its own tells.
 */
static void check_blocked(struct monitor *monitor)
{
	check_log_worker(monitor, CATALOG_WORKER_STUCK,
			 "A worker that asked cannot be ended, the kernel holds it");

	if (monitor->lane == POOL_LANE_FOREIGN) {
		check_stalled(monitor);
		return;
	}

	monitor->apart = true;
	monitor_check(monitor);
}

static void check_limited(struct monitor *monitor)
{
	check_log_worker(monitor, CATALOG_WORKER_LIMIT,
			 "Too many filesystems do not answer to ask this one as well");
	check_retry(monitor, SD_BUS_ERROR_LIMITS_EXCEEDED, "Too many filesystems do not answer");
}

static void check_answered(struct monitor *monitor, const void *reply, size_t n_reply)
{
	struct statfs_reply statfs;

	if (statfs_reply_decode(reply, n_reply, &statfs) < 0) {
		check_failed(monitor, "No figures could be had");
		return;
	}

	monitor_health_root(monitor, statfs.root_known, statfs.root_error);
	if (statfs.error == -ESTALE || statfs.error == -ENOENT || statfs.error == -ENOTDIR) {
		monitor->tries++;
		monitor_check(monitor);
	} else if (statfs.error < 0) {
		/* An error is an answer too. */
		monitor_unstall(monitor, MONITOR_STALL_STATFS, "statfs");
		check_failed(monitor, strerror(-statfs.error));
	} else {
		check_take(monitor, &statfs);
	}
}

static void on_statfs(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct monitor *monitor = userdata;

	monitor->ticket = NULL;

	switch (result) {
	case POOL_DONE:
		check_answered(monitor, reply, n_reply);
		break;
	case POOL_STALLED:
		check_stalled(monitor);
		break;
	case POOL_BLOCKED:
		check_blocked(monitor);
		break;
	case POOL_LIMIT:
		check_limited(monitor);
		break;
	case POOL_BROKEN:
	case POOL_FAILED:
		check_retry(monitor, SD_BUS_ERROR_FAILED,
			    "The worker process that asked ended early");
		break;
	}
}

static int check_submit(struct monitor *monitor, const struct mount *mount)
{
	struct statfs_request request = {
		.where = mount->where,
		.mount_id = mount->unique_id ?: mount->id,
		.mount_id_is_unique = mount->unique_id != 0,
		.btrfs_uuid = monitor->btrfs_uuid[0] ? monitor->btrfs_uuid : NULL,
	};
	struct pool_submission submission = {
		.lane = monitor_lane(monitor),
		.lane_key = monitor->fs.sb->generation,
		.owner_uid = monitor->fs.sb->owner_uid,
		.job = JOB_STATFS,
		.fd = -1,
		.deadline_us = MONITOR_DEADLINE_US,
		.reply = on_statfs,
		.userdata = monitor,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	r = statfs_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;

	submission.payload = payload;
	monitor->lane = submission.lane;
	monitor->mount_read_only = mount->read_only;
	return pool_submit(monitor->manager->pool, &submission, &monitor->ticket);
}

/* An access in its first moments could make an umount fail. */
static bool mount_is_young(const struct monitor *monitor, const struct mount *mount)
{
	return mount->seen_us > monitor->manager->began_us &&
	       manager_now(monitor->manager) < mount->seen_us + MONITOR_BIRTH_US;
}

/* Mounts that come and go must not keep it from being asked by an older one. */
const struct mount *monitor_mount(const struct monitor *monitor)
{
	const struct superblock *sb = monitor->fs.sb;
	const struct mount *display = superblock_display_mount(sb);

	for (size_t i = 0; display && mount_is_young(monitor, display) && i < sb->n_mounts; i++)
		if (sb->mounts[i]->reachable && !mount_is_young(monitor, sb->mounts[i]))
			return sb->mounts[i];
	return display;
}

const struct mount *monitor_reachable_mount(const struct monitor *monitor)
{
	const struct mount *mount = monitor_mount(monitor);

	return mount && !mount_is_young(monitor, mount) ? mount : NULL;
}

static const struct mount *check_next_mount(const struct monitor *monitor)
{
	const struct superblock *sb = monitor->fs.sb;
	const struct mount *first = monitor_mount(monitor);
	size_t n = 0;

	if (monitor->tries == 0)
		return first;

	/* The first was covered: the others in their order. */
	for (size_t i = 0; i < sb->n_mounts; i++)
		if (sb->mounts[i] != first && sb->mounts[i]->reachable && ++n == monitor->tries)
			return sb->mounts[i];
	return NULL;
}

void monitor_check(struct monitor *monitor)
{
	const struct mount *mount;

	if (monitor->ticket)
		return;

	mount = check_next_mount(monitor);
	if (!mount && monitor->tries == 0) {
		check_unreachable(monitor);
		return;
	}
	if (!mount) {
		check_lost(monitor);
		return;
	}
	if (mount_is_young(monitor, mount)) {
		monitor->tries = 0;
		monitor_check_soon(monitor, mount->seen_us + MONITOR_BIRTH_US);
		return;
	}

	monitor->manager->checks++;
	if (check_submit(monitor, mount) < 0)
		check_retry(monitor, SD_BUS_ERROR_LIMITS_EXCEEDED,
			    "The daemon has too much to do or no memory");
}

void monitor_tick(struct monitor *monitor)
{
	monitor_identify_again(monitor);
	monitor_health_tick(monitor);
	if (monitor->live && !check_is_scheduled(monitor))
		monitor_check(monitor);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct monitor *monitor = userdata;

	if (monitor->settled)
		monitor_check(monitor);
	else
		monitor_begin(monitor);
	return 0;
}

int monitor_check_init(struct monitor *monitor)
{
	struct manager *manager = monitor->manager;
	int r;

	r = sd_event_add_time(manager->loop, &monitor->timer, CLOCK_MONOTONIC, manager_now(manager),
			      1000, on_timer, monitor);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(monitor->timer, "monitor");
	r = sd_event_source_set_priority(monitor->timer, MONITOR_PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_exit_on_failure(monitor->timer, true);
	if (r < 0)
		return r;

	schedule_init(&monitor->fs.schedule,
		      &(struct schedule_policy){
			      .delayed = strcmp(monitor->fs.sb->type, "btrfs") == 0,
			      .settle_us = MONITOR_SETTLE_US,
		      });
	return monitor_gate_init(monitor);
}

void monitor_check_deinit(struct monitor *monitor)
{
	pool_cancel(monitor->ticket);
	pool_drop_lane(monitor->manager->pool, monitor->fs.sb->generation);
	gate_member_free(monitor->gate);
	sd_event_source_disable_unref(monitor->timer);
}
