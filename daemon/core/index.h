/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Hash index
 *
 * Finds the number of an item in an array that somebody else keeps: open
 * addressing with linear probing, never more than half full, sized once and
 * thrown away with the array. It does not know the items: the caller compares.
 *
 *	for (slot = index_first(index, hash); *slot; slot = index_next(index, slot))
 *		if (items[*slot - 1] is the one)
 *			...
 *	*slot = number + 1;	(to add one that was not there)
 */

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct index {
	uint32_t *slots; /* item number + 1; 0: empty */
	size_t mask;
};

/**
 * index_init() - room for @n_max items
 *
 * Return: 0 or -ENOMEM.
 */
static inline int index_init(struct index *index, size_t n_max)
{
	size_t n_slots = 16;

	assert(index);

	if (n_max > UINT32_MAX / 4)
		return -ENOMEM;

	while (n_slots < 2 * n_max)
		n_slots *= 2;

	index->slots = calloc(n_slots, sizeof(*index->slots));
	if (!index->slots)
		return -ENOMEM;

	index->mask = n_slots - 1;
	return 0;
}

static inline void index_deinit(struct index *index)
{
	free(index->slots);
	*index = (struct index){};
}

static inline uint32_t *index_first(const struct index *index, uint64_t hash)
{
	/* Folds the upper half in: the hashes below are strong there. */
	return &index->slots[(hash ^ hash >> 32) & index->mask];
}

static inline uint32_t *index_next(const struct index *index, const uint32_t *slot)
{
	return &index->slots[((size_t)(slot - index->slots) + 1) & index->mask];
}

static inline uint64_t hash_number(uint64_t number)
{
	/* The odd constant is 2^64 divided by the golden ratio. */
	return number * 0x9e3779b97f4a7c15U;
}

/* FNV-1a, so that the hash of a longer prefix continues that of a shorter one. */
#define HASH_BYTES_INIT 0xcbf29ce484222325U

static inline uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3U;

	return hash;
}
