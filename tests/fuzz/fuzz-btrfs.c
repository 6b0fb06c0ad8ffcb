/* SPDX-License-Identifier: GPL-2.0-or-later */

/* error_stats of a btrfs device. */

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/btrfs-stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fusion_counters counters = {}, before;
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';

	btrfs_stats_add(&counters, text);
	before = counters;
	btrfs_stats_add(&counters, text);
	assert(counters.corrupted >= before.corrupted && counters.io_error >= before.io_error);
	free(text);
	return 0;
}
