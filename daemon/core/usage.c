/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/usage.h"

static uint64_t usage_blocks_to_bytes(const struct usage *usage, uint64_t n_blocks)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(n_blocks, usage->block_size, &bytes))
		return UINT64_MAX;
	return bytes;
}

bool usage_is_known(const struct usage *usage)
{
	assert(usage);

	return usage->block_size > 0 && usage->blocks > 0 && usage->available <= usage->blocks;
}

bool usage_counts_files(const struct usage *usage)
{
	assert(usage);

	return usage->files > 0 && usage->files_available <= usage->files;
}

uint64_t usage_bytes(const struct usage *usage)
{
	assert(usage);

	return usage_blocks_to_bytes(usage, usage->blocks);
}

uint64_t usage_available_bytes(const struct usage *usage)
{
	assert(usage);

	return usage_blocks_to_bytes(usage, usage->available);
}

uint64_t usage_free_bytes(const struct usage *usage)
{
	assert(usage);

	return usage_blocks_to_bytes(usage, usage->free);
}
