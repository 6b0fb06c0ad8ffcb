/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Those that wait for one timer
 *
 * Each has a time of its own. Who has been served and waits again stands behind
 * all others, so that a bounded number in each wake-up serves everyone in turn
 * however many are due. Pure; no order but this one is kept, and each wake-up
 * passes over all of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Embedded in what waits. Zeroed: it does not. */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	uint64_t due_us;
	bool queued;
};

struct waiter_queue {
	TAILQ_HEAD(, waiter) waiters;
};

void waiter_queue_init(struct waiter_queue *queue);

/** waiter_queue_set() - @due_us replaces what @waiter waited for before and keeps its place; UINT64_MAX: it waits no more */
void waiter_queue_set(struct waiter_queue *queue, struct waiter *waiter, uint64_t due_us);

/**
 * waiter_queue_pop() - take out those that are due, at most @max, first come first served
 *
 * Return: their number. They wait no more.
 */
size_t waiter_queue_pop(struct waiter_queue *queue, uint64_t now_us, struct waiter **ret,
			size_t max);

/** waiter_queue_due() - when the next one is due; UINT64_MAX: nobody waits */
uint64_t waiter_queue_due(const struct waiter_queue *queue);
