/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/output/limiter.h"

#define FNV_OFFSET 14695981039346656037ULL
#define FNV_PRIME 1099511628211ULL

static uint64_t hash(uint64_t h, const char *text)
{
	for (; text && *text; text++)
		h = (h ^ (unsigned char)*text) * FNV_PRIME;

	/* The end counts too: "a","b" is not "ab","". */
	return h * FNV_PRIME;
}

uint64_t limiter_key(const char *a, const char *b)
{
	uint64_t h = hash(hash(FNV_OFFSET, a), b);

	return h ? h : 1;
}

static bool is_over(const struct limiter_place *place, uint64_t now_us)
{
	return now_us >= place->until_us;
}

static struct limiter_place *find(struct limiter *limiter, uint64_t key, uint64_t now_us)
{
	struct limiter_place *free_place = NULL;

	for (size_t i = 0; i < LIMITER_PLACES; i++) {
		struct limiter_place *place = &limiter->places[i];

		if (place->key == key)
			return place;

		/* An untold count keeps its place until it is told. */
		if (!free_place &&
		    (place->key == 0 || (is_over(place, now_us) && place->suppressed == 0)))
			free_place = place;
	}

	if (!free_place)
		return &limiter->places[LIMITER_PLACES];

	free_place->key = 0;
	return free_place;
}

bool limiter_pass(struct limiter *limiter, uint64_t key, const char *label, uint64_t now_us)
{
	struct limiter_place *place;

	assert(limiter);
	assert(key != 0);
	assert(label);

	place = find(limiter, key, now_us);

	if (place == &limiter->places[LIMITER_PLACES]) {
		key = 1;
		label = "others";
	}

	/* A window that ends with a count untold goes on until it is told. */
	if (place->key != key || (is_over(place, now_us) && place->suppressed == 0)) {
		size_t n = strnlen(label, sizeof(place->label) - 1);

		*place = (struct limiter_place){
			.key = key,
			.until_us = now_us + LIMITER_WINDOW_US,
		};
		memcpy(place->label, label, n);
	}

	if (place->n >= LIMITER_BURST) {
		place->suppressed++;
		return false;
	}

	place->n++;
	return true;
}

uint64_t limiter_next(struct limiter *limiter, uint64_t now_us,
		      char ret_label[static LIMITER_LABEL_MAX])
{
	assert(limiter);

	for (size_t i = 0; i <= LIMITER_PLACES; i++) {
		struct limiter_place *place = &limiter->places[i];
		uint64_t n = place->suppressed;

		if (n == 0 || !is_over(place, now_us))
			continue;

		memcpy(ret_label, place->label, LIMITER_LABEL_MAX);
		*place = (struct limiter_place){};
		return n;
	}

	return 0;
}

uint64_t limiter_due_us(const struct limiter *limiter)
{
	uint64_t due_us = UINT64_MAX;

	assert(limiter);

	for (size_t i = 0; i <= LIMITER_PLACES; i++) {
		const struct limiter_place *place = &limiter->places[i];

		if (place->suppressed > 0 && place->until_us < due_us)
			due_us = place->until_us;
	}

	return due_us;
}
