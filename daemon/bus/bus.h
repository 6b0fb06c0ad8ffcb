/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The bus side of the daemon
 *
 * Connection (through an own pump that keeps strangers' descriptors out of
 * sd-bus), name, objects org.fsevents1.Manager and org.fsevents1.Filesystem,
 * credentials, what each peer has not read yet. Losing the bus is no exit: it
 * reconnects with backoff. Knows the manager only through struct bus_ops.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/bus/bus-process.h"
#include "daemon/bus/bus-watch.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"
#include "daemon/core/filesystem.h"
#include "daemon/core/history.h"
#include "daemon/core/quota.h"

struct bus;
struct bus_reply; /* a method call that is answered later, exactly once */

/* A failure for a caller: a D-Bus error name and a sentence. */
struct bus_refusal {
	const char *name; /* SD_BUS_ERROR_... or BUS_ERROR_... */
	char text[512];
};

/** bus_refusal_set() - Return: -1, as those do who fill one */
int bus_refusal_set(struct bus_refusal *refusal, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct bus_sender {
	uid_t uid;
	bool read_details; /* may see private details: root, or who is known to hold that action */
	const char *name; /* unique bus name, borrowed */
};

struct bus_threshold {
	const char *name, *severity;
	bool inodes;
	uint64_t level, hysteresis; /* bytes or inodes */
};

/*
 * What the bus asks of the manager. All return 0 or -1 with @refusal filled;
 * arguments are checked for form only.
 */
struct bus_ops {
	struct filesystem *(*find)(const struct fs_key *key, void *userdata);
	struct filesystem *(*next)(const struct filesystem *fs, void *userdata); /* NULL: first */
	struct filesystem *(*resolve)(const char *path, void *userdata);
	struct filesystem *(*find_device)(uint32_t major, uint32_t minor, void *userdata);
	struct filesystem *(*find_mount)(uint32_t mnt_id, void *userdata);

	/* Asked with a deadline; answers with bus_reply_usage() or bus_reply_refuse(). */
	void (*get_usage)(struct filesystem *fs, struct bus_reply *reply, void *userdata);
	int (*set_thresholds)(struct filesystem *fs, const struct bus_threshold *items, size_t n,
			      struct bus_refusal *refusal, void *userdata);
	int (*set_events)(struct filesystem *fs, uint32_t events, struct bus_refusal *refusal,
			  void *userdata);
	int (*configure)(const char *line, struct bus_refusal *refusal, void *userdata);
	char *(*get_configuration)(void *userdata); /* to free(); NULL without memory */
	void (*reload)(struct bus_reply *reply, void *userdata); /* bus_reply_done() or _refuse() */
	int (*test)(struct filesystem *fs, enum event_code code, struct bus_refusal *refusal,
		    void *userdata);

	const struct history *(*history)(void *userdata);
	const char *(*epoch)(void *userdata);
	/* Lesser ids, 0 apart, are of an epoch that is lost; may be NULL. */
	uint64_t (*epoch_first_id)(void *userdata);
	int (*open_events)(uint64_t since_id, const struct bus_sender *sender, int *ret_fd,
			   struct bus_refusal *refusal, void *userdata);
	void (*owner_gone)(const char *name,
			   void *userdata); /* of who opened a stream; not while the bus is lost */

	/* Key-value lists: @add is called per pair. */
	void (*sources)(void (*add)(const char *key, const char *value, void *ctx), void *ctx,
			void *userdata);
	void (*limits)(void (*add)(const char *key, uint64_t value, void *ctx), void *ctx,
		       void *userdata);
	void (*statistics)(bool root, void (*add)(const char *key, uint64_t value, void *ctx),
			   void *ctx, void *userdata);

	/* Processes: bus-process.h; NULL: NotSupported. Called with ->process_userdata(). */
	const struct bus_process_ops *process;
	void *(*process_userdata)(void *userdata);
	/* Watches: bus-watch.h; likewise. */
	const struct bus_watch_ops *watch;
	void *(*watch_userdata)(void *userdata);

	/* Name owned (true), or the bus is lost (false; a reconnect is under way). */
	void (*connected)(bool connected, void *userdata);
};

/**
 * bus_new() - build; @address: "system", "session" or a D-Bus address
 */
int bus_new(struct bus **ret, sd_event *loop, const char *address, struct quota *quota,
	    const struct bus_ops *ops, void *userdata);

/* The loop's exit code where another process owns the name, or root's policy denies it; the process ends with 1. */
#define BUS_EXIT_NAME_TAKEN 69 /* EX_UNAVAILABLE */

/**
 * bus_start() - connects, asynchronously
 *
 * A bus that is not there is tried again with backoff, for ever. A name that
 * is taken at the first start ends the loop with BUS_EXIT_NAME_TAKEN after a
 * short while (a killed predecessor may still be dying); after a reconnect it is
 * waited for.
 *
 * Return: 0, or a negative errno where the address cannot be used at all.
 */
int bus_start(struct bus *bus);
struct bus *bus_free(struct bus *bus); /* releases the name, flushes for 100 ms at most */
DEFINE_FREEP(bus, bus_free)

/* Changes of the table, told as InterfacesAdded/Removed and PropertiesChanged. */
void bus_filesystem_added(struct bus *bus, struct filesystem *fs);
void bus_filesystem_removed(struct bus *bus, struct filesystem *fs); /* still readable */

enum bus_property {
	BUS_PROPERTY_SOURCE = 1,
	BUS_PROPERTY_WHERE = 2,
	BUS_PROPERTY_MOUNT_POINTS = 4,
	BUS_PROPERTY_READ_ONLY = 8,
	BUS_PROPERTY_READ_ONLY_REASON = 16,
	BUS_PROPERTY_STATE = 32,
	BUS_PROPERTY_THRESHOLDS = 64,
	BUS_PROPERTY_CROSSED = 128,
	BUS_PROPERTY_EVENTS = 256,
	BUS_PROPERTY_CAPABILITIES = 512,
};
void bus_filesystem_changed(struct bus *bus, struct filesystem *fs, unsigned int properties);

/** bus_signal() - Filesystem.Event, without private details; skipped and counted above the write queue's bound */
void bus_signal(struct bus *bus, const struct event *event, uint64_t count);

void bus_reply_usage(struct bus_reply *reply, const struct filesystem *fs,
		     const struct usage *usage);
void bus_reply_done(struct bus_reply *reply);
void bus_reply_refuse(struct bus_reply *reply, const struct bus_refusal *refusal);

struct bus_statistics {
	uint64_t signals, signals_skipped, replies_refused, denied, reconnects, descriptors_refused;
	uint64_t asked; /* of polkit */
};
void bus_statistics(const struct bus *bus, struct bus_statistics *ret);

/** bus_introspect() - the interfaces as XML, without a bus; Return: 0 or negative errno */
int bus_introspect(FILE *file);
