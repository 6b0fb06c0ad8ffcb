/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Watches on the bus
 *
 * What org.fsevents1.Manager (Watch, WatchPath, WatchInode) and
 * org.fsevents1.Watch ask of who watches, and what that one tells the bus.
 * Names, objects, authorization and who sees which object are the bus's;
 * queues, streams and everything behind them are not.
 *
 * A descriptor of a peer is never looked at through itself: its mount id is read
 * from /proc/self/fdinfo, its handle by name_to_handle_at(), which waits for nobody. Who asks by a path is in our
 * mount namespace and below our root (confinement.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/change.h"
#include "daemon/core/handle.h"

struct bus;
struct bus_refusal;
struct bus_reply;
struct bus_sender;

#define BUS_WATCH_LATENCY_DEFAULT_US 50000
#define BUS_WATCH_LATENCY_MIN_US 1000 /* less is taken as this */
#define BUS_WATCH_LATENCY_MAX_US 60000000

struct bus_watch_request {
	/* One of these three. */
	const char *path; /* WatchPath: absolute, bytes */
	const struct handle *handle; /* Watch: the object, and by which mount it was reached */
	uint64_t inode; /* WatchInode */

	uint32_t mnt_id; /* with ->handle */
	/* Likewise: what /proc/self/fd calls it, for property Path; NULL: not known, or not as the caller. */
	const char *shown;
	uint32_t major, minor; /* with ->inode */
	uint64_t subvolume; /* likewise; 0: not given */

	uint32_t mask; /* FSEVENTS_... */
	bool recursive, cross_mounts, hold;
	uint64_t latency_us;

	/*
	 * As the bus gave them, ascending, each once, at most one more than CREDENTIAL_GROUPS_MAX;
	 * none where it has no group ids. Borrowed.
	 */
	const gid_t *groups;
	size_t n_groups;
};

struct bus_watch_properties {
	const char *path; /* bytes, as of now as far as known */
	uint32_t mask;
	bool recursive;
	const char *source; /* "fanotify-filesystem", "fanotify-inode", "inotify", "none: ..." */
	uint64_t delivered, lost;
	uint64_t directories,
		unwatched; /* that are watched one by one, and that are known and are not */
};

struct bus_watch_ops {
	/*
	 * Answers later, exactly once: bus_reply_watch() or bus_reply_refuse().
	 * The watch is owned by the sender's unique name; its limits are those of its uid.
	 */
	void (*watch)(const struct bus_watch_request *request, const struct bus_sender *sender,
		      struct bus_reply *reply, void *userdata);

	/* Watches by id. The bus has checked that the caller is the owner. 0, or -1 with @refusal. */
	int (*start)(uint64_t id, struct bus_refusal *refusal, void *userdata);
	int (*set_mask)(uint64_t id, uint32_t mask, struct bus_refusal *refusal, void *userdata);
	int (*stream)(uint64_t id, int *ret_fd, struct bus_refusal *refusal, void *userdata);
	void (*properties)(uint64_t id, struct bus_watch_properties *ret, void *userdata);
	void (*remove)(uint64_t id,
		       void *userdata); /* by Remove(), or its owner left: gone after */
	/* Some peer has read what it was sent. From the loop; may be NULL. */
	void (*room)(void *userdata);
};

/** bus_reply_watch() - the answer to ->watch(): the object org/fsevents1/watch/ID is there from now on, for its owner */
void bus_reply_watch(struct bus_reply *reply, uint64_t id);

/*
 * Unicast to the owner. Return: 0, or -EAGAIN: the owner has not read what was sent
 * (64 KiB); keep it and try again, or drop and count.
 */
int bus_watch_changed(struct bus *bus, uint64_t id, uint64_t first_seq,
		      const struct change *changes, size_t n_changes);
int bus_watch_lost(struct bus *bus, uint64_t id, uint64_t count, const char *under, size_t n_under);
