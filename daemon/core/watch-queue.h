/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a watch has to tell and nobody has taken yet
 *
 * Records of include/fsevents_stream.h, whole packets of them, ready to be sent as
 * they are; signals on the bus are read from the same records. Memory is
 * charged to the owner of the watch before it is taken, in blocks.
 *
 * Each record has its number before anything can fail. What comes again is
 * merged into the last record of that name and inode, as long as that was not
 * taken and nothing that makes, removes or moves a name was told of that name since. When there is no
 * room, the records of the newest directory collapse into "look through this directory again"
 * with their exact count; when even that has no room, what is dropped is counted and told as
 * lost in its place. Pure; amortised constant time and no allocation per record.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/change.h"
#include "daemon/core/quota.h"

#define WATCH_PACKET_MAX 65536

struct watch_queue;

/** watch_queue_new() - @quota: borrowed; charges QUOTA_QUEUE_BYTES of @uid */
int watch_queue_new(struct watch_queue **ret, struct quota *quota, uid_t uid);
struct watch_queue *watch_queue_free(struct watch_queue *queue);
DEFINE_FREEP(watch_queue, watch_queue_free)

/** watch_queue_push() - at the end, or merged; never fails: what has no room is a loss */
void watch_queue_push(struct watch_queue *queue, const struct change *change);
/** watch_queue_push_lost() - @count 0: not known; @under: n 0: all of it */
void watch_queue_push_lost(struct watch_queue *queue, uint64_t count, const char *under,
			   size_t n_under);

bool watch_queue_is_empty(const struct watch_queue *queue);

/**
 * watch_queue_peek() - the oldest packet: whole records, at least one
 * @n_max:	bytes at most; at least 16384
 *
 * Nothing is merged into what was peeked. Return: its bytes, 8-aligned, until the next
 * call of any other function; NULL: nothing.
 */
const void *watch_queue_peek(struct watch_queue *queue, size_t n_max, size_t *ret_n);
/** watch_queue_pop() - what was peeked was taken */
void watch_queue_pop(struct watch_queue *queue);

struct watch_queue_statistics {
	uint64_t pushed; /* changes */
	uint64_t merged; /* of them into another record */
	uint64_t delivered; /* records of changes that were taken */
	uint64_t lost; /* changes that became a loss, with known count */
	uint64_t queued; /* records of changes there now */
	uint64_t bytes; /* held now */
};
/* pushed = merged + delivered + lost + queued, always. */
void watch_queue_statistics(const struct watch_queue *queue, struct watch_queue_statistics *ret);

/* A record of a packet, as watch_queue_peek() gave it; strings lie in the packet. */
struct watch_record {
	bool is_lost;
	uint64_t seq; /* of a change */
	struct change change;
	uint64_t count; /* of a loss */
	const char *under;
	size_t n_under;
};

/** watch_record_next() - walk a packet; @offset 0 at the start; Return: false at the end */
bool watch_record_next(const void *packet, size_t n, size_t *offset, struct watch_record *ret);
