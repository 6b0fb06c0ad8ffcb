/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * org.kde.KDirNotify
 *
 * The signals by which KDE's file views say which folders they show, and learn
 * of changes in them. This is the half that tells: changes of one folder,
 * gathered so that neighbours of a kind are one signal, in their order. A view
 * that hears FilesAdded lists the folder again.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

struct change;

/* More changes at once are told as one: list it again. */
#define DIRNOTIFY_CHANGES_MAX 64

enum dirnotify_kind {
	DIRNOTIFY_NONE,
	DIRNOTIFY_ADDED,
	DIRNOTIFY_REMOVED,
	DIRNOTIFY_CHANGED,
};

struct dirnotify {
	sd_bus *bus; /* borrowed */
	const char *folder; /* bytes, absolute; borrowed */
	enum dirnotify_kind kind; /* of what was gathered */
	char *urls[DIRNOTIFY_CHANGES_MAX];
	size_t n_urls;
};

/** dirnotify_take() - a change right in the folder, with its name; Return: 0 or a negative errno */
int dirnotify_take(struct dirnotify *dirnotify, const struct change *change);

/** dirnotify_list_again() - anything may have changed in the folder */
int dirnotify_list_again(struct dirnotify *dirnotify);

/** dirnotify_folder_gone() - the folder itself is not there any more */
int dirnotify_folder_gone(struct dirnotify *dirnotify);

/** dirnotify_flush() - send what was gathered; in any case nothing is left */
int dirnotify_flush(struct dirnotify *dirnotify);
