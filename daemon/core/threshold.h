/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Thresholds
 *
 * Levels of available bytes or inodes, each with hysteresis and severity,
 * and which of them are crossed. "Below" is at most the level, "above" is
 * more than level + hysteresis; between the two nothing changes, so that a
 * level that oscillates there is told once. Pure: the usage comes in, the
 * crossings go out.
 *
 * A hysteresis that is not given is a tenth of the level, at least one block
 * or one inode. Where level + hysteresis is more than nine tenths of what
 * the filesystem can offer (its size less what is reserved for root), it is
 * cut to a quarter of the room above the level: even an empty filesystem
 * uses some blocks itself, and an alarm that nothing can clear is worth
 * little. A level at or above all that can be offered cannot be cleared.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"
#include "daemon/core/usage.h"

#define THRESHOLD_NAME_MAX 32 /* [a-z0-9-]{1,32} */
#define THRESHOLDS_MAX 64 /* per filesystem */

enum threshold_resource {
	RESOURCE_SPACE,
	RESOURCE_INODES,
};

enum level_kind {
	LEVEL_NONE, /* of a hysteresis: the default, a tenth of the level */
	LEVEL_PERCENT, /* of f_blocks or f_files */
	LEVEL_PERCENT_OR_SIZE, /* the smaller of both */
	LEVEL_BYTES,
	LEVEL_BLOCKS, /* of f_frsize */
	LEVEL_INODES,
};

struct level {
	enum level_kind kind;
	unsigned int percent; /* 0-100 */
	uint64_t value; /* bytes, blocks or inodes */
};

struct threshold_spec {
	char name[THRESHOLD_NAME_MAX + 1];
	enum threshold_resource resource;
	struct level level;
	struct level hysteresis;
	enum event_severity severity;
};

/* One threshold of one filesystem, with its state. Plain values. */
struct threshold {
	struct threshold_spec spec;
	uint64_t level; /* resolved: bytes or inodes */
	uint64_t hysteresis; /* resolved, and cut as said above */
	bool crossed;
	bool evaluated; /* a usage was seen since it was added */
};

struct threshold_set {
	struct threshold *items; /* owned; in the order of the configuration */
	size_t n_items;
	bool evaluated; /* a usage was seen since the set was made */
};

struct crossing {
	const struct threshold *threshold; /* dies with the next change of the set */
	bool below;
	uint64_t available; /* bytes or inodes */
	bool initial; /* found crossed by the first usage seen */
};

/**
 * threshold_set_replace() - new thresholds; a kept name, resource, level and
 * hysteresis keeps its crossed state, so that a reload tells nothing twice
 *
 * The severity may change without the state being lost.
 *
 * Return: 0, -E2BIG for more than THRESHOLDS_MAX, or -ENOMEM (the set is as
 * before).
 */
int threshold_set_replace(struct threshold_set *set, const struct threshold_spec *specs,
			  size_t n_specs);
void threshold_set_deinit(struct threshold_set *set);

/**
 * threshold_set_resolve() - work the levels out, and cross nothing
 *
 * An unknown usage (usage_is_known()) changes nothing.
 *
 * Return: true where a level or hysteresis is another one now.
 */
bool threshold_set_resolve(struct threshold_set *set, const struct usage *usage);

/**
 * threshold_set_update() - take in a usage
 * @ret:	at least set->n_items; those crossed below come first, from the
 *		highest level to the lowest, those above from the lowest up;
 *		within either, space before inodes; equal levels in the
 *		order of the configuration
 *
 * Levels in percent are resolved against @usage. A resource that the
 * filesystem does not count (usage_counts_files()) never crosses and never
 * clears. An unknown usage (usage_is_known()) changes nothing.
 *
 * Return: number of crossings.
 */
size_t threshold_set_update(struct threshold_set *set, const struct usage *usage,
			    struct crossing *ret);

/**
 * threshold_set_distance() - how far the nearest change of state is
 * @ret_bytes:	to the nearest crossing by less or by more space; 0: the
 *		next update will cross; UINT64_MAX when there is none, also
 *		for an unknown usage
 * @ret_inodes:	the same in inodes
 */
void threshold_set_distance(const struct threshold_set *set, const struct usage *usage,
			    uint64_t *ret_bytes, uint64_t *ret_inodes);

/** threshold_set_severity() - the worst of what is crossed; -1 when nothing is */
int threshold_set_severity(const struct threshold_set *set);

/** level_resolve() - bytes (RESOURCE_SPACE) or inodes, saturating */
uint64_t level_resolve(const struct level *level, enum threshold_resource resource,
		       const struct usage *usage);
