/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A selection of filesystems to follow
 *
 * Names filesystems by WHERE and tells which events are of them. It follows
 * the places rather than the objects: what is mounted later at the mount point
 * of a selected filesystem is selected too, also after a restart of the
 * daemon, when all objects have new names.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "daemon/ctl/feed.h"

struct selection {
	struct selected *items;
	int n_items; /* 0: everything is selected */
};

/** selection_init() - each of @wheres must name a filesystem now; Return: enum ctl_exit */
int selection_init(struct selection *ret, sd_bus *bus, char **wheres, int n_wheres);
void selection_deinit(struct selection *selection);

/** selection_renew() - find the places again; what is not found waits to be mounted */
void selection_renew(struct selection *selection, sd_bus *bus);

/** selection_takes() - whether an event is of a selected filesystem; learns from mounts */
bool selection_takes(struct selection *selection, const struct feed_event *told);
