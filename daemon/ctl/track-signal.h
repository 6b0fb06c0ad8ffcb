/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A group of the daemon, as its owner hears of it
 *
 * Asks for the group, takes its signals as they come and gives them to the
 * tree. Signals to one receiver need no match rule; who else sends some is
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
/** track_feed_process() - take what has come; does not wait */
void track_feed_process(struct track_feed *feed);
/** track_feed_ask() - the totals as they are now; Return: true when they are known */
bool track_feed_ask(struct track_feed *feed);
void track_feed_deinit(struct track_feed *feed);
