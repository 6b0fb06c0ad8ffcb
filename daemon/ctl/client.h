/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon as a client sees it
 *
 * Opens the bus, asks for the filesystems and turns the answers into plain
 * values. Failures are told on stderr here, once, and come back as an exit
 * status.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "daemon/core/cleanup.h"
#include "daemon/ctl/feed.h"
#include "daemon/names.h"

/** client_connect() - @address: "system", "session" or a D-Bus address; Return: 0 or negative errno */
int client_connect(sd_bus **ret, const char *address);

/** client_open() - the same, told when it fails; Return: enum ctl_exit */
int client_open(sd_bus **ret, const char *address);

/* A method of the daemon. */
struct client_method {
	const char *path;
	const char *interface;
	const char *member;
	bool permitted; /* it may take a permission, which a person may have to give */
};

/** CLIENT_MANAGER() - a method of the manager */
#define CLIENT_MANAGER(_member)                                                                    \
	(&(const struct client_method){ BUS_PATH_ROOT, BUS_IFACE_MANAGER, (_member) })

/** CLIENT_PERMITTED() - one that may take a permission */
#define CLIENT_PERMITTED(_member)                                                                  \
	(&(const struct client_method){ BUS_PATH_ROOT, BUS_IFACE_MANAGER, (_member), true })

/**
 * client_call() - call a method of the daemon
 * @types:	of the arguments, as with sd_bus_call_method()
 *
 * Never starts a daemon that was stopped. Where the daemon asks to wait, since
 * it has sent much that it does not know to be read, this waits for a moment
 * and asks again.
 *
 * Return: as sd_bus_call().
 */
int client_call(sd_bus *bus, const struct client_method *method, sd_bus_error *error,
		sd_bus_message **ret_reply, const char *types, ...);

/**
 * client_read_fd() - the descriptor that is next in a reply, as one of ours
 * @ret:	close-on-exec; the message closes its own
 *
 * Return: 0 or a negative errno.
 */
int client_read_fd(sd_bus_message *reply, int *ret);

/* How often a call is made that the daemon asks to make later; after that the limit is none that passes. */
#define CLIENT_ATTEMPTS 20

/**
 * client_settle() - wait for a moment after LimitsExceeded
 *
 * The daemon pings those to whom it sent much, and the answers show what was
 * read.
 *
 * Return: 0, or a negative errno: the connection is lost.
 */
int client_settle(sd_bus *bus);

/** client_is_gone() - whether a call failed since there is no daemon to answer */
bool client_is_gone(const sd_bus_error *error, int r);

/** client_failed() - says on stderr what a call failed with; Return: enum ctl_exit */
int client_failed(const sd_bus_error *error, int r, const char *what);

struct client_threshold {
	char *name, *resource, *severity;
	uint64_t level, hysteresis;
};

struct client_filesystem {
	char *path; /* object path; no string here is NULL */
	uint32_t major, minor;
	uint64_t generation, block_size, error_count;
	char *type, *source, *where, *read_only_reason, *state;
	char **mount_points; /* bytes */
	size_t n_mount_points;
	bool read_only;
	struct client_threshold *thresholds;
	size_t n_thresholds;
	char **crossed, **events, **capabilities; /* NULL-terminated */
	struct feed_event last_event; /* id 0: none */

	/* After client_usage(). */
	bool has_usage;
	char *usage_error; /* the bus error's name, when it has none */
	uint64_t blocks, available, free, files, files_available;
	uint64_t fill_rate, seconds_to_full;
	bool has_fill_rate, has_seconds_to_full;
};

struct client_filesystems {
	struct client_filesystem *items;
	size_t n_items;
};

void client_filesystems_deinit(struct client_filesystems *list);

/**
 * client_filesystems() - all, or those that @wheres name
 * @wheres:	mount points, paths or object paths; one that names none is told and fails
 *
 * Return: enum ctl_exit.
 */
int client_filesystems(sd_bus *bus, char **wheres, int n_wheres, struct client_filesystems *ret);

/** client_resolve() - the object path of a mount point, path or object path; Return: enum ctl_exit */
int client_resolve(sd_bus *bus, const char *where, char **ret_path);

/**
 * client_usage() - ask each for its usage
 *
 * Many at once, as far as one user may ask, so that one that hangs costs its
 * own second only. One that did not answer counts as stalled.
 */
void client_usage(sd_bus *bus, struct client_filesystems *list);

/** client_read_objects() - GetManagedObjects into a list; Return: 0 or a negative errno */
int client_read_objects(sd_bus_message *m, struct client_filesystems *list);

/** client_read_mount_points() - an aay; Return: 0 or a negative errno */
int client_read_mount_points(sd_bus_message *m, char ***ret, size_t *ret_n);
void client_mount_points_free(char **mount_points, size_t n);

/** client_read_event() - one (ttossuta{sv}) of GetEvents; Return: 1, 0 at the end, negative errno */
int client_read_event(sd_bus_message *m, struct feed_event *ret);
