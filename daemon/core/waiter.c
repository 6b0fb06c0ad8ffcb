/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/waiter.h"

void waiter_queue_init(struct waiter_queue *queue)
{
	assert(queue);

	TAILQ_INIT(&queue->waiters);
}

void waiter_queue_set(struct waiter_queue *queue, struct waiter *waiter, uint64_t due_us)
{
	assert(queue);
	assert(waiter);

	if (waiter->queued && due_us == UINT64_MAX)
		TAILQ_REMOVE(&queue->waiters, waiter, link);
	else if (!waiter->queued && due_us != UINT64_MAX)
		TAILQ_INSERT_TAIL(&queue->waiters, waiter, link);
	waiter->queued = due_us != UINT64_MAX;
	waiter->due_us = due_us;
}

size_t waiter_queue_pop(struct waiter_queue *queue, uint64_t now_us, struct waiter **ret,
			size_t max)
{
	struct waiter *waiter, *next;
	size_t n = 0;

	assert(queue);
	assert(ret || max == 0);

	for (waiter = TAILQ_FIRST(&queue->waiters); waiter && n < max; waiter = next) {
		next = TAILQ_NEXT(waiter, link);
		if (waiter->due_us > now_us)
			continue;
		waiter_queue_set(queue, waiter, UINT64_MAX);
		ret[n++] = waiter;
	}
	return n;
}

uint64_t waiter_queue_due(const struct waiter_queue *queue)
{
	uint64_t due_us = UINT64_MAX;
	struct waiter *waiter;

	assert(queue);

	TAILQ_FOREACH(waiter, &queue->waiters, link)
		if (waiter->due_us < due_us)
			due_us = waiter->due_us;
	return due_us;
}
