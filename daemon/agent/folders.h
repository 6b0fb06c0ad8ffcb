/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Folders that are shown
 *
 * Watches, through the daemon, what KDE's file views announce with
 * enteredDirectory() and leftDirectory(), and tells them what changes there:
 * views stay right where inotify is used up or blind. Only folders of this
 * machine, by "file:///" URLs; no more than half of the watches that the user
 * may have. Of an announced folder no descriptor is kept.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"

#define FOLDERS_MAX 256

struct folders;

/** folders_new() - @session: the session's bus; Return: 0 or a negative errno */
int folders_new(struct folders **ret, sd_event *loop, sd_bus *session);
struct folders *folders_free(struct folders *folders);
DEFINE_FREEP(folders, folders_free);

/** folders_renew() - the daemon is there, for the first time or again: @bus leads to it */
void folders_renew(struct folders *folders, sd_bus *bus);

/** folders_count() - those that are watched now */
size_t folders_count(const struct folders *folders);
