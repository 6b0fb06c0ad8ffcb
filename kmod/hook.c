// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/module.h>

#include "hook.h"
#include "point.h"
#include "probe.h"

void hook_update(void)
{
	u64 wanted[FILESYSTEM_TYPE_MAX + 1];
	int i;

	lockdep_assert_held(&control_lock);
	for (i = 0; i <= FILESYSTEM_TYPE_MAX; i++)
		wanted[i] = filesystem_wanted(i);
	point_update_all(wanted);
	probe_update_all(wanted);
}

u64 hook_capable(enum filesystem_type type)
{
	return point_capable(type) | probe_capable(type);
}

int hook_init(void)
{
	return point_init();
}

void hook_exit(void)
{
	point_exit();
}
