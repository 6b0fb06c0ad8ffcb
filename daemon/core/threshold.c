/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/threshold.h"

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static bool level_equal(const struct level *a, const struct level *b)
{
	return a->kind == b->kind && a->percent == b->percent && a->value == b->value;
}

static bool spec_keeps_state(const struct threshold_spec *a, const struct threshold_spec *b)
{
	return strcmp(a->name, b->name) == 0 && a->resource == b->resource &&
	       level_equal(&a->level, &b->level) && level_equal(&a->hysteresis, &b->hysteresis);
}

static bool threshold_counts(const struct threshold *threshold, const struct usage *usage)
{
	switch (threshold->spec.resource) {
	case RESOURCE_SPACE:
		return true;
	case RESOURCE_INODES:
		return usage_counts_files(usage);
	}

	return false;
}

static uint64_t threshold_available(const struct threshold *threshold, const struct usage *usage)
{
	return threshold->spec.resource == RESOURCE_INODES ? usage->files_available
							   : usage_available_bytes(usage);
}

/* The most that can ever be available: ext4 keeps blocks back for root. */
static uint64_t threshold_capacity(const struct threshold *threshold, const struct usage *usage)
{
	struct usage most = *usage;
	uint64_t reserved;

	if (threshold->spec.resource == RESOURCE_INODES)
		return usage->files;

	reserved = usage->free > usage->available ? usage->free - usage->available : 0;
	most.available = usage->blocks > reserved ? usage->blocks - reserved : 0;
	return usage_available_bytes(&most);
}

static void threshold_resolve(struct threshold *threshold, const struct usage *usage)
{
	const struct threshold_spec *spec = &threshold->spec;
	uint64_t unit = spec->resource == RESOURCE_INODES ? 1 : usage->block_size;
	uint64_t level = level_resolve(&spec->level, spec->resource, usage);
	uint64_t capacity = threshold_capacity(threshold, usage);
	uint64_t hysteresis, room;

	if (spec->hysteresis.kind == LEVEL_NONE)
		hysteresis = level / 10 > unit ? level / 10 : unit;
	else
		hysteresis = level_resolve(&spec->hysteresis, spec->resource, usage);

	if (level < capacity && add_saturating(level, hysteresis) > capacity - capacity / 10) {
		room = capacity - level;
		if (room / 4 < hysteresis)
			hysteresis = room / 4;
		if (hysteresis < unit && unit < room)
			hysteresis = unit;
	}

	threshold->level = level;
	threshold->hysteresis = hysteresis;
}

static bool threshold_is_below(const struct threshold *threshold, uint64_t available)
{
	if (threshold->crossed)
		return available <= add_saturating(threshold->level, threshold->hysteresis);
	return available <= threshold->level;
}

int threshold_set_replace(struct threshold_set *set, const struct threshold_spec *specs,
			  size_t n_specs)
{
	_cleanup_free_ struct threshold *items = NULL;

	assert(set);
	assert(specs || n_specs == 0);

	if (n_specs > THRESHOLDS_MAX)
		return -E2BIG;

	if (n_specs > 0) {
		items = calloc(n_specs, sizeof(*items));
		if (!items)
			return -ENOMEM;
	}

	for (size_t i = 0; i < n_specs; i++) {
		for (size_t j = 0; j < set->n_items; j++) {
			if (spec_keeps_state(&specs[i], &set->items[j].spec)) {
				items[i] = set->items[j];
				break;
			}
		}
		items[i].spec = specs[i];
	}

	free(set->items);
	set->items = TAKE_PTR(items);
	set->n_items = n_specs;
	set->evaluated = false;
	return 0;
}

void threshold_set_deinit(struct threshold_set *set)
{
	if (!set)
		return;

	free(set->items);
	*set = (struct threshold_set){};
}

bool threshold_set_resolve(struct threshold_set *set, const struct usage *usage)
{
	bool changed = false;

	assert(set && usage);

	for (size_t i = 0; i < set->n_items && usage_is_known(usage); i++) {
		struct threshold *threshold = &set->items[i], old = *threshold;

		if (!threshold_counts(threshold, usage))
			continue;
		threshold_resolve(threshold, usage);
		changed = changed || threshold->level != old.level ||
			  threshold->hysteresis != old.hysteresis;
	}

	return changed;
}

/* True where @a is told before @b. */
static bool crossing_precedes(const struct crossing *a, const struct crossing *b)
{
	const struct threshold *x = a->threshold, *y = b->threshold;

	if (a->below != b->below)
		return a->below;
	if (x->spec.resource != y->spec.resource)
		return x->spec.resource < y->spec.resource;
	return a->below ? x->level > y->level : x->level < y->level;
}

/* Insertion keeps equal ones in the order of the configuration; n_items is at most 64. */
static void crossings_insert(struct crossing *crossings, size_t n, const struct crossing *new)
{
	while (n > 0 && crossing_precedes(new, &crossings[n - 1])) {
		crossings[n] = crossings[n - 1];
		n--;
	}
	crossings[n] = *new;
}

size_t threshold_set_update(struct threshold_set *set, const struct usage *usage,
			    struct crossing *ret)
{
	size_t n = 0;

	assert(set && usage);
	assert(ret || set->n_items == 0);

	if (!usage_is_known(usage))
		return 0;

	for (size_t i = 0; i < set->n_items; i++) {
		struct threshold *threshold = &set->items[i];
		struct crossing crossing = { .threshold = threshold };

		if (!threshold_counts(threshold, usage))
			continue;

		threshold_resolve(threshold, usage);
		crossing.available = threshold_available(threshold, usage);
		crossing.below = threshold_is_below(threshold, crossing.available);
		crossing.initial = !threshold->evaluated;
		threshold->evaluated = true;

		if (crossing.below == threshold->crossed)
			continue;
		threshold->crossed = crossing.below;
		crossings_insert(ret, n++, &crossing);
	}

	set->evaluated = true;
	return n;
}

static uint64_t threshold_distance(const struct threshold *threshold, uint64_t available)
{
	uint64_t clear = add_saturating(threshold->level, threshold->hysteresis);

	if (!threshold->evaluated)
		return 0;
	if (!threshold->crossed)
		return available > threshold->level ? available - threshold->level : 0;
	if (available > clear)
		return 0;
	return add_saturating(clear - available, 1);
}

void threshold_set_distance(const struct threshold_set *set, const struct usage *usage,
			    uint64_t *ret_bytes, uint64_t *ret_inodes)
{
	uint64_t nearest[] = { UINT64_MAX, UINT64_MAX };

	assert(set && usage && ret_bytes && ret_inodes);

	for (size_t i = 0; i < set->n_items && usage_is_known(usage); i++) {
		const struct threshold *threshold = &set->items[i];
		uint64_t distance;

		if (!threshold_counts(threshold, usage))
			continue;

		distance = threshold_distance(threshold, threshold_available(threshold, usage));
		if (distance < nearest[threshold->spec.resource])
			nearest[threshold->spec.resource] = distance;
	}

	*ret_bytes = nearest[RESOURCE_SPACE];
	*ret_inodes = nearest[RESOURCE_INODES];
}

int threshold_set_severity(const struct threshold_set *set)
{
	int worst = -1;

	assert(set);

	for (size_t i = 0; i < set->n_items; i++)
		if (set->items[i].crossed && (int)set->items[i].spec.severity > worst)
			worst = (int)set->items[i].spec.severity;

	return worst;
}
