/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a watch has to tell and nobody has taken yet
 *
 * Records of include/fsevents_stream.h, whole packets of them, ready to be sent as
 * they are; signals on the bus are read from the same records (watch-record.h).
 * Memory is charged to the owner of the watch before it is taken, in blocks, and
 * given back with the last record in them. A queue takes no more than it leaves
 * for the other queues of its user: one that nobody reads does not starve them.
 *
 * Each record has its number before anything can fail. What comes again is
 * merged into the last record of that name, inode and pid, as long as that was not
 * taken and nothing that makes, removes or moves a name was told of that name
 * since. Where there is no room, the records at the end that are of one
 * directory collapse into "look through this directory again" with their exact
 * count, and so does what comes of it, or from below it, right after; where that gains no
 * room, what is dropped is counted and told as lost in its place.
 *
 * Pure; amortised constant time and no allocation per record.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/change.h"
#include "daemon/core/quota.h"
#include "daemon/core/watch-record.h"

#define WATCH_PACKET_MAX 65536
#define WATCH_PACKET_MIN 16384 /* a reader takes at least this */

struct watch_queue;

/** watch_queue_new() - @quota: borrowed; charges QUOTA_QUEUE_BYTES of @uid; Return: 0 or -ENOMEM */
int watch_queue_new(struct watch_queue **ret, struct quota *quota, uid_t uid);
struct watch_queue *watch_queue_free(struct watch_queue *queue);
DEFINE_FREEP(watch_queue, watch_queue_free)

/**
 * watch_queue_push() - at the end, or merged
 *
 * Never fails: what has no room, and what has names longer than CHANGE_NAME_MAX,
 * is a loss.
 */
void watch_queue_push(struct watch_queue *queue, const struct change *change);

/**
 * watch_queue_push_lost() - changes that were lost before they came here
 * @count:	that take a number each; 0: not known, and none is taken
 * @under:	relative to what is watched; @n_under 0: all of it
 */
void watch_queue_push_lost(struct watch_queue *queue, uint64_t count, const char *under,
			   size_t n_under);

bool watch_queue_is_empty(const struct watch_queue *queue);

/**
 * watch_queue_peek() - the oldest packet: whole records, at least one
 * @n_max:	bytes at most; at least WATCH_PACKET_MIN
 *
 * What was peeked stays as it is until it is popped, whatever is pushed. Peeking
 * again gives the same from the start, and perhaps more behind it.
 *
 * Return: its bytes, 8-aligned, until watch_queue_pop() or _free(); NULL: nothing.
 */
const void *watch_queue_peek(struct watch_queue *queue, size_t n_max, size_t *ret_n);
/** watch_queue_pop() - what was peeked last was taken */
void watch_queue_pop(struct watch_queue *queue);

struct watch_queue_statistics {
	uint64_t pushed; /* changes, and those that were pushed as lost */
	uint64_t merged; /* of them into another record */
	uint64_t delivered; /* records of changes that were taken */
	uint64_t lost; /* changes that became a loss with known count, taken or not */
	uint64_t queued; /* records of changes there now */
	uint64_t bytes; /* charged now */
};
/** watch_queue_statistics() - pushed = merged + delivered + lost + queued, always */
void watch_queue_statistics(const struct watch_queue *queue, struct watch_queue_statistics *ret);
