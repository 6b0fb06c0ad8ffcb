/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/alarm.h"
#include "daemon/monitor-internal.h"

void monitor_stall(struct monitor *monitor, enum monitor_stall by, const char *operation)
{
	enum fs_state state = filesystem_state(&monitor->fs);

	monitor->stalls |= by;
	if (monitor->fs.stalled)
		return;

	monitor->fs.stalled = true;
	alarm_stalled(monitor, operation);
	monitor_announce(monitor, state, 0);
}

void monitor_unstall(struct monitor *monitor, enum monitor_stall by, const char *operation)
{
	enum fs_state state = filesystem_state(&monitor->fs);

	monitor->stalls &= ~(unsigned int)by;
	if (!monitor->fs.stalled || monitor->stalls)
		return;

	monitor->fs.stalled = false;
	alarm_simple(monitor, EVENT_RESPONDING, operation);
	monitor_announce(monitor, state, 0);
}
