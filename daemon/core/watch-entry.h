/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the journal says of a change
 *
 * "/etc/ssh/sshd_config: created, written (pid 123)", the same as values of
 * fields, and which changes no entry is to be written about, since writing it
 * causes them. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/change.h"

#define WATCH_ENTRY_PATH_MAX 8192
#define WATCH_ENTRY_TEXT_MAX 2048

/* All has passed escape(); what is too long is cut, of the text each path by itself. */
struct watch_entry {
	char path[WATCH_ENTRY_PATH_MAX];
	char former[WATCH_ENTRY_PATH_MAX]; /* of a move, else empty */
	char events[128]; /* names as on the bus: "create,close-write" */
	char pid[16]; /* empty: not known */
	char text[WATCH_ENTRY_TEXT_MAX];
};

/**
 * watch_entry_change() - of a change below @root, an absolute path, or of itself
 */
void watch_entry_change(struct watch_entry *ret, const char *root, const struct change *change);

/**
 * watch_entry_path() - @name below @root, or @root itself, as shown
 * @n_ret:	at least 1
 */
void watch_entry_path(char *ret, size_t n_ret, const char *root, const char *name, size_t n_name);

/**
 * watch_entry_is_within() - whether all of a change is in a directory
 * @directory:	absolute, without '/' at the end
 *
 * That @directory itself was made, removed or moved is not in it; what else
 * happens to it is, and so is what happens to all below it.
 */
bool watch_entry_is_within(const char *root, const struct change *change, const char *directory);
