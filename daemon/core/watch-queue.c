/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/watch-block.h"
#include "daemon/core/watch-loss.h"
#include "daemon/core/watch-queue.h"

/* These say that something is as it was before, with another content. */
#define MERGEABLE                                                                                  \
	(FSEVENTS_ACCESS | FSEVENTS_MODIFY | FSEVENTS_ATTRIB | FSEVENTS_CLOSE_WRITE |              \
	 FSEVENTS_OPEN | FSEVENTS_MERGED | FSEVENTS_DIRECTORY)

/* Of a known count and of an unknown one. */
#define LOSSES_MAX (2 * (sizeof(struct fsevents_watch_lost) + WATCH_UNDER_MAX))

/* Changes of one directory, one after the other, at the end of the queue. */
struct run {
	struct watch_block *block; /* where it begins; NULL: there is none */
	uint32_t offset;
	const char *dir; /* in the name of its last record */
	size_t n_dir;
};

struct watch_queue {
	struct quota *quota;
	uid_t uid;
	TAILQ_HEAD(watch_blocks, watch_block) blocks; /* none is empty */
	struct run run;
	uint64_t next_seq;
	struct watch_queue_statistics statistics;

	/* Behind the last block: one of a known count, one that is not known. */
	struct watch_loss known, unknown;
	bool collapsed; /* ->known is there for want of room */

	/* Before the first block: what was peeked when there were no records. */
	uint64_t losses[LOSSES_MAX / 8];
	size_t n_losses;
};

int watch_queue_new(struct watch_queue **ret, struct quota *quota, uid_t uid)
{
	struct watch_queue *queue;

	assert(ret && quota);

	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;

	queue->quota = quota;
	queue->uid = uid;
	queue->next_seq = 1;
	TAILQ_INIT(&queue->blocks);
	*ret = queue;
	return 0;
}

/*
 * Blocks
 */

static struct watch_block *last_block(const struct watch_queue *queue)
{
	return TAILQ_LAST(&queue->blocks, watch_blocks);
}

static void remove_block(struct watch_queue *queue, struct watch_block *block)
{
	struct watch_block *next = TAILQ_NEXT(block, next);

	if (!next)
		queue->run = (struct run){};
	else if (queue->run.block == block)
		queue->run = (struct run){ next, 0, queue->run.dir, queue->run.n_dir };

	queue->statistics.bytes -= block->charge.amount;
	TAILQ_REMOVE(&queue->blocks, block, next);
	watch_block_free(block);
}

struct watch_queue *watch_queue_free(struct watch_queue *queue)
{
	if (!queue)
		return NULL;

	while (!TAILQ_EMPTY(&queue->blocks))
		remove_block(queue, TAILQ_FIRST(&queue->blocks));
	assert(queue->statistics.bytes == 0);
	free(queue);
	return NULL;
}

/* As much as it holds must be free, too: n queues that nobody reads leave 1/(n+1). */
static bool charge_block(struct watch_queue *queue, struct quota_charge *charge, size_t size)
{
	struct quota_charge probe = {};

	if (quota_charge(queue->quota, &probe, queue->uid, QUOTA_QUEUE_BYTES,
			 size + queue->statistics.bytes) != 0)
		return false;
	quota_release(&probe);
	return quota_charge(queue->quota, charge, queue->uid, QUOTA_QUEUE_BYTES, size) == 0;
}

static struct watch_block *add_block(struct watch_queue *queue, size_t size)
{
	struct quota_charge charge = {};
	struct watch_block *block;

	if (!charge_block(queue, &charge, size))
		return NULL;
	if (watch_block_new(&block, size, &charge) < 0) {
		quota_release(&charge);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&queue->blocks, block, next);
	queue->statistics.bytes += size;
	return block;
}

/* Return: a block at the end with room for @need bytes; NULL: there is no room. */
static struct watch_block *make_room(struct watch_queue *queue, size_t need)
{
	struct watch_block *block = last_block(queue);
	size_t size = WATCH_BLOCK_MIN;

	if (block && block->n_room - block->used >= need)
		return block;

	if (queue->statistics.bytes > 0)
		size = queue->statistics.bytes < WATCH_BLOCK_MAX ? WATCH_BLOCK_MAX / 4
								 : WATCH_BLOCK_MAX;
	while (watch_block_room(size) < need)
		size *= 4;

