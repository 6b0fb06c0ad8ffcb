/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <linux/fanotify.h>
#include <string.h>

#include "daemon/core/file-record.h"

/* Bits that have one value in both. */
#define SAME                                                                                       \
	(FS_FILE_ACCESS | FS_FILE_MODIFY | FS_FILE_ATTRIB | FS_FILE_CLOSE_WRITE | FS_FILE_OPEN |   \
	 FS_FILE_CREATE | FS_FILE_DELETE | FS_FILE_DELETE_SELF | FS_FILE_MOVE_SELF |               \
	 FS_FILE_RENAME | FS_FILE_DIRECTORY)

_Static_assert(SAME == (FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_OPEN |
			FAN_CREATE | FAN_DELETE | FAN_DELETE_SELF | FAN_MOVE_SELF | FAN_RENAME |
			FAN_ONDIR),
	       "they are those of fanotify");

#define NAMES (FS_FILE_CREATE | FS_FILE_DELETE | FS_FILE_RENAME)

static struct file_name name_of(const struct handle_view *dir, const struct wire_name *name,
				char text[static 256])
{
	memcpy(text, name->bytes, name->n);
	text[name->n] = '\0';
	return (struct file_name){ .dir = *dir, .name = text, .n_name = name->n };
}

static bool is_of(const struct handle_view *handle, const struct handle_view *watched)
{
	return handle->n > 0 && handle_equal(handle, watched);
}

/* Leaves what the watch of @watched tells. Return: false: it is not in the record. */
static bool event_confine(struct file_event *event, const struct wire_record_file *record,
			  const struct handle_view *watched)
{
	const struct file_name none = { .name = "" };
	bool is_at = record->name.n > 0 && is_of(&record->dir_handle, watched);
	bool is_to = record->new_name.n > 0 && is_of(&record->new_dir_handle, watched);

	if (!(event->mask & NAMES) && is_of(&record->handle, watched)) {
		event->of = FILE_EVENT_OF_TARGET;
		return true;
	}
	event->of = FILE_EVENT_OF_NAMES;
	if (event->mask & FAN_RENAME && !is_at)
		event->at = none;
	if (event->mask & FAN_RENAME && !is_to)
		event->to = none;
	return is_at || is_to;
}

bool file_record_event(const struct wire_record_file *record, const struct handle_view *watched,
		       struct file_record_names *names, struct file_event *ret)
{
	struct file_event event = { .at.name = "", .to.name = "" };

	assert(record);
	assert(names);
	assert(ret);

	event.mask = record->events & SAME;
	event.pid = (int32_t)record->pid;
	if (event.mask & FAN_ONDIR && !(event.mask & NAMES)) {
		event.at.dir = record->handle;
	} else {
		event.target = record->handle;
		if (record->name.n > 0 && record->dir_handle.n > 0)
			event.at = name_of(&record->dir_handle, &record->name, names->name);
		if (record->new_name.n > 0 && record->new_dir_handle.n > 0)
			event.to = name_of(&record->new_dir_handle, &record->new_name,
					   names->new_name);
	}
	if (event.at.dir.n == 0 && event.to.dir.n == 0 && event.target.n == 0)
		return false;
	if (watched && !event_confine(&event, record, watched))
		return false;
	*ret = event;
	return true;
}
