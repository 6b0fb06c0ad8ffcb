/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Manager
 *
 * Owns every part of the running daemon and is where they meet: the mount
 * table, the workers, the write gates, one monitor for each filesystem, the
 * settings, the publisher and the bus. manager_new() only builds;
 * manager_start() touches the world.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "daemon/bus/bus.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"
#include "daemon/core/quota.h"
#include "daemon/core/superblock.h"
#include "daemon/health.h"
#include "daemon/held.h"
#include "daemon/monitor.h"
#include "daemon/output/publisher.h"
#include "daemon/processes.h"
#include "daemon/source/gate.h"
#include "daemon/source/mounts.h"
#include "daemon/watches.h"
#include "daemon/worker/pool.h"

struct alarm_locate;
struct alarm_lookup;
struct settings;

struct manager_options {
	const char *config_file; /* NULL: /etc/fsevents.conf with all its drop-ins */
	const char *bus_address; /* "system", "session" or an address */
	const char *state_directory;
	int log_level; /* enum config_log_level, or -1: as configured */
	int zygote_fd; /* owned by the manager on success */
	bool safe_mode; /* mountinfo and statfs only: see starts.h */
	bool ended_abruptly; /* the run before, within this boot */
};

/* Open to the files of this layer only: monitor, settings, alarm, manager-bus. */
struct manager {
	sd_event *loop;
	struct manager_options options;
	char *config_file;
	char *bus_address;
	char *state_directory;

	struct pool *pool;
	struct gate *gate;
	struct health *health;
	struct superblock_table *superblocks;
	struct mounts *mounts;
	struct settings *settings;
	struct quota *quota;
	struct publisher *publisher;
	struct processes *processes;
	struct watches *watches;
	struct bus *bus;

	sd_event_source *tick; /* the one shared backstop */
	sd_event_source *hangup;
	sd_event_source *signals[2];
	size_t n_monitors;
	size_t n_starting; /* of these not shown yet, at the start */
	bool configured; /* the first configuration is in force */
	bool publishing; /* ids are known */
	bool connected; /* the name is owned */
	bool was_connected; /* it was, once */
	struct held held; /* signals, until then */
	bool serving; /* READY=1 was said */
	bool stopping; /* what is not stored is being stored, then it ends */
	bool state_stalled; /* the state directory does not take what is written */
	bool hung_up; /* SIGHUP came while the files were being read */
	bool gate_used; /* as it was said in the log */
	uint64_t began_us; /* after the first reading of the mount table */
	struct pool_ticket *users; /* manager-users.c */
	bool users_due; /* could not be looked up: with the next tick again */
	LIST_HEAD(, alarm_lookup) lookups; /* alarm.c */
	LIST_HEAD(, alarm_locate) locates; /* alarm-health.c */

	uint64_t alarms;
	uint64_t alarms_lost; /* no memory to tell them */
	uint64_t checks;
};

int manager_new(struct manager **ret, sd_event *loop, const struct manager_options *options);
int manager_start(struct manager *manager);
struct manager *manager_free(struct manager *manager);
DEFINE_FREEP(manager, manager_free)

/** manager_now() - CLOCK_MONOTONIC as of this wake-up of the loop */
uint64_t manager_now(struct manager *manager);

/** manager_apply_settings() - after a (re)load: monitors come, go and take over their settings */
void manager_apply_settings(struct manager *manager);

/** manager_add_events() - signals and the shared tick; in manager-events.c; Return: 0 or a negative errno */
int manager_add_events(struct manager *manager);

/** manager_retime_tick() - the period of the shared tick may be another one */
void manager_retime_tick(struct manager *manager);

/** manager_settings_loaded() - a load has ended, in whatever way */
void manager_settings_loaded(struct manager *manager);

/** manager_ask_users() - look up the users whom rules of processes name; in manager-users.c */
void manager_ask_users(struct manager *manager);

/** manager_judge() - give a superblock a monitor if the settings want it, or take it away */
void manager_judge(struct manager *manager, struct superblock *sb, enum monitor_origin origin);

/** manager_is_state_stalled() - a superblock holds the state directory, and does not take what is written */
bool manager_is_state_stalled(struct manager *manager, const struct superblock *sb);

/** manager_set_connected() - the name is owned, or lost with the bus */
void manager_set_connected(struct manager *manager, bool connected);

/** manager_check_ready() - progress of the start: says READY=1 once all parts stand */
void manager_check_ready(struct manager *manager);

/** manager_processes_ops - what processes have to tell; in manager-processes.c, @userdata is the manager */
extern const struct processes_ops manager_processes_ops;

/** manager_bus_ops - what the bus may ask; in manager-bus.c, @userdata is the manager */
extern const struct bus_ops manager_bus_ops;
