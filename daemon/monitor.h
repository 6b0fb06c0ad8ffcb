/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Monitor of one filesystem
 *
 * Runs the cycle of the space engine: asks a worker for the figures, gives
 * them to thresholds and schedule, arms the write gate or a timer, tells
 * what was crossed, and notices when the filesystem no longer answers. A new
 * mount is left alone for MONITOR_BIRTH_US, since an access in its first
 * moments can make the umount of whoever mounted it fail.
 *
 * Its life: identified (block devices, and names where a section needs
 * them), then configured, then asked for the first time, and with that
 * answer, whatever it is, shown on the bus. monitor.c has this life and the
 * settings, monitor-check.c the cycle with monitor-gate.c, monitor-stall.c who
 * does not answer, monitor-health.c what goes wrong and monitor-module.c what
 * the companion module says of that, monitor-usage.c who asks
 * over the bus.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"
#include "daemon/core/filesystem.h"
#include "daemon/core/fusion.h"
#include "daemon/core/wire-fanotify.h"
#include "daemon/health.h"
#include "daemon/source/gate.h"
#include "daemon/worker/pool.h"

struct bus_reply;
struct manager;

#define MONITOR_BIRTH_US 100000ULL
#define MONITOR_DEADLINE_US 500000ULL
/* How often a filesystem whose server may hang is asked whether it still answers. */
#define MONITOR_PROBE_US 400000ULL /* a server on this machine */
#define MONITOR_PROBE_NET_US 10000000ULL /* a server across the network */
#define MONITOR_WAITERS_MAX 64
#define MONITOR_DEVICES_MAX 32
/* Damaged files whose path was asked for. */
#define MONITOR_LOCATED_MAX 8
#define MONITOR_HANDLES_MAX 4

enum monitor_origin {
	MONITOR_INITIAL, /* mounted when the daemon started, which waits for it */
	MONITOR_NEWBORN, /* was mounted since: that is told */
	MONITOR_ADOPTED, /* was there, and is wanted since a reload */
};

/* Who found that it does not answer; a bit set. */
enum monitor_stall {
	MONITOR_STALL_STATFS = 1,
	MONITOR_STALL_WRITE = 2, /* the state worker's write does not return */
};

struct monitor {
	struct filesystem fs; /* first: what the bus shows */
	struct manager *manager;
	enum monitor_origin origin;
	bool awaited; /* the start waits for it */
	bool counted;
	bool live; /* announced on the bus */
	bool settled; /* settings were resolved once */

	/* monitor-check.c */
	struct gate_member *gate;
	sd_event_source *timer;
	struct pool_ticket *ticket; /* the check under way */
	enum pool_lane lane; /* which it was given to */
	bool mount_read_only; /* the mount that it goes by is */
	size_t tries; /* mounts found covered or gone in this check */
	bool lost; /* all were, the last time */
	uint64_t retry_us; /* pause before the next one after no answer */
	uint64_t usage_us; /* when the usage was taken */
	bool apart; /* in a lane of its own although local: the workers of all are stuck */
	bool gate_impossible; /* the kernel said so */
	bool worker_told; /* the log has it that no worker can be had */

	/* monitor-stall.c: enum monitor_stall */
	unsigned int stalls;

	/* monitor-health.c */
	char *type; /* of the filesystem: for fusion */
	struct fusion fusion;
	struct health_waiter waiter;
	struct errors_member *errors;
	struct ext4_errors *ext4;
	struct fanotify_error *handles; /* of damaged files, MONITOR_HANDLES_MAX; NULL: none yet */
	size_t n_handles; /* in all */
	bool health_begun;
	bool errors_marked; /* the kernel tells of errors here */
	bool errors_impossible; /* and never will */
	bool errors_again; /* not yet: ask once more at the tick */
	uint64_t tried_us; /* when it was asked for */
	bool root_known;
	int root_error; /* of looking at the root, the last time */
	bool mountinfo_read_only; /* the superblock's, of the last reading */
	bool flag_read_only; /* the superblock's, as whoever looked last saw it */
	enum fusion_source flag_source;
	bool metadata_left_known;
	uint64_t metadata_left; /* of btrfs, when the usage was taken */
	bool ask_root; /* the next look asks a worker as well */
	uint64_t look_us; /* when to look; UINT64_MAX: nothing asks for it */
	uint64_t looked_us;
	uint64_t again_us; /* look once more then; what has passed is over */
	bool survives_device; /* btrfs: a write that one device lost is on another */

