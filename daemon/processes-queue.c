/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/processes-queue.h"

void process_queue_init(struct process_queue *queue)
{
	assert(queue);

	STAILQ_INIT(&queue->items);
	queue->n_items = 0;
	queue->lost = (struct process_loss){};
}

void process_queue_deinit(struct process_queue *queue)
{
	assert(queue);

	while (!STAILQ_EMPTY(&queue->items))
		process_queue_pop(queue);
	queue->lost = (struct process_loss){};
}

bool process_queue_is_empty(const struct process_queue *queue)
{
	assert(queue);

	return STAILQ_EMPTY(&queue->items) && queue->lost.count == 0 && !queue->lost.unknown;
}

int process_queue_push(struct process_queue *queue, struct quota *quota, uid_t uid,
		       const struct process_item *item, const char *file, size_t n_file)
{
	struct quota_charge charge = {};
	struct process_item *copy;
	size_t size;

	assert(queue && quota && item);
	assert(file || n_file == 0);

	size = sizeof(*copy) + n_file + 1;
	copy = malloc(size);
	if (copy)
		copy->charge = charge;
	if (!copy || quota_charge(quota, &copy->charge, uid, QUOTA_QUEUE_BYTES, size) != 0) {
		free(copy);
		process_queue_push_lost(queue, 1);
		return PROCESS_QUEUE_E_DROPPED;
	}

	copy->seq = item->seq;
	copy->realtime_us = item->realtime_us;
	copy->event = item->event;
	memcpy(copy->file, file ? file : "", n_file);
	copy->file[n_file] = '\0';

	copy->lost = queue->lost;
	queue->lost = (struct process_loss){};
	STAILQ_INSERT_TAIL(&queue->items, copy, next);
	queue->n_items++;
	return 0;
}

bool process_queue_takes(struct quota *quota, uid_t uid, size_t n_file)
{
	struct quota_charge charge = {};
	bool takes;

	assert(quota);

	takes = quota_charge(quota, &charge, uid, QUOTA_QUEUE_BYTES,
			     sizeof(struct process_item) + n_file + 1) == 0;
	quota_release(&charge);
	return takes;
}

void process_queue_push_lost(struct process_queue *queue, uint64_t count)
{
	assert(queue);

	if (count == 0)
		queue->lost.unknown = true;
	else if (__builtin_add_overflow(queue->lost.count, count, &queue->lost.count))
		queue->lost.count = UINT64_MAX;
}

void process_queue_pop(struct process_queue *queue)
{
	struct process_item *item = STAILQ_FIRST(&queue->items);

	assert(item);

	STAILQ_REMOVE_HEAD(&queue->items, next);
	queue->n_items--;
	quota_release(&item->charge);
	free(item);
}
