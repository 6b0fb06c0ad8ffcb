/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the kernel may have merged
 *
 * A record that waits in the kernel takes up whatever the same process does to the
 * same name of the same inode later, though other records came between. So its
 * last state may be younger than records behind it. For that a name must have been
 * made, removed and made again while the record waited:
 *
 *	CREATE and DELETE are in one record
 *	an inode comes back to a name that it left
 *	an inode whose links changed, and is not gone, had a name that was made and left
 *	the records of a name contradict each other
 *	an inode has half a rename that was not told as one
 *
 * Then it and all its names are in doubt as long as records may wait, and what
 * is told is whether the names are there. Everything else is certain, and that
 * is nearly everything. Remembers the names of what waits in the kernel together;
 * pure bookkeeping.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/wire-file.h"

/* Records, when the kernel's queue is never seen empty: as long as that may be. */
#define HUB_WINDOW_MAX 16384
#define HUB_WINDOW_NAMES_MAX 256 /* of one inode in doubt at once */

struct hub_trace;

struct hub_window {
	struct hub_trace *traces;
	uint32_t *slots;
	size_t n_traces, n_room, n_slots;
	char *bytes;
	size_t n_bytes, n_bytes_room;
	size_t n_records;
	uint32_t last[3]; /* of a rename right before: inode, old name, new name; else 0 */
	bool kept; /* beyond an end of the queue, for what belongs to that */
	bool hushed; /* links of files may change without a record, and renames be told by halves */
};

struct hub_doubt;

void hub_window_deinit(struct hub_window *window);
void hub_window_clear(struct hub_window *window);
/** hub_window_emptied() - nothing waits in the kernel */
void hub_window_emptied(struct hub_window *window);

/**
 * hub_window_note() - a record, in the order of the kernel
 * @unseen:	of a rename: what is made where it was is not told, so it may come back there
 * @ret:	names in doubt with it, to be freed; NULL: what it says is certain
 *
 * Return: 0, HUB_WINDOW_KNOWN (half of a rename that was noted: then it is nothing) or -ENOMEM.
 */
#define HUB_WINDOW_KNOWN 1
int hub_window_note(struct hub_window *window, const struct file_event *event, bool unseen,
		    struct hub_doubt **ret);
