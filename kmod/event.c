// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "event.h"
#include "fs_event_notify.h"
#include "family.h"

#define QUEUE_EVENTS 512

static struct {
	/* Raw: probes of functions run with preemption off, also where others may sleep on locks. */
	raw_spinlock_t lock;
	struct event events[QUEUE_EVENTS]; /* a ring; @lock */
	unsigned int first; /* @lock */
	unsigned int n_events; /* @lock */
	u64 seq; /* given so far; @lock */
	u64 lost_buffer; /* @lock */
	u64 lost_memory; /* @lock */
	u64 lost_send; /* @lock */
	struct workqueue_struct *workqueue;
	struct work_struct send;
} queue = { .lock = __RAW_SPIN_LOCK_UNLOCKED(queue.lock) };

/* Numbers @event and queues it; false: there is no room. The caller holds the lock. */
static bool event_enqueue(struct event *event)
{
	lockdep_assert_held(&queue.lock);

	event->seq = ++queue.seq;
	event->time_ns = ktime_get_mono_fast_ns();
	event->lost = queue.lost_buffer + queue.lost_memory;
	if (queue.n_events == QUEUE_EVENTS) {
		queue.lost_buffer++;
		return false;
	}
	queue.events[(queue.first + queue.n_events++) % QUEUE_EVENTS] = *event;
	queue_work(queue.workqueue, &queue.send);
	return true;
}

void event_push(struct event *event)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&queue.lock, flags);
	event_enqueue(event);
	raw_spin_unlock_irqrestore(&queue.lock, flags);
}

/* A message that was lost before it could be queued still has a number. */
static void event_push_lost(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&queue.lock, flags);
	queue.seq++;
	queue.lost_memory++;
	raw_spin_unlock_irqrestore(&queue.lock, flags);
}

static bool event_pop(struct event *ret)
{
	unsigned long flags;
	bool found = false;

	raw_spin_lock_irqsave(&queue.lock, flags);
	if (queue.n_events) {
		*ret = queue.events[queue.first];
		queue.first = (queue.first + 1) % QUEUE_EVENTS;
		queue.n_events--;
		found = true;
	}
	raw_spin_unlock_irqrestore(&queue.lock, flags);
	return found;
}

static void event_count_loss(int error)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&queue.lock, flags);
	if (error == -ENOMEM)
		queue.lost_memory++;
	else if (error == -ENOBUFS)
		queue.lost_send++;
	raw_spin_unlock_irqrestore(&queue.lock, flags);
}

static void event_send(struct work_struct *work)
{
	struct event event;

	while (event_pop(&event)) {
		event_count_loss(family_send_event(&event));
		cond_resched();
	}
}

void event_flush(void)
{
	queue_work(queue.workqueue, &queue.send);
	flush_work(&queue.send);
}

void event_get_stats(struct event_stats *ret)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&queue.lock, flags);
	ret->seq = queue.seq;
	ret->lost_buffer = queue.lost_buffer;
	ret->lost_memory = queue.lost_memory;
	ret->lost_send = queue.lost_send;
	raw_spin_unlock_irqrestore(&queue.lock, flags);
}

int fs_netlink_send_event(size_t size, unsigned int event_id,
			  int (*compose_msg)(struct sk_buff *skb, void *data), void *cbdata)
{
	struct event event = { .id = event_id };
	unsigned long flags;
	bool queued;
	int error;

	if (!compose_msg || !size || event_id > FS_EVENT_ID_MAX)
		return -EINVAL;
	if (!family_has_listeners(FAMILY_GROUP_EVENT))
		return 0;

	error = family_compose_event(&event, size, compose_msg, cbdata);
	if (error) {
		event_push_lost();
		return error;
	}

	raw_spin_lock_irqsave(&queue.lock, flags);
	queued = event_enqueue(&event);
	raw_spin_unlock_irqrestore(&queue.lock, flags);
	if (!queued) {
		family_discard_event(&event);
		return -ENOMEM;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(fs_netlink_send_event);

int event_init(void)
{
	INIT_WORK(&queue.send, event_send);
	queue.workqueue = alloc_workqueue("fsevents_event", WQ_UNBOUND, 0);
	return queue.workqueue ? 0 : -ENOMEM;
}

void event_exit(void)
{
	flush_work(&queue.send);
	destroy_workqueue(queue.workqueue);
}
