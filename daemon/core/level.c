/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/core/grammar.h"
#include "daemon/core/threshold.h"

static uint64_t saturating_multiply(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* Rounds down: usage is in whole units, and "below" means at most the level. */
static uint64_t percent_of(uint64_t total, unsigned int percent)
{
	unsigned __int128 part = (unsigned __int128)total * percent / 100;

	return part > UINT64_MAX ? UINT64_MAX : (uint64_t)part;
}

uint64_t level_resolve(const struct level *level, enum threshold_resource resource,
		       const struct usage *usage)
{
	uint64_t total, part;

	assert(level && usage);

	total = resource == RESOURCE_INODES ? usage->files
					    : saturating_multiply(usage->blocks, usage->block_size);

	switch (level->kind) {
	case LEVEL_NONE:
		return 0;
	case LEVEL_PERCENT:
		return percent_of(total, level->percent);
	case LEVEL_PERCENT_OR_SIZE:
		part = percent_of(total, level->percent);
		return part < level->value ? part : level->value;
	case LEVEL_BLOCKS:
		/* a count of inodes has no block size */
		if (resource == RESOURCE_INODES)
			return level->value;
		return saturating_multiply(level->value, usage->block_size);
	case LEVEL_BYTES:
	case LEVEL_INODES:
		return level->value;
	}

	return 0;
}

static void format_bytes(uint64_t value, char *ret, size_t n_ret)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	unsigned int unit = 0;

	while (value > 0 && value % 1024 == 0 && unit < 4) {
		value /= 1024;
		unit++;
	}

	snprintf(ret, n_ret, "%" PRIu64 "%s", value, units[unit]);
}

void grammar_format_level(const struct level *level, char ret[static GRAMMAR_LEVEL_MAX])
{
	assert(level);

	switch (level->kind) {
	case LEVEL_NONE:
		ret[0] = '\0';
		break;
	case LEVEL_PERCENT:
		snprintf(ret, GRAMMAR_LEVEL_MAX, "%u%%", level->percent);
		break;
	case LEVEL_PERCENT_OR_SIZE:
		/* without a unit: a number of inodes has none, and both are read back */
		snprintf(ret, GRAMMAR_LEVEL_MAX, "%u%%/%" PRIu64, level->percent, level->value);
		break;
	case LEVEL_BYTES:
		format_bytes(level->value, ret, GRAMMAR_LEVEL_MAX);
		break;
	case LEVEL_BLOCKS:
		snprintf(ret, GRAMMAR_LEVEL_MAX, "%" PRIu64 "blocks", level->value);
		break;
	case LEVEL_INODES:
		snprintf(ret, GRAMMAR_LEVEL_MAX, "%" PRIu64, level->value);
		break;
	}
}
