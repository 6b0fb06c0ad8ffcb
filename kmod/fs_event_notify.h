/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FS_EVENT_NOTIFY_H
#define FS_EVENT_NOTIFY_H

/*
 * What other modules call to produce events
 *
 * Both may be called in any context but NMI, and never wait.
 */

#include <linux/types.h>

struct sk_buff;
struct super_block;

/**
 * fs_event_notify() - something happened to a filesystem
 * @sb: mounted, and kept so by the caller
 * @event_id: enum fs_event_id, not a threshold, FS_EVENT_UNMOUNTED or FS_EVENT_NONE
 *
 * The process is the current one where there is one. Nothing happens unless
 * somebody requests this event of this filesystem.
 */
void fs_event_notify(struct super_block *sb, unsigned int event_id);

/**
 * fs_netlink_send_event() - send a message of one's own to the group of events
 * @size: bytes that @compose_msg() may add
 * @event_id: becomes FS_NL_A_EVENT_ID, unless it is FS_EVENT_NONE
 * @compose_msg: adds attributes; 0 or a negative errno. It may be called with
 *	interrupts off and must not wait.
 * @cbdata: for @compose_msg()
 *
 * Return: 0: it is numbered and queued, or nobody listens; -EINVAL; -ENOMEM,
 * -EMSGSIZE or the error of @compose_msg(): it is lost, and listeners see the gap.
 */
int fs_netlink_send_event(size_t size, unsigned int event_id,
			  int (*compose_msg)(struct sk_buff *skb, void *data), void *cbdata);

#endif
