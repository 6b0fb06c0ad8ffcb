/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/core/usage.h"

static void test_known(void **state)
{
	static const struct {
		struct usage usage;
		bool known, counts;
	} cases[] = {
		{ { .block_size = 4096,
		    .blocks = 100,
		    .available = 50,
		    .files = 9,
		    .files_available = 9 },
		  true,
		  true },
		{ { .block_size = 4096, .blocks = 100, .available = 100 }, true, false },
		{ { .block_size = 4096, .blocks = 100, .available = 0 }, true, false },
		{ { .block_size = 1, .blocks = 1, .available = 1 }, true, false },
		{ {}, false, false },
		{ { .block_size = 0, .blocks = 100, .available = 50 }, false, false },
		{ { .block_size = 4096, .blocks = 0, .available = 0 }, false, false },
		{ { .block_size = 4096, .blocks = 0, .available = 1 }, false, false },
		{ { .block_size = 4096, .blocks = 100, .available = 101 }, false, false },
		{ { .block_size = 4096, .blocks = 100, .available = UINT64_MAX }, false, false },
		{ { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX },
		  true,
		  true },
		{ { .block_size = 1, .blocks = 1, .files = 5, .files_available = 6 }, true, false },
		{ { .block_size = 1, .blocks = 1, .files = 0, .files_available = 6 }, true, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(usage_is_known(&cases[i].usage), cases[i].known);
		assert_int_equal(usage_counts_files(&cases[i].usage), cases[i].counts);
	}
}

static void test_bytes(void **state)
{
	struct usage usage = { .block_size = 4096, .blocks = 1000, .free = 300, .available = 200 };

	assert_int_equal(usage_bytes(&usage), 4096000);
	assert_int_equal(usage_free_bytes(&usage), 1228800);
	assert_int_equal(usage_available_bytes(&usage), 819200);
}

static void test_saturates(void **state)
{
	struct usage usage = {
		.block_size = 1ULL << 32,
		.blocks = 1ULL << 32,
		.free = (1ULL << 32) - 1,
		.available = UINT64_MAX,
	};

	assert_true(usage_bytes(&usage) == UINT64_MAX);
	assert_true(usage_free_bytes(&usage) == UINT64_MAX - (1ULL << 32) + 1);
	assert_true(usage_available_bytes(&usage) == UINT64_MAX);

	usage.block_size = UINT64_MAX;
	usage.blocks = 1;
	assert_true(usage_bytes(&usage) == UINT64_MAX);
	usage.blocks = 0;
	assert_true(usage_bytes(&usage) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_saturates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
