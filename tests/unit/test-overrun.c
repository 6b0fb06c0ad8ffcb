/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/overrun.h"

#define T 1000000000ULL /* when it was told */
#define LATE (T + OVERRUN_SHOW_NS)

static void test_shown(void **state)
{
	struct overrun overrun = {};

	assert_false(overrun_settle(&overrun, LATE));
	overrun_note(&overrun, T);
	assert_true(overrun_is_open(&overrun));
	assert_false(overrun_settle(&overrun, LATE - 1));
	overrun_note_gap(&overrun, T + 1);
	assert_false(overrun_is_open(&overrun));
	assert_false(overrun_settle(&overrun, LATE));

	/* That of another CPU comes later, and is counted where it comes. */
	overrun_note_gap(&overrun, LATE + 1);
	assert_false(overrun_settle(&overrun, 2 * LATE));
}

static void test_silent(void **state)
{
	struct overrun overrun = {};

	overrun_note(&overrun, T);
	assert_true(overrun_settle(&overrun, LATE));
	assert_false(overrun_is_open(&overrun));
	assert_false(overrun_settle(&overrun, 2 * LATE));
	overrun_note_gap(&overrun, 2 * LATE);
	assert_false(overrun_settle(&overrun, 3 * LATE));
}

/* A second overrun is told ahead of the events that show the first. */
static void test_former(void **state)
{
	struct overrun overrun = {};

	overrun_note(&overrun, T);
	overrun_note(&overrun, T + 1000);
	overrun_note_gap(&overrun, T + 500);
	assert_true(overrun_is_open(&overrun));
	overrun_note_gap(&overrun, T + 1000);
	assert_true(overrun_is_open(&overrun));
	assert_false(overrun_settle(&overrun, LATE));
	assert_true(overrun_settle(&overrun, LATE + 1000));
	assert_false(overrun_settle(&overrun, 2 * LATE));
}

/* Two that show nothing in time are told as one; each one later is told again. */
static void test_again(void **state)
{
	struct overrun overrun = {};

	overrun_note(&overrun, T);
	overrun_note(&overrun, T + OVERRUN_SHOW_NS / 2);
	assert_false(overrun_settle(&overrun, LATE));
	assert_true(overrun_settle(&overrun, LATE + OVERRUN_SHOW_NS / 2));
	overrun_note(&overrun, 2 * LATE);
	assert_true(overrun_settle(&overrun, 2 * LATE + OVERRUN_SHOW_NS));
	assert_false(overrun_settle(&overrun, 4 * LATE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_former),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
