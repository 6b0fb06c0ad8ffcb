/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Notices
 *
 * Where the daemon's events, the board, the list of filesystems, what is muted
 * and the screen meet: decides when something is sent, so that a burst is one
 * notice in ten seconds, and remembers up to which event a person was told.
 */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"

struct folders;
struct notices;

/**
 * notices_new() - build them
 * @session:	the session's bus
 * @daemon_bus:	where the daemon is, borrowed
 * @folders:	to be told when the daemon is there, borrowed; NULL: none
 *
 * Return: 0 or a negative errno, told on stderr.
 */
int notices_new(struct notices **ret, sd_event *loop, sd_bus *session, const char *daemon_bus,
		struct folders *folders);

/* What was seen is written. */
struct notices *notices_free(struct notices *notices);
DEFINE_FREEP(notices, notices_free);

int notices_start(struct notices *notices);

/** notices_is_following() - the daemon is there, and what happens now is told at once */
bool notices_is_following(const struct notices *notices);

/** notices_count_folders() - folders that are watched for views */
size_t notices_count_folders(const struct notices *notices);

/** notices_reload() - the list of what is muted was changed by somebody else */
void notices_reload(struct notices *notices);
