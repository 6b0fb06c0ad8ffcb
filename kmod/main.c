// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fsevents.ko - raw notifications that no stock interface gives
 *
 * What it tells and to whom is in include/fs_event.h.
 */

#include <linux/module.h>

#include "../include/fs_event.h"
#include "event.h"
#include "filesystem.h"
#include "find.h"
#include "hook.h"
#include "mark.h"
#include "family.h"
#include "owner.h"
#include "process.h"
#include "ring.h"

static int __init fsevents_init(void)
{
	int error;

	error = process_init();
	if (error)
		return error;
	error = event_init();
	if (error)
		return error;
	error = ring_init();
	if (error)
		goto err_event;
	error = filesystem_init();
	if (error)
		goto err_ring;
	error = find_init();
	if (error)
		goto err_filesystem;
	error = mark_init();
	if (error)
		goto err_find;
	error = hook_init();
	if (error)
		goto err_mark;
	error = owner_init();
	if (error)
		goto err_hook;
	error = family_init();
	if (error)
		goto err_owner;
	return 0;

err_owner:
	owner_exit();
err_hook:
	hook_exit();
err_mark:
	mark_exit();
	owner_flush();
err_find:
	find_exit();
err_filesystem:
	filesystem_exit();
err_ring:
	ring_exit();
err_event:
	event_exit();
	return error;
}

static void __exit fsevents_exit(void)
{
	/* No request any more, then nothing that produces, then what sends. */
	family_stop();
	event_flush();
	ring_flush(&ring_inode);
	ring_flush(&ring_proc);
	family_exit();
	find_exit();
	owner_exit();
	hook_exit();
	mark_exit();
	owner_flush();
	filesystem_exit();
	ring_exit();
	event_exit();
}

module_init(fsevents_init);
module_exit(fsevents_exit);

MODULE_DESCRIPTION("Raw notifications of filesystems and processes over generic netlink");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
MODULE_ALIAS("net-pf-16-proto-16-family-" FS_EVENTS_FAMILY_NAME);
