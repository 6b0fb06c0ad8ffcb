/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon's events, without a gap
 *
 * Follows the stream of OpenEvents from the last id seen on, through restarts
 * of the daemon and of its bus, and asks for the list of filesystems when told
 * to. Never starts a daemon that was stopped.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"

struct client_filesystems;
struct listener;

/* As in the stream's hello, NUL-terminated. */
#define LISTENER_EPOCH_MAX 40

struct listener_ops {
	void (*event)(const struct event *event, void *userdata);
	/* The daemon lost its history: ids that were told mean nothing any more, all others are newer. */
	void (*other_history)(void *userdata);
	/* What happened before the stream was opened has been told. */
	void (*caught_up)(void *userdata);
	/* A filesystem came, went or changed. */
	void (*changed)(void *userdata);
	/*
	 * In answer to listener_refresh(), exactly once: the filesystems, the
	 * callee may take the list; NULL: they cannot be had now. The list is
	 * younger than all events up to @up_to_id.
	 */
	void (*objects)(struct client_filesystems *list, uint64_t up_to_id, void *userdata);
};

int listener_new(struct listener **ret, sd_event *loop, const char *address,
		 const struct listener_ops *ops, void *userdata);
struct listener *listener_free(struct listener *listener);
DEFINE_FREEP(listener, listener_free);

/**
 * listener_start() - follow what comes after an event
 * @since:	0 with an empty @epoch: nothing was seen yet
 *
 * Where nothing was seen yet, or the daemon lost its history, only the events
 * of filesystems that are still there are told of what is past.
 *
 * Return: 0, or a negative errno; a bus that is not there is tried again.
 */
int listener_start(struct listener *listener, uint64_t since, const char *epoch);

/** listener_seen() - the last id seen, and its epoch, borrowed */
uint64_t listener_seen(const struct listener *listener, const char **ret_epoch);

/** listener_is_following() - what happens now is told at once */
bool listener_is_following(const struct listener *listener);

/** listener_bus() - the connection to the daemon's bus; borrowed, another one after that was cut off */
sd_bus *listener_bus(const struct listener *listener);

/** listener_refresh() - ask for the filesystems; ->objects() is called later */
void listener_refresh(struct listener *listener);
