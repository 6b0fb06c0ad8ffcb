/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Watches
 *
 * Owns all that watches files: for each superblock with watches its hubs and
 * the groups of fanotify that feed them, the questions that workers answer for them,
 * and one watch for each object on the bus or section [watch PATH], with its queue,
 * its stream and the time by which it is to be told. The manager owns it and
 * passes changes of the mount table and the questions of the bus on.
 *
 * A recursive watch is fed by one mark of its filesystem, or where that takes none by inotify in
 * each directory, any other by a mark of its inode. A superblock that goes is told as unmount; one that comes with the same
 * identity (its uuid, or fsid) in which the handle still leads to the same inode is watched again and
 * told as mount, with a loss of unknown extent between.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/bus/bus-watch.h"
#include "daemon/bus/bus.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"
#include "daemon/core/quota.h"
#include "daemon/core/superblock.h"
#include "daemon/worker/pool.h"

/*
 * Groups of one user: filesystems in which something is watched, each way of watching by itself. Root has
 * what there is.
 */
#define WATCHES_SHARE 16

/* Directories of one user, where recursive watches need one watch for each. */
#define WATCHES_DIRECTORIES 8192

struct watches;

struct watches_options {
	struct quota *
		quota; /* QUOTA_WATCHES, QUOTA_WATCH_GROUPS, QUOTA_STREAMS, QUOTA_QUEUE_BYTES; borrowed */
	struct pool *pool;
	struct superblock_table *superblocks;
	const char *state_directory; /* nothing in it is told to the journal; borrowed */
};

/** watches_new() - only builds; marks nothing before somebody watches; Return: 0 or a negative errno */
int watches_new(struct watches **ret, sd_event *loop, const struct watches_options *options);
struct watches *watches_free(struct watches *watches);
DEFINE_FREEP(watches, watches_free)

/** watches_set_bus() - where changes are told; borrowed; NULL: none, as before */
void watches_set_bus(struct watches *watches, struct bus *bus);
/** watches_configure() - limits and sections [watch PATH]; Return: 0 or -ENOMEM with the old ones in force */
int watches_configure(struct watches *watches, const struct config *config);
/** watches_set_off() - nobody is to watch; @why: static; before the first watches_configure(), for good */
void watches_set_off(struct watches *watches, const char *why);

/** watches_tick() - look again for what was not there, had no room, or could not be looked at */
void watches_tick(struct watches *watches);

/* The mount table, from within its own callbacks. */
void watches_superblock_added(struct watches *watches, struct superblock *sb);
void watches_superblock_changed(struct watches *watches, struct superblock *sb);
void watches_superblock_removed(struct watches *watches, struct superblock *sb);

/** watches_set_module() - the companion module is there, or gone: watches that begin are told by it */
void watches_set_module(struct watches *watches, bool present);

/* Property Sources: "module", "fanotify", "none: <why not>". */
const char *watches_source(const struct watches *watches);
void watches_statistics(const struct watches *watches, bool root,
			void (*add)(const char *key, uint64_t value, void *ctx), void *ctx);

/** watches_bus_ops - the block of struct bus_ops; @userdata is the struct watches */
extern const struct bus_watch_ops watches_bus_ops;
