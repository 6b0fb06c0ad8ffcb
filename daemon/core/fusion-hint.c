/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/fusion-hint.h"

void fusion_hint_from_error(struct fusion_hint *ret, const struct fanotify_error *error,
			    bool names_culprit)
{
	assert(ret);
	assert(error);

	*ret = (struct fusion_hint){
		.kind = fusion_error_kind(error->error),
		.source = FUSION_SOURCE_FANOTIFY,
		.error = error->error,
		.pid = names_culprit && error->pid > 0 ? (uint32_t)error->pid : 0,
		.count = error->count > 0 ? error->count : 1,
		.has_inode = error->has_inode,
		.inode = error->inode,
	};
}

/* Return: whether it is one. What became read-only, and why, a look shows. */
static bool kind_of(uint32_t id, enum fusion_hint_kind *ret)
{
	static const struct {
		enum fs_event_id id;
		enum fusion_hint_kind kind;
	} rows[] = {
		{ FS_WARN_ENOSPC, FUSION_HINT_NO_SPACE },
		{ FS_WARN_ENOSPC_META, FUSION_HINT_NO_METADATA },
		{ FS_EVENT_ENOSPC_INODES, FUSION_HINT_NO_INODES },
		{ FS_ERR_REMOUNT_RO, FUSION_HINT_LOOK },
		{ FS_EVENT_READ_WRITE, FUSION_HINT_LOOK },
		{ FS_ERR_CORRUPTED, FUSION_HINT_CORRUPTED },
		{ FS_EVENT_IO_ERROR, FUSION_HINT_IO_ERROR },
		{ FS_EVENT_WRITEBACK_ERROR, FUSION_HINT_WRITEBACK_ERROR },
		{ FS_EVENT_SHUTDOWN, FUSION_HINT_SHUTDOWN },
		{ FS_EVENT_FROZEN, FUSION_HINT_FROZEN },
		{ FS_EVENT_THAWED, FUSION_HINT_THAWED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].id == id) {
			*ret = rows[i].kind;
			return true;
		}
	return false;
}

bool fusion_hint_from_event(struct fusion_hint *ret, const struct wire_event *event)
{
	enum fusion_hint_kind kind;

	assert(ret);
	assert(event);

	if (!kind_of(event->id, &kind))
		return false;
	*ret = (struct fusion_hint){
		.kind = kind,
		.source = FUSION_SOURCE_MODULE,
		.error = (int)event->error,
		.pid = event->pid,
		.count = event->count,
		.repeats = event->repeats,
		.has_inode = event->has_inode,
		.inode = event->inode,
	};
	return true;
}
