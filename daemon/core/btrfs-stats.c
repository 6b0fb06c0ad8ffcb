/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/core/btrfs-stats.h"

static uint64_t number_decode(const char *text)
{
	bool is_larger = false;
	uint64_t number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		is_larger = is_larger || __builtin_mul_overflow(number, 10, &number) ||
			    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number);
	if (*text != '\0' && *text != '\n')
		return 0;
	return is_larger ? UINT64_MAX : number;
}

uint64_t btrfs_stats_number(const char *text, const char *name)
{
	size_t n;

	assert(text);
	assert(name);

	n = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && line[n] == ' ')
			return number_decode(line + n + 1);
	}

	return 0;
}

static void count_add(uint64_t *count, uint64_t more)
{
	if (__builtin_add_overflow(*count, more, count))
		*count = UINT64_MAX;
}

void btrfs_stats_add(struct fusion_counters *counters, const char *text)
{
	assert(counters);
	assert(text);

	count_add(&counters->corrupted, btrfs_stats_number(text, "corruption_errs"));
	count_add(&counters->corrupted, btrfs_stats_number(text, "generation_errs"));
	count_add(&counters->io_error, btrfs_stats_number(text, "read_errs"));
	count_add(&counters->io_error, btrfs_stats_number(text, "write_errs"));
	count_add(&counters->io_error, btrfs_stats_number(text, "flush_errs"));
}
