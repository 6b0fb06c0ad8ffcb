/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "daemon/manager.h"
#include "daemon/monitor-internal.h"
#include "daemon/settings.h"

void monitor_arm(struct monitor *monitor)
{
	const struct mount *mount = monitor_mount(monitor);
	int r = -ENOENT;

	if (mount)
		r = gate_member_arm(monitor->gate, mount, monitor_lane(monitor),
				    monitor->fs.sb->generation, monitor->fs.sb->owner_uid);
	/* Its answer, or that it opened, is still to come. */
	if (r == 0 || (r == -EALREADY && !gate_member_is_armed(monitor->gate)))
		return;

	schedule_armed(&monitor->fs.schedule, manager_now(monitor->manager), r == -EALREADY);
	monitor_wait(monitor);
}

static void on_gate_armed(int error, void *userdata)
{
	struct monitor *monitor = userdata;

	/* No fanotify mark will ever be possible there. */
	if (error == -EOPNOTSUPP || error == -ENODEV || error == -EXDEV) {
		monitor->gate_impossible = true;
		monitor->fs.schedule.policy.gate_possible = false;
	}

	schedule_armed(&monitor->fs.schedule, manager_now(monitor->manager), error == 0);
	if (error == 0)
		monitor_check(monitor);
	else
		monitor_wait(monitor);
}

static void on_gate_opened(void *userdata)
{
	struct monitor *monitor = userdata;

	schedule_opened(&monitor->fs.schedule, manager_now(monitor->manager));
	monitor_check(monitor);
}

static const struct gate_ops monitor_gate_ops = {
	.opened = on_gate_opened,
	.armed = on_gate_armed,
};

void monitor_gate_configure(struct monitor *monitor)
{
	monitor->fs.schedule.policy.gate_possible = !monitor_is_foreign(monitor) &&
						    !monitor->gate_impossible &&
						    settings_use_gate(monitor->manager->settings);
}

int monitor_gate_init(struct monitor *monitor)
{
	monitor_gate_configure(monitor);
	return gate_member_new(&monitor->gate, monitor->manager->gate, &monitor_gate_ops, monitor);
}
