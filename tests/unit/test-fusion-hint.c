/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/fusion-hint.h"

static void test_error(void **state)
{
	const struct fanotify_error error = {
		.error = EUCLEAN,
		.count = 3,
		.pid = 4711,
		.has_inode = true,
		.inode = 12,
	};
	struct fusion_hint hint;

	fusion_hint_from_error(&hint, &error, true);
	assert_int_equal(hint.kind, FUSION_HINT_CORRUPTED);
	assert_int_equal(hint.source, FUSION_SOURCE_FANOTIFY);
	assert_int_equal(hint.error, EUCLEAN);
	assert_int_equal(hint.pid, 4711);
	assert_int_equal(hint.count, 3);
	assert_true(hint.has_inode);
	assert_int_equal(hint.inode, 12);
}

/* A thread of the kernel that reports for others did nothing wrong. */
static void test_culprit(void **state)
{
	struct fanotify_error error = { .error = EIO, .count = 0, .pid = 4711 };
	struct fusion_hint hint;

	fusion_hint_from_error(&hint, &error, false);
	assert_int_equal(hint.kind, FUSION_HINT_IO_ERROR);
	assert_int_equal(hint.pid, 0);
	assert_int_equal(hint.count, 1);
	assert_false(hint.has_inode);

	error.pid = -1;
	fusion_hint_from_error(&hint, &error, true);
	assert_int_equal(hint.pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_culprit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
