/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Directories of which the journal is not told
 *
 * Those of the journal, and that of the state: an entry changes something in there, which is no
 * news. Each is known by its name, by the path to which that leads, and by all others
 * that mounts give it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/change.h"

#define WATCHES_QUIETS 3

struct pool_ticket;
struct watches;

struct quiet {
	const char *name; /* NULL: none */
	char *path; /* where that leads, through symbolic links; NULL: not known */
	struct pool_ticket *ticket;
	char **places; /* where mounts show that, by the mount table of now */
	size_t n_places;
	bool placed; /* these are known */
};

void quiets_init(struct watches *watches);
void quiets_deinit(struct watches *watches);
/** quiets_look() - where their names lead, as long as that is not known */
void quiets_look(struct watches *watches);
/** quiets_hold() - is all of a change in one of them? @root: of the watch, as found */
bool quiets_hold(struct watches *watches, const char *root, const struct change *change);
void quiets_forget_places(struct watches *watches); /* the mount table is another one */
