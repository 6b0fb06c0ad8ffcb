/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/btrfs-stats.h"

static void test_number(void **state)
{
	static const char text[] = "commits 5\ncur_commit_ms 12\n cur_commit_ms 13\nlast 7";

	assert_int_equal(btrfs_stats_number(text, "commits"), 5);
	assert_int_equal(btrfs_stats_number(text, "cur_commit_ms"), 12);
	assert_int_equal(btrfs_stats_number(text, "last"), 7);
	assert_int_equal(btrfs_stats_number(text, "cur"), 0);
	assert_int_equal(btrfs_stats_number(text, "commit"), 0);
	assert_int_equal(btrfs_stats_number("", "last"), 0);
	assert_int_equal(btrfs_stats_number("last", "last"), 0);
	assert_int_equal(btrfs_stats_number("last ", "last"), 0);
}

/* The kernel prints an int that the disk gave it. */
static void test_hostile(void **state)
{
	assert_int_equal(btrfs_stats_number("n -1", "n"), 0);
	assert_int_equal(btrfs_stats_number("n +1", "n"), 0);
	assert_int_equal(btrfs_stats_number("n  1", "n"), 0);
	assert_int_equal(btrfs_stats_number("n 1x", "n"), 0);
	assert_int_equal(btrfs_stats_number("n 0x10", "n"), 0);
	assert_int_equal(btrfs_stats_number("n 18446744073709551615\n", "n"), UINT64_MAX);
	assert_int_equal(btrfs_stats_number("n 18446744073709551616\n", "n"), UINT64_MAX);
	assert_int_equal(btrfs_stats_number("n 184467440737095516150001\n", "n"), UINT64_MAX);
}

static void test_add(void **state)
{
	static const char text[] = "write_errs 1\nread_errs 2\nflush_errs 4\n"
				   "corruption_errs 8\ngeneration_errs 16\n";
	static const char huge[] = "write_errs 18446744073709551615\nread_errs -1\n"
				   "corruption_errs -2147483648\n";
	struct fusion_counters counters = {};

	btrfs_stats_add(&counters, text);
	assert_int_equal(counters.io_error, 7);
	assert_int_equal(counters.corrupted, 24);
	assert_int_equal(counters.last_error, 0);

	btrfs_stats_add(&counters, huge);
	btrfs_stats_add(&counters, text);
	assert_int_equal(counters.io_error, UINT64_MAX);
	assert_int_equal(counters.corrupted, 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
