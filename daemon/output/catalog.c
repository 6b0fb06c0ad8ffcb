/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stddef.h>
#include <syslog.h>

#include "daemon/output/catalog.h"

static const char *const event_ids[] = {
	[EVENT_ENOSPC] = CATALOG_EVENT_ENOSPC,
	[EVENT_ENOSPC_METADATA] = CATALOG_EVENT_ENOSPC_METADATA,
	[EVENT_ENOSPC_INODES] = CATALOG_EVENT_ENOSPC_INODES,
	[EVENT_THRESHOLD_BELOW] = CATALOG_EVENT_THRESHOLD_BELOW,
	[EVENT_THRESHOLD_ABOVE] = CATALOG_EVENT_THRESHOLD_ABOVE,
	[EVENT_READ_ONLY] = CATALOG_EVENT_READ_ONLY,
	[EVENT_READ_WRITE] = CATALOG_EVENT_READ_WRITE,
	[EVENT_CORRUPTED] = CATALOG_EVENT_CORRUPTED,
	[EVENT_IO_ERROR] = CATALOG_EVENT_IO_ERROR,
	[EVENT_WRITEBACK_ERROR] = CATALOG_EVENT_WRITEBACK_ERROR,
	[EVENT_SHUTDOWN] = CATALOG_EVENT_SHUTDOWN,
	[EVENT_FROZEN] = CATALOG_EVENT_FROZEN,
	[EVENT_THAWED] = CATALOG_EVENT_THAWED,
	[EVENT_MOUNTED] = CATALOG_EVENT_MOUNTED,
	[EVENT_UNMOUNTED] = CATALOG_EVENT_UNMOUNTED,
	[EVENT_STALLED] = CATALOG_EVENT_STALLED,
	[EVENT_RESPONDING] = CATALOG_EVENT_RESPONDING,
};

_Static_assert(sizeof(event_ids) / sizeof(event_ids[0]) == _EVENT_CODE_N,
	       "each event code has a message id");

const char *catalog_event_id(enum event_code code)
{
	assert(code < _EVENT_CODE_N);

	return event_ids[code];
}

int catalog_priority(enum event_severity severity)
{
	switch (severity) {
	case SEVERITY_INFO:
		return LOG_INFO;
	case SEVERITY_NOTICE:
		return LOG_NOTICE;
	case SEVERITY_WARNING:
		return LOG_WARNING;
	case SEVERITY_CRITICAL:
		return LOG_CRIT;
	case _SEVERITY_N:
		break;
	}

	assert(!"no such severity");
	return LOG_ERR;
}