	for (; size >= WATCH_BLOCK_MIN && watch_block_room(size) >= need; size /= 4) {
		block = add_block(queue, size);
		if (block)
			return block;
	}
	return NULL;
}

/*
 * The end of the queue
 */

static bool loses(const struct watch_queue *queue)
{
	return queue->known.active || queue->unknown.active;
}

static size_t losses_size(const struct watch_queue *queue)
{
	size_t n = 0;

	if (queue->unknown.active)
		n += watch_record_lost_size(queue->unknown.n_under);
	if (queue->known.active)
		n += watch_record_lost_size(queue->known.n_under);
	return n;
}

/* Return: bytes; there is no loss at the end after that. */
static size_t put_losses(struct watch_queue *queue, uint8_t *ret)
{
	size_t n = 0;

	if (queue->known.active)
		n += watch_record_put_lost(ret, queue->known.count, queue->known.under,
					   queue->known.n_under);
	if (queue->unknown.active)
		n += watch_record_put_lost(ret + n, 0, queue->unknown.under,
					   queue->unknown.n_under);

	queue->known.active = queue->unknown.active = queue->collapsed = false;
	return n;
}

/*
 * What is lost so far becomes records, if there is room for @need bytes behind them.
 * Return: the block with that room; NULL: nothing was done.
 */
static struct watch_block *settle(struct watch_queue *queue, size_t need)
{
	struct watch_block *block = make_room(queue, losses_size(queue) + need);

	if (!block || !loses(queue))
		return block;

	block->used += (uint32_t)put_losses(queue, watch_block_at(block, block->used));
	block->mergeable = block->used;
	queue->run = (struct run){};
	return block;
}

static bool merge(struct watch_queue *queue, const struct change *change, uint64_t hash)
{
	const struct watch_block *block = last_block(queue);
	struct fsevents_change *record;

	if (!block || (change->mask & ~MERGEABLE) || loses(queue))
		return false;
	record = watch_block_find(block, hash, change->name, change->n_name);
	if (!record || record->inode != change->inode || record->pid != change->pid ||
	    ((record->mask ^ change->mask) & FSEVENTS_DIRECTORY))
		return false;

	record->mask |= change->mask;
	queue->statistics.merged++;
	return true;
}

/* @n_dir: the first bytes of its name, its directory. Return: false: there is no room. */
static bool append(struct watch_queue *queue, const struct change *change, uint64_t seq,
		   uint64_t hash, size_t n_dir)
{
	struct watch_block *block = settle(queue, watch_record_change_size(change));
	struct run *run = &queue->run;
	uint32_t offset;

	if (!block)
		return false;

	offset = block->used;
	watch_block_append(block, change, seq, hash);
	queue->statistics.queued++;

	if (!run->block || run->n_dir != n_dir || memcmp(run->dir, change->name, n_dir) != 0)
		*run = (struct run){ .block = block, .offset = offset, .n_dir = n_dir };
	run->dir = (const char *)watch_block_at(block, offset) + sizeof(struct fsevents_change);
	return true;
}

static void lose(struct watch_queue *queue, uint64_t count, const char *under, size_t n_under)
{
	watch_loss_add(&queue->known, count, under, n_under);
	queue->statistics.lost += count;
}

/*
 * The run becomes a loss, but for what was peeked of it. @seq: the number after that
 * of its last record; within it no number is missing.
 * Return: false: there is none.
 */
static bool collapse(struct watch_queue *queue, uint64_t seq)
{
	struct watch_block *block = queue->run.block, *last;
	uint32_t offset = queue->run.offset;
	uint64_t count;

	if (block && offset < block->peeked)
		offset = block->peeked;
	if (block && offset == block->used) {
		block = TAILQ_NEXT(block, next);
		offset = 0;
	}
	if (!block)
		return false;

	count = seq - ((struct fsevents_change *)(void *)watch_block_at(block, offset))->seq;
	lose(queue, count, queue->run.dir, queue->run.n_dir);
	queue->statistics.queued -= count;

	for (last = last_block(queue); last != block; last = last_block(queue)) {
		count -= last->n_changes;
		remove_block(queue, last);
	}
	watch_block_cut(block, offset);
	block->n_changes -= (uint32_t)count;
	queue->run = (struct run){};
	if (block->used == block->taken)
		remove_block(queue, block);
	return true;
}

