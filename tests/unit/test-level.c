/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/threshold.h"

#define G (UINT64_C(1) << 30)

struct level_row {
	struct level level;
	enum threshold_resource resource;
	uint64_t block_size, blocks, files;
	uint64_t expected;
};

static const struct level_row rows[] = {
	/* percent, rounded down to the byte */
	{ { LEVEL_PERCENT, 10, 0 }, RESOURCE_SPACE, 4096, 1000, 0, 409600 },
	{ { LEVEL_PERCENT, 0, 0 }, RESOURCE_SPACE, 4096, 1000, 0, 0 },
	{ { LEVEL_PERCENT, 100, 0 }, RESOURCE_SPACE, 4096, 1000, 0, 4096000 },
	{ { LEVEL_PERCENT, 1, 0 }, RESOURCE_SPACE, 1, 199, 0, 1 },
	{ { LEVEL_PERCENT, 5, 0 }, RESOURCE_INODES, 4096, 1000, 65536, 3276 },
	/* the smaller of both */
	{ { LEVEL_PERCENT_OR_SIZE, 10, 10 * G }, RESOURCE_SPACE, 4096, 20 * G / 4096, 0, 2 * G },
	{ { LEVEL_PERCENT_OR_SIZE, 10, 10 * G }, RESOURCE_SPACE, 4096, 900 * G / 4096, 0, 10 * G },
	{ { LEVEL_PERCENT_OR_SIZE, 10, 10 * G }, RESOURCE_SPACE, 4096, 100 * G / 4096, 0, 10 * G },
	{ { LEVEL_PERCENT_OR_SIZE, 5, 100 }, RESOURCE_INODES, 4096, 1, 1000, 50 },
	{ { LEVEL_PERCENT_OR_SIZE, 5, 100 }, RESOURCE_INODES, 4096, 1, 10000, 100 },
	/* fixed */
	{ { LEVEL_BYTES, 0, 123 }, RESOURCE_SPACE, 4096, 1000, 0, 123 },
	{ { LEVEL_BYTES, 0, UINT64_MAX }, RESOURCE_SPACE, 4096, 1000, 0, UINT64_MAX },
	{ { LEVEL_BLOCKS, 0, 500 }, RESOURCE_SPACE, 1024, 1000, 0, 512000 },
	{ { LEVEL_INODES, 0, 77 }, RESOURCE_INODES, 1024, 1000, 10, 77 },
	{ { LEVEL_NONE, 0, 0 }, RESOURCE_SPACE, 1024, 1000, 10, 0 },
	/* a filesystem that lies: everything saturates, nothing wraps */
	{ { LEVEL_BLOCKS, 0, UINT64_MAX }, RESOURCE_SPACE, 4096, 1000, 0, UINT64_MAX },
	{ { LEVEL_BLOCKS, 0, 2 }, RESOURCE_SPACE, UINT64_MAX, 1000, 0, UINT64_MAX },
	{ { LEVEL_PERCENT, 100, 0 }, RESOURCE_SPACE, UINT64_MAX, UINT64_MAX, 0, UINT64_MAX },
	{ { LEVEL_PERCENT, 50, 0 }, RESOURCE_SPACE, UINT64_MAX, UINT64_MAX, 0, UINT64_MAX / 2 },
	{ { LEVEL_PERCENT, 100, 0 }, RESOURCE_INODES, 1, 1, UINT64_MAX, UINT64_MAX },
	{ { LEVEL_PERCENT, 10, 0 }, RESOURCE_SPACE, 0, 0, 0, 0 },
	{ { LEVEL_PERCENT, 10, 0 }, RESOURCE_INODES, 4096, 1000, 0, 0 },
	{ { LEVEL_PERCENT, UINT32_MAX, 0 }, RESOURCE_SPACE, UINT64_MAX, 1, 0, UINT64_MAX },
};

static void test_level_resolve(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct usage usage = {
			.block_size = rows[i].block_size,
			.blocks = rows[i].blocks,
			.files = rows[i].files,
		};
		uint64_t value = level_resolve(&rows[i].level, rows[i].resource, &usage);

		if (value != rows[i].expected)
			print_error("row %zu\n", i);
		assert_true(value == rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level_resolve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
