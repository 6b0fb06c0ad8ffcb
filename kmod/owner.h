/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_OWNER_H
#define FSEVENTS_OWNER_H

/*
 * Who asked: one netlink port and all that is released with its socket
 */

#include <linux/list.h>
#include <linux/types.h>

struct pid;

struct owner {
	struct list_head node; /* of all; control_lock */
	u32 port_id;
	bool is_closed; /* its socket is gone; set once, under owners_lock */
	struct list_head requests; /* struct fs_request.owner_node */
	struct list_head watches; /* struct watch.owner_node */
	u32 proc_events;
	struct pid *ignored; /* a process, with a reference; NULL: none */
};

/* Under the control lock. Found, or made; NULL: no memory, or too many. */
struct owner *owner_get(u32 port_id);
/* Under the control lock; NULL: has asked for nothing, or is closed. */
struct owner *owner_find(u32 port_id);
/* Under the control lock: forgets it if it asks for nothing any more. */
void owner_put(struct owner *owner);

/*
 * Under the control lock: withdraws what is closed, so that others find what it had from that
 * moment on. The hooks that nobody needs any more are left to owner_reap().
 */
void owner_release_closed(void);
/* The union of all; under the control lock. */
u32 owner_proc_events(void);

/*
 * Soon withdraws what asks about filesystems and inodes that have gone, and what is closed;
 * any context.
 */
void owner_reap(void);

int owner_init(void);
/* Withdraws everything; no request runs any more. */
void owner_exit(void);
/*
 * No mark is left, so that nobody calls owner_reap() any more: waits for what it and
 * watch_remove() began.
 */
void owner_flush(void);

#endif
