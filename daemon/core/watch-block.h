/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A piece of memory with records of changes
 *
 * A packet as it will be sent, with a table that finds the latest record of a
 * name. The table knows one name for each hash: what is found is compared, and
 * what was displaced is not found. Who owns a block keeps its counts. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/change.h"
#include "daemon/core/quota.h"
#include "include/fsevents_stream.h"

/* Whole sizes, each four times the one before: a watch of which little is told takes little. */
#define WATCH_BLOCK_MIN 4096U
#define WATCH_BLOCK_MAX 65536U

/* Records from ->taken to ->used. */
struct watch_block {
	TAILQ_ENTRY(watch_block) next;
	struct quota_charge charge;
	uint32_t n_room, used;
	uint32_t taken, peeked; /* ->peeked is not less than ->taken */
	uint32_t mergeable; /* records before this place stay as they are */
	uint32_t n_changes, n_peeked_changes; /* records of changes, from ->taken on */
	uint32_t latest_mask;
	uint16_t *latest; /* behind the records: the place of one, in words and plus 1 */
	uint64_t data[];
};

/** watch_block_room() - bytes for records in a block of that size */
size_t watch_block_room(size_t size);

/** watch_block_new() - @size: power of two in the bounds above; @charge: moved; Return: 0 or -ENOMEM */
int watch_block_new(struct watch_block **ret, size_t size, struct quota_charge *charge);
/** watch_block_free() - and its charge */
struct watch_block *watch_block_free(struct watch_block *block);

static inline uint8_t *watch_block_at(const struct watch_block *block, uint32_t offset)
{
	return (uint8_t *)(uintptr_t)block->data + offset;
}

/** watch_name_hash() - for the next three */
uint64_t watch_name_hash(const char *name, size_t n);

/** watch_block_find() - the latest record of that name; NULL: not found, or it has to stay as it is */
struct fsevents_change *watch_block_find(const struct watch_block *block, uint64_t hash,
					 const char *name, size_t n_name);

/** watch_block_append() - put the record of @change at the end; there must be room */
void watch_block_append(struct watch_block *block, const struct change *change, uint64_t seq,
			uint64_t hash);

/** watch_block_cut() - forget all records from @offset on; the owner counts them */
void watch_block_cut(struct watch_block *block, uint32_t offset);
