/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a group has told and nobody has taken yet
 *
 * Events in their order with losses in their place. Each item is charged to
 * the owner of the group before it is made; what has no room becomes a loss.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/group.h"
#include "daemon/core/quota.h"

struct process_loss {
	uint64_t count;
	bool unknown; /* and more, nobody knows how many */
};

struct process_item {
	STAILQ_ENTRY(process_item) next;
	struct quota_charge charge;
	struct process_loss lost; /* right before it */
	uint64_t seq;
	uint64_t realtime_us;
	struct group_event event;
	char file[]; /* NUL-terminated */
};

/* Initialised by process_queue_init(). */
struct process_queue {
	STAILQ_HEAD(, process_item) items;
	size_t n_items;
	struct process_loss lost; /* behind the last item */
};

void process_queue_init(struct process_queue *queue);
void process_queue_deinit(struct process_queue *queue);
bool process_queue_is_empty(const struct process_queue *queue);

enum {
	_PROCESS_QUEUE_E_SUCCESS,

	PROCESS_QUEUE_E_DROPPED, /* no room: it is a loss in its place */
};

/**
 * process_queue_push() - at the end
 * @file:	@n_file bytes, may be none
 *
 * Return: 0 or PROCESS_QUEUE_E_DROPPED.
 */
int process_queue_push(struct process_queue *queue, struct quota *quota, uid_t uid,
		       const struct process_item *item, const char *file, size_t n_file);
/** process_queue_takes() - whether one with a name of @n_file bytes has room now */
bool process_queue_takes(struct quota *quota, uid_t uid, size_t n_file);
/** process_queue_push_lost() - @count 0: unknown */
void process_queue_push_lost(struct process_queue *queue, uint64_t count);
/** process_queue_pop() - the first item, and its charge */
void process_queue_pop(struct process_queue *queue);
