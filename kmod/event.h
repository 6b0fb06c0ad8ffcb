/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_EVENT_H
#define FSEVENTS_EVENT_H

/*
 * Events of filesystems on their way out
 *
 * A queue of fixed size and one worker that sends. An event gets its number
 * when it is pushed, before anything can fail; what finds the queue full or no
 * memory keeps its number, and the listener sees the gap.
 */

#include <linux/types.h>

#include "../include/fs_event.h"

struct sk_buff;

struct event {
	u64 seq; /* given by event_push() */
	u64 time_ns; /* given by event_push() */
	u64 lost; /* given by event_push(): before this one */
	u32 id; /* enum fs_event_id */
	u32 fs_id; /* 0: not known */
	dev_t dev;
	u32 caused_id; /* tgid, 0: none */
	u64 data;
	u64 inode; /* 0: none */
	u32 error; /* positive, 0: none */
	u32 count; /* of repetitions, 0: it is none */
	bool test;
	char level[FS_EVENT_LEVEL_NAME_MAX + 1]; /* "": none */
	struct sk_buff *message; /* NULL: to be made of the fields above */
	void *message_head;
};

/* Copies @event; any context but NMI. */
void event_push(struct event *event);

/* Waits until what was pushed before has been given to the sockets. */
void event_flush(void);

struct event_stats {
	u64 seq;
	u64 lost_buffer;
	u64 lost_memory;
	u64 lost_send;
};

void event_get_stats(struct event_stats *ret);

int event_init(void);
void event_exit(void);

#endif
