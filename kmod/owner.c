// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "filesystem.h"
#include "hook.h"
#include "mark.h"
#include "owner.h"
#include "process.h"
#include "watch.h"

#define OWNERS_MAX 256

static LIST_HEAD(owners); /* changed under control_lock and owners_lock */
static DEFINE_SPINLOCK(owners_lock);
static unsigned int n_owners; /* control_lock */

struct owner *owner_find(u32 port_id)
{
	struct owner *owner;

	lockdep_assert_held(&control_lock);
	list_for_each_entry(owner, &owners, node)
		if (owner->port_id == port_id && !READ_ONCE(owner->is_closed))
			return owner;
	return NULL;
}

void owner_put(struct owner *owner)
{
	lockdep_assert_held(&control_lock);
	if (!list_empty(&owner->requests) || !list_empty(&owner->watches) || owner->proc_events ||
	    owner->ignored)
		return;
	spin_lock(&owners_lock);
	list_del(&owner->node);
	spin_unlock(&owners_lock);
	n_owners--;
	kfree(owner);
}

static void owner_release(struct owner *owner)
{
	struct fs_request *request, *next_request;
	struct watch *watch, *next_watch;

	list_for_each_entry_safe(request, next_request, &owner->requests, owner_node)
		filesystem_withdraw(request);
	list_for_each_entry_safe(watch, next_watch, &owner->watches, owner_node)
		watch_remove(watch);
	if (owner->ignored)
		mark_unignore(owner->ignored);
	owner->ignored = NULL;
	owner->proc_events = 0;
	owner_put(owner);
}

void owner_release_closed(void)
{
	struct owner *owner, *next;

	lockdep_assert_held(&control_lock);
	list_for_each_entry_safe(owner, next, &owners, node)
		if (READ_ONCE(owner->is_closed))
			owner_release(owner);
}

struct owner *owner_get(u32 port_id)
{
	struct owner *owner = owner_find(port_id);

	owner_release_closed();
	if (owner)
		return owner;
	if (n_owners >= OWNERS_MAX)
		return NULL;
	owner = kzalloc(sizeof(*owner), GFP_KERNEL);
	if (!owner)
		return NULL;
	owner->port_id = port_id;
	INIT_LIST_HEAD(&owner->requests);
	INIT_LIST_HEAD(&owner->watches);
	spin_lock(&owners_lock);
	list_add_tail(&owner->node, &owners);
	spin_unlock(&owners_lock);
	n_owners++;
	return owner;
}

u32 owner_proc_events(void)
{
	struct owner *owner;
	u32 events = 0;

	lockdep_assert_held(&control_lock);
	list_for_each_entry(owner, &owners, node)
		events |= owner->proc_events;
	return events;
}

/*
 * Without the control lock, which may be held while hooks are turned on and off. Whoever
 * closes a socket waits for nothing.
 */
static bool owner_close(u32 port_id)
{
	struct owner *owner;
	bool is_there = false;

	spin_lock(&owners_lock);
	list_for_each_entry(owner, &owners, node) {
		if (owner->port_id != port_id)
			continue;
		WRITE_ONCE(owner->is_closed, true);
		is_there = true;
	}
	spin_unlock(&owners_lock);
	return is_there;
}

static int owner_notify(struct notifier_block *block, unsigned long action, void *data)
{
	const struct netlink_notify *notify = data;

	/* Port ids are per network namespace, and requests come from the first one alone. */
	if (action != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC ||
	    !net_eq(notify->net, &init_net))
		return NOTIFY_DONE;
	/* Sockets of all families come here, and no request of this one runs any more. */
	if (owner_close(notify->portid))
		owner_reap();
	return NOTIFY_DONE;
}

static struct notifier_block owner_notifier = { .notifier_call = owner_notify };

static void owner_reap_work(struct work_struct *work)
{
	struct fs_request *request, *next_request;
	struct watch *watch, *next_watch;
	struct owner *owner, *next_owner;

	mutex_lock(&control_lock);
	owner_release_closed();
	list_for_each_entry_safe(owner, next_owner, &owners, node) {
		list_for_each_entry_safe(request, next_request, &owner->requests, owner_node)
			if (!READ_ONCE(request->fs->sb))
				filesystem_withdraw(request);
		list_for_each_entry_safe(watch, next_watch, &owner->watches, owner_node)
			if (READ_ONCE(watch->is_gone))
				watch_remove(watch);
		owner_put(owner);
	}
	process_update();
	hook_update();
	mutex_unlock(&control_lock);
}

static DECLARE_WORK(reap_work, owner_reap_work);

void owner_reap(void)
{
	queue_work(system_unbound_wq, &reap_work);
}

int owner_init(void)
{
	return netlink_register_notifier(&owner_notifier);
}

void owner_exit(void)
{
	struct owner *owner, *next;

	netlink_unregister_notifier(&owner_notifier);
	mutex_lock(&control_lock);
	list_for_each_entry_safe(owner, next, &owners, node)
		owner_release(owner);
	process_update();
	hook_update();
	mutex_unlock(&control_lock);
}

void owner_flush(void)
{
	flush_work(&reap_work);
	watch_flush();
}
