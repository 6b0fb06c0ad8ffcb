/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/filesystem.h"

/* What is read-only cannot fill up, however little it offers. */
static bool filesystem_is_full(const struct filesystem *fs)
{
	return fs->full && fs->usage_known && fs->read_only == READ_ONLY_NO && !fs->usage.read_only;
}

enum fs_state filesystem_state(const struct filesystem *fs)
{
	int severity;

	assert(fs);

	if (fs->stalled)
		return FS_STATE_STALLED;
	if (fs->failed)
		return FS_STATE_ERROR;
	if (fs->read_only != READ_ONLY_NO && fs->read_only != READ_ONLY_ADMIN)
		return FS_STATE_READ_ONLY;
	if (fs->frozen)
		return FS_STATE_FROZEN;
	if (filesystem_is_full(fs))
		return FS_STATE_FULL;

	severity = threshold_set_severity(&fs->thresholds);
	if (severity >= SEVERITY_CRITICAL)
		return FS_STATE_CRITICAL;
	if (severity >= SEVERITY_WARNING)
		return FS_STATE_WARNING;
	return fs->usage_known ? FS_STATE_OK : FS_STATE_UNKNOWN;
}

const char *fs_state_name(enum fs_state state)
{
	switch (state) {
	case FS_STATE_OK:
		return "ok";
	case FS_STATE_UNKNOWN:
		return "unknown";
	case FS_STATE_WARNING:
		return "warning";
	case FS_STATE_CRITICAL:
		return "critical";
	case FS_STATE_FULL:
		return "full";
	case FS_STATE_FROZEN:
		return "frozen";
	case FS_STATE_READ_ONLY:
		return "read-only";
	case FS_STATE_ERROR:
		return "error";
	case FS_STATE_STALLED:
		return "stalled";
	}

	return "unknown";
}

void filesystem_deinit(struct filesystem *fs)
{
	if (!fs)
		return;

	threshold_set_deinit(&fs->thresholds);
	event_deinit(&fs->last_event);
	fs->has_last_event = false;
	fs->sb = NULL;
}
