/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Folders from within: folders.c knows who shows what, folder-watch.c speaks
 * to the daemon, folders-keep.c keeps for who comes after what is shown.
 */

#include "daemon/agent/bus-id.h"
#include "daemon/agent/folders.h"
#include "daemon/agent/opener.h"
#include "daemon/agent/place.h"

enum folder_state {
	FOLDER_WAITING, /* for the daemon, or for a child that may open it */
	FOLDER_OPENING,
	FOLDER_ASKING, /* Watch() was called */
	FOLDER_WATCHED,
	FOLDER_FAILED, /* until it is entered again, or the daemon comes back */
};

struct folder {
	struct folders *folders;
	char *path; /* absolute, without a slash at its end */
	sd_bus_track *viewers;
	enum folder_state state;
	struct opener *opener;
	sd_bus_slot *call;
	char *watch; /* object path, NULL: none */
	bool list_again; /* changes may have been missed */
	bool dropped; /* kept only until Watch() is answered */
};

struct folders {
	sd_event *loop;
	sd_event_source *idle, *keep;
	struct place *place;
	struct bus_id id; /* of ->session, which is closed before the end */
	sd_bus *session, *daemon;
	sd_bus_slot *announced[2], *changes, *limits;
	struct opener_pool pool;
	struct folder *items[FOLDERS_MAX]; /* owned, those entered first come first */
	size_t n_items, limit;
	bool told;
};

/* Watch it now, where that can be. */
void folder_watch(struct folder *folder);

/* Watch all that wait for it, when nothing else is to be done. */
void folders_watch_soon(struct folders *folders);

/* Its watch goes; what is on the way is waited for with ->dropped. */
void folder_unwatch(struct folder *folder);

/* Out of the table, unless an answer is on the way. */
void folder_drop(struct folder *folder);

/* Nobody views it yet. Return: 0 or a negative errno. */
int folders_add(struct folders *folders, const char *path, struct folder **ret);

/* What is shown is to be kept: soon, or now. */
void folders_plan_keep(struct folders *folders);
void folders_keep(struct folders *folders);

/* Take over what was kept in this session, as far as its viewers are still there. */
void folders_recall(struct folders *folders);

struct folder *folders_find(struct folders *folders, const char *path);
struct folder *folders_find_watch(struct folders *folders, const char *watch);

/* Follow the watches on a new connection. Return: 0 or a negative errno. */
int folders_follow(struct folders *folders);
