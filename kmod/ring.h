/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_RING_H
#define FSEVENTS_RING_H

/*
 * Records of one multicast group on their way out
 *
 * A producer writes into the ring of its processor: no lock, no allocation, no
 * wait. One worker merges the rings by time, numbers what it takes and sends it
 * in batches. What finds its ring full is counted, and the worker leaves as
 * many numbers out.
 *
 * It is not for events of filesystems: see event.h.
 */

#include <linux/types.h>
#include <linux/workqueue.h>

#include "../include/fs_event.h"

struct ring_cpu;

struct ring {
	const char *name;
	unsigned int group; /* enum family_group */
	struct ring_cpu __percpu *cpus; /* NULL: nobody has asked yet */
	struct delayed_work drain;
	u64 seq; /* numbers given; the worker's */
	u64 lost_accounted; /* in seq; the worker's */
	u64 lost_send;
	bool is_stuck; /* the last attempt found no memory; the worker's */
};

extern struct ring ring_inode;
extern struct ring ring_proc;

/**
 * ring_start() - get the buffers of a ring
 *
 * Call it before the first producer can run; nothing happens when they are
 * there. They stay until ring_exit(). The caller holds the control lock.
 *
 * Return: 0, or -ENOMEM.
 */
int ring_start(struct ring *ring);

/**
 * ring_reserve() - begin a record
 * @size: of the whole record
 * @flags: to be given to ring_commit(); interrupts are off in between
 *
 * Return: the record, zeroed but for its size and time; NULL: there is no room,
 * which has been counted, and nothing is to be committed.
 */
void *ring_reserve(struct ring *ring, u32 size, unsigned long *flags);

void ring_commit(struct ring *ring, struct fs_event_record *record, unsigned long flags);

/* Counts as lost what can be no record; any context. After ring_start(). */
void ring_lose(struct ring *ring);

/*
 * Waits until what was recorded before has been given to the sockets. -ENOMEM: not all of it,
 * and the worker tries again.
 */
int ring_flush(struct ring *ring);

u64 ring_lost(const struct ring *ring);

int ring_init(void);
/* No producer may run any more. */
void ring_exit(void);

#endif
