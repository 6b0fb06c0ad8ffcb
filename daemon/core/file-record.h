/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The module's records of files as file events
 *
 * What requests with FS_FILE_HANDLES tell, in the form that fanotify's events
 * have (core/wire-file.h): of a directory itself is told by its own handle, without a
 * name. Nothing is merged, each record is one event. Pure.
 */

#include "daemon/core/wire-file.h"
#include "daemon/core/wire-records.h"

/* Records have names without a NUL behind them. */
struct file_record_names {
	char name[256], new_name[256];
};

/**
 * file_record_event() - of one record
 * @watched:	whose watch tells it; NULL: it is told by a request on the filesystem
 * @names:	what @ret borrows, besides what the record does
 *
 * Of a rename the watch of a directory tells its own side alone, as a mark of fanotify does.
 *
 * Return: false: it has no handle by which it could be found, or none of @watched.
 */
bool file_record_event(const struct wire_record_file *record, const struct handle_view *watched,
		       struct file_record_names *names, struct file_event *ret);
