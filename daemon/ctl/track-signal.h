/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A group of the daemon, as its owner hears of it
 *
 * Asks for the group, takes what its stream has as it comes and gives it to
 * the tree. Where there is no stream to be had (a bus that passes no
 * descriptors, too many streams) signals do the same, for fewer events a
 * second. Signals to one receiver need no match rule; who else sends some is
 * not listened to.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "daemon/ctl/track.h"

struct track_feed {
	sd_bus *bus; /* borrowed */
	struct tree *tree; /* borrowed */
	char *path, *sender; /* of the group, and who has it */
	sd_bus_slot *filter, *owner;
	int stream; /* -1: by signals */
	bool live; /* more will come */
	bool left; /* the daemon is gone */
	bool has_totals;
	struct track_totals totals;
};

/**
 * track_feed_open() - have a process followed
 * @pidfd:	of it; -1: by @pid
 *
 * Return: enum ctl_exit.
 */
int track_feed_open(struct track_feed *feed, sd_bus *bus, uint32_t pid, int pidfd,
		    struct tree *tree);
/** track_feed_process() - take some of what has come, from the bus and from ->stream; does not wait */
void track_feed_process(struct track_feed *feed);
/** track_feed_ask() - the totals as they are now; Return: true when they are known */
bool track_feed_ask(struct track_feed *feed);
void track_feed_deinit(struct track_feed *feed);

/* The rest is for track-signal.c. */

enum {
	_TRACK_STREAM_E_SUCCESS,

	TRACK_STREAM_E_REFUSED, /* there is none to be had */
};

/** track_stream_open() - from now on by the stream; Return: 0, TRACK_STREAM_E_REFUSED, or a negative errno */
int track_stream_open(struct track_feed *feed);
/**
 * track_stream_take() - some packets; ->live ends with the stream, ->has_totals where that was the group's
 *
 * Return: 1 where there may be more, 0, or a negative errno: it is none.
 */
int track_stream_take(struct track_feed *feed);
