/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/watch-block.h"
#include "daemon/core/watch-record.h"

/* After these a name may be another place. */
#define UPHEAVAL (FSEVENTS_MOUNT | FSEVENTS_UNMOUNT | FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF)

/* One for each 64 bytes: records are longer. */
static size_t n_slots(size_t size)
{
	return size / 64;
}

size_t watch_block_room(size_t size)
{
	assert(size >= WATCH_BLOCK_MIN && size <= WATCH_BLOCK_MAX);

	return (size - sizeof(struct watch_block) - n_slots(size) * sizeof(uint16_t)) & ~(size_t)7;
}

int watch_block_new(struct watch_block **ret, size_t size, struct quota_charge *charge)
{
	struct watch_block *block;

	assert(ret && charge);

	block = malloc(size);
	if (!block)
		return -ENOMEM;

	*block = (struct watch_block){
		.n_room = (uint32_t)watch_block_room(size),
		.latest_mask = (uint32_t)n_slots(size) - 1,
	};
	quota_move(&block->charge, charge);
	block->latest = (uint16_t *)(void *)watch_block_at(block, block->n_room);
	memset(block->latest, 0, n_slots(size) * sizeof(*block->latest));
	*ret = block;
	return 0;
}

struct watch_block *watch_block_free(struct watch_block *block)
{
	if (!block)
		return NULL;

	quota_release(&block->charge);
	free(block);
	return NULL;
}

uint64_t watch_name_hash(const char *name, size_t n)
{
	uint64_t hash = n, word;

	/* By words, for speed: who makes names meet only has them told apart. */
	for (; n >= 8; name += 8, n -= 8) {
		memcpy(&word, name, 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
		hash ^= hash >> 29;
	}
	word = 0;
	if (n > 0)
		memcpy(&word, name, n);
	hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
	return hash ^ hash >> 32;
}

struct fsevents_change *watch_block_find(const struct watch_block *block, uint64_t hash,
					 const char *name, size_t n_name)
{
	uint32_t slot, offset;
	struct fsevents_change *record;

	assert(block);

	slot = block->latest[hash & block->latest_mask];
	if (slot == 0)
		return NULL;
	offset = (slot - 1) * 8;
	if (offset < block->mergeable)
		return NULL;

	record = (struct fsevents_change *)(void *)watch_block_at(block, offset);
	if (record->n_name != n_name || memcmp(record + 1, name, n_name) != 0)
		return NULL;
	return record;
}

void watch_block_append(struct watch_block *block, const struct change *change, uint64_t seq,
			uint64_t hash)
{
	uint32_t offset;

	assert(block);
	assert(watch_record_change_size(change) <= block->n_room - block->used);

	/* The former name is gone: nothing is told of it in its last record any more. */
	if (change->n_former > 0) {
		uint64_t former = watch_name_hash(change->former, change->n_former);

		if (watch_block_find(block, former, change->former, change->n_former))
			block->latest[former & block->latest_mask] = 0;
	}

	offset = block->used;
	block->used +=
		(uint32_t)watch_record_put_change(watch_block_at(block, offset), change, seq);
	block->n_changes++;
	block->latest[hash & block->latest_mask] = (uint16_t)(offset / 8 + 1);

	/* With a directory all names below it are others. */
	if ((change->mask & UPHEAVAL) ||
	    ((change->mask & FSEVENTS_MOVE) && (change->mask & FSEVENTS_DIRECTORY)))
		block->mergeable = offset;
}

void watch_block_cut(struct watch_block *block, uint32_t offset)
{
	assert(block);
	assert(offset >= block->peeked && offset <= block->used);

	/* What is put there next may begin at other places. */
	memset(block->latest, 0, (block->latest_mask + 1) * sizeof(*block->latest));
	block->used = block->mergeable = offset;
}