void watch_queue_push(struct watch_queue *queue, const struct change *change)
{
	uint64_t hash, seq;
	bool fits, covered;
	size_t n_dir;

	assert(queue && change);

	queue->statistics.pushed++;
	hash = watch_name_hash(change->name, change->n_name);
	if (merge(queue, change, hash))
		return;

	seq = queue->next_seq++;
	n_dir = watch_change_directory(change);
	fits = change->n_name <= CHANGE_NAME_MAX && change->n_former <= CHANGE_NAME_MAX;
	/* Whoever is to look through a directory anyway does it after this. */
	covered = queue->collapsed && change->n_name > 0 &&
		  watch_loss_covers(&queue->known, change->name, n_dir);

	if (fits && !covered) {
		if (append(queue, change, seq, hash, n_dir))
			return;
		if (!loses(queue) && collapse(queue, seq) &&
		    !watch_loss_covers(&queue->known, change->name, n_dir) &&
		    append(queue, change, seq, hash, n_dir))
			return;
		queue->collapsed = true;
	}
	lose(queue, 1, change->name, n_dir);
}

void watch_queue_push_lost(struct watch_queue *queue, uint64_t count, const char *under,
			   size_t n_under)
{
	struct watch_loss *loss;

	assert(queue);

	/* Each in its own directory, as long as there is room for both. */
	loss = count > 0 ? &queue->known : &queue->unknown;
	if (loss->active && !watch_loss_covers(loss, under, n_under))
		settle(queue, 0);

	if (count == 0) {
		watch_loss_add(&queue->unknown, 0, under, n_under);
		return;
	}
	lose(queue, count, under, n_under);
	queue->next_seq += count;
	queue->statistics.pushed += count;
}

/*
 * Its beginning
 */

bool watch_queue_is_empty(const struct watch_queue *queue)
{
	assert(queue);

	return TAILQ_EMPTY(&queue->blocks) && !loses(queue) && queue->n_losses == 0;
}

/* What of a block makes a packet of at most so many bytes. */
static void peek_block(struct watch_block *block, size_t n_max)
{
	const struct fsevents_record *record;

	block->peeked = block->used;
	block->n_peeked_changes = block->n_changes;
	if (block->used - block->taken <= n_max)
		return;

	block->peeked = block->taken;
	block->n_peeked_changes = 0;
	for (;;) {
		record = (void *)watch_block_at(block, block->peeked);
		if (block->peeked + record->size - block->taken > n_max)
			return;
		block->peeked += record->size;
		if (record->kind == FSEVENTS_KIND_WATCH)
			block->n_peeked_changes++;
	}
}

const void *watch_queue_peek(struct watch_queue *queue, size_t n_max, size_t *ret_n)
{
	struct watch_block *block;

	assert(queue && ret_n);
	assert(n_max >= WATCH_PACKET_MIN);

	block = TAILQ_FIRST(&queue->blocks);
	if (!block && queue->n_losses == 0 && loses(queue))
		queue->n_losses = put_losses(queue, (uint8_t *)queue->losses);
	if (queue->n_losses > 0) {
		*ret_n = queue->n_losses;
		return queue->losses;
	}
	if (!block)
		return NULL;

	peek_block(block, n_max);
	if (block->mergeable < block->peeked)
		block->mergeable = block->peeked;
	*ret_n = block->peeked - block->taken;
	return watch_block_at(block, block->taken);
}

void watch_queue_pop(struct watch_queue *queue)
{
	struct watch_block *block;

	assert(queue);

	if (queue->n_losses > 0) {
		queue->n_losses = 0;
		return;
	}
	block = TAILQ_FIRST(&queue->blocks);
	assert(block && block->peeked > block->taken);

	queue->statistics.delivered += block->n_peeked_changes;
	queue->statistics.queued -= block->n_peeked_changes;
	block->n_changes -= block->n_peeked_changes;
	block->n_peeked_changes = 0;
	block->taken = block->peeked;
	if (block->taken == block->used)
		remove_block(queue, block);
}

void watch_queue_statistics(const struct watch_queue *queue, struct watch_queue_statistics *ret)
{
	assert(queue && ret);

	*ret = queue->statistics;
}