	/* monitor-module.c */
	struct module_member *module;
	uint32_t module_codes; /* that it tells of here; 0: nothing, or it is not there */
	bool module_again; /* it refused for now */
	uint64_t module_us; /* when it was asked once more */

	/* alarm-health.c */
	uint64_t located[MONITOR_LOCATED_MAX]; /* inodes, the latest overwrites the first */
	size_t n_located; /* in all */

	/* identify.c */
	struct pool_ticket *identity; /* the look-up of its devices under way */
	void (*identified)(struct monitor *monitor);
	char btrfs_uuid[37];
	struct device_number devices[MONITOR_DEVICES_MAX];
	size_t n_devices;
	char *uuid;
	char *label;

	/* monitor-usage.c */
	struct bus_reply *waiters[MONITOR_WAITERS_MAX];
	size_t n_waiters;
};

/** monitor_new() - for a superblock; becomes its userdata; Return: 0 or a negative errno */
int monitor_new(struct monitor **ret, struct manager *manager, struct superblock *sb,
		enum monitor_origin origin);
struct monitor *monitor_free(struct monitor *monitor);
DEFINE_FREEP(monitor, monitor_free)

/**
 * monitor_reload() - the settings are other ones; what was set at run time ends
 *
 * Where sections match by names of disks those are looked up anew first, and
 * the monitor may find then that it is not wanted, and end itself.
 */
void monitor_reload(struct monitor *monitor);

/** monitor_set() - thresholds and events at run time; either may be NULL; Return: 0 or -ENOMEM */
int monitor_set(struct monitor *monitor, const struct threshold_spec *specs, size_t n_specs,
		const uint32_t *events);

/** monitor_mounts_changed() - mounts, options or source of its superblock */
void monitor_mounts_changed(struct monitor *monitor);

/** monitor_tick() - the shared backstop */
void monitor_tick(struct monitor *monitor);

/** monitor_ask() - GetUsage: answered within a second */
void monitor_ask(struct monitor *monitor, struct bus_reply *reply);

/**
 * monitor_stall() - it does not answer
 * @operation:	what was tried: "statfs", "write"
 *
 * Told once, by whoever finds it first; it holds until the last one finds otherwise.
 */
void monitor_stall(struct monitor *monitor, enum monitor_stall by, const char *operation);
void monitor_unstall(struct monitor *monitor, enum monitor_stall by, const char *operation);

/** monitor_hint() - a source said something of it */
void monitor_hint(struct monitor *monitor, const struct fusion_hint *hint);

/**
 * monitor_look_soon() - look at its health within some milliseconds
 * @ask_root:	and ask a worker what its root says, where that can tell more
 */
void monitor_look_soon(struct monitor *monitor, bool ask_root);

/** monitor_health_due() - what it waited for by health_wait() */
void monitor_health_due(struct monitor *monitor);

/**
 * monitor_reachable_mount() - the mount by which a worker may touch it now
 *
 * Return: NULL where all are covered, or so young that an access could make an umount fail.
 */
const struct mount *monitor_reachable_mount(const struct monitor *monitor);

/** monitor_is_on_device() - one of its block devices */
bool monitor_is_on_device(const struct monitor *monitor, uint32_t major, uint32_t minor);

static inline struct monitor *monitor_of(struct superblock *sb)
{
	return sb ? sb->userdata : NULL;
}

static inline struct monitor *monitor_of_filesystem(struct filesystem *fs)
{
	return (struct monitor *)fs;
}
