/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "daemon/core/capability.h"
#include "daemon/core/fusion-hint.h"
#include "daemon/health.h"
#include "daemon/manager.h"
#include "daemon/monitor-internal.h"
#include "daemon/source/module.h"

/* Thresholds are the daemon's own affair, and that it is unmounted the table of mounts says. */
#define MODULE_EVENTS                                                                              \
	(FS_EVENT_BIT(FS_WARN_ENOSPC) | FS_EVENT_BIT(FS_WARN_ENOSPC_META) |                        \
	 FS_EVENT_BIT(FS_EVENT_ENOSPC_INODES) | FS_EVENT_BIT(FS_ERR_REMOUNT_RO) |                  \
	 FS_EVENT_BIT(FS_EVENT_READ_WRITE) | FS_EVENT_BIT(FS_ERR_CORRUPTED) |                      \
	 FS_EVENT_BIT(FS_EVENT_IO_ERROR) | FS_EVENT_BIT(FS_EVENT_WRITEBACK_ERROR) |                \
	 FS_EVENT_BIT(FS_EVENT_SHUTDOWN) | FS_EVENT_BIT(FS_EVENT_FROZEN) |                         \
	 FS_EVENT_BIT(FS_EVENT_THAWED))

/* Between two requests of one that was refused. */
#define MODULE_PAUSE_US 1000000ULL

static bool is_error(const struct fusion_hint *hint)
{
	return hint->kind == FUSION_HINT_CORRUPTED || hint->kind == FUSION_HINT_IO_ERROR;
}

static bool is_space(const struct fusion_hint *hint)
{
	return hint->kind == FUSION_HINT_NO_SPACE || hint->kind == FUSION_HINT_NO_METADATA ||
	       hint->kind == FUSION_HINT_NO_INODES;
}

static void on_event(const struct wire_event *event, void *userdata)
{
	struct monitor *monitor = userdata;
	struct fusion_hint hint;

	if (!fusion_hint_from_event(&hint, event))
		return;
	/* A look at what is damaged raises the error once more, and would lead to another look. */
	if (is_error(&hint) && hint.pid > 0 &&
	    pool_owns_pid(monitor->manager->pool, (pid_t)hint.pid))
		return;

	monitor_hint(monitor, &hint);
	if (is_space(&hint) && monitor->live)
		monitor_check(monitor);
}

/* It tells changes alone: what is so already stands in its answer. */
static void module_take_holds(struct monitor *monitor, uint64_t holds)
{
	bool frozen = holds & FS_EVENT_BIT(FS_EVENT_FROZEN);
	const struct fusion_hint hint = {
		.kind = frozen ? FUSION_HINT_FROZEN : FUSION_HINT_THAWED,
		.source = FUSION_SOURCE_MODULE,
		.count = 1,
	};

	monitor_hint(monitor, &hint);
}

/* Return: whether there will be another answer. */
static bool module_ask_root(struct monitor *monitor)
{
	const struct mount *mount = monitor_reachable_mount(monitor);
	const struct superblock *sb = monitor->fs.sb;
	struct module_root root = {
		.lane = monitor_lane(monitor),
		.lane_key = sb->generation,
		.owner_uid = sb->owner_uid,
	};

	if (!mount)
		return false;
	root.where = mount->where;
	root.mount_id = mount_number(mount);
	root.mount_id_is_unique = mount->unique_id != 0;
	return module_member_ask_root(monitor->module, &root) == 0;
}

static void on_answered(int error, const struct wire_event_answer *answer, void *userdata)
{
	struct monitor *monitor = userdata;

	if (error == -ENOENT && module_ask_root(monitor))
		return;
	monitor->module_again = error < 0 && error != -EOPNOTSUPP && error != -ENODEV;
	/* What was granted before holds, whatever became of asking once more. */
	if (monitor->module_again && monitor->module_codes)
		return;
	monitor->module_codes = error == 0 ? capability_of_module(answer->capable) : 0;
	monitor_health_capabilities(monitor);
	if (error == 0 && answer->has_holds)
		module_take_holds(monitor, answer->holds);
	if (error == 0)
		monitor_look_soon(monitor, false);
}

static const struct module_member_ops monitor_module_ops = {
	.event = on_event,
	.answered = on_answered,
};

void monitor_module_begin(struct monitor *monitor)
{
	struct module *module = health_module(monitor->manager->health);
	const struct superblock *sb = monitor->fs.sb;
	struct module_interest interest = { .type = monitor->type, .events = MODULE_EVENTS };

	if (monitor->module || !module || monitor_is_foreign(monitor) ||
	    !capability_wants_module(sb))
		return;
	interest.major = sb->key.major;
	interest.minor = sb->key.minor;
	/* Without memory the other sources serve, and it is tried again. */
	(void)module_member_new(&monitor->module, module, &interest, &monitor_module_ops, monitor);
}

void monitor_module_deinit(struct monitor *monitor)
{
	monitor->module = module_member_free(monitor->module);
}

void monitor_module_retry(struct monitor *monitor)
{
	uint64_t now_us = manager_now(monitor->manager);

	if (!monitor->health_begun)
		return;
	monitor_module_begin(monitor);
	if (!monitor->module_again || now_us < monitor->module_us + MODULE_PAUSE_US)
		return;
	monitor->module_us = now_us;
	module_member_ask(monitor->module);
}
