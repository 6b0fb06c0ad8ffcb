/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/board-fixture.h"

#define HOSTILE "/a b\\c\n\xff=\xe2\x80\xae"

/* A notice under 7, two in the summary 8, and one that is due. */
static void fill(void **state)
{
	struct screen *screen = *state;
	struct board_notice *notice = NULL;

	HAPPEN(EVENT_THRESHOLD_BELOW, .name = "low", .where = HOSTILE);
	HAPPEN(EVENT_ENOSPC, .where = HOSTILE);
	only(screen)->identity = strdup("1234-ABCD /dev/sdb1");
	show(screen, only(screen), 7);
	HAPPEN(EVENT_CORRUPTED, .where = "/other");
	HAPPEN(EVENT_STALLED, .minor = 2, .test = true);
	while ((notice = board_next(screen->board, notice)))
		if (notice->due)
			show(screen, notice, 0);
	board_set_summary(screen->board, 8);
	HAPPEN(EVENT_FROZEN, .minor = 3);
}

static void empty(struct screen *screen)
{
	screen->board = board_free(screen->board);
	assert_int_equal(board_new(&screen->board, &ops, screen), 0);
}

/* Who comes after goes on with the same numbers. */
static void test_kept(void **state)
{
	struct screen *screen = *state;
	_cleanup_free_ char *text = NULL, *again = NULL;

	fill(state);
	text = board_print(screen->board, SIZE_MAX);
	assert_non_null(text);
	empty(screen);
	assert_int_equal(board_load(screen->board, text), 0);
	again = board_print(screen->board, SIZE_MAX);
	assert_string_equal(again, text);

	assert_int_equal(board_count_due(screen->board), 1);
	assert_string_equal(board_find_shown(screen->board, 7)->identity, "1234-ABCD /dev/sdb1");
	HAPPEN(EVENT_THRESHOLD_BELOW, SEVERITY_CRITICAL, .name = "critical", .where = HOSTILE);
	assert_true(board_find_shown(screen->board, 7)->due);
	HAPPEN(EVENT_UNMOUNTED, .where = HOSTILE);
	assert_int_equal(screen->n_closed, 1);
	assert_int_equal(screen->closed[0], 7);

	assert_int_equal(board_summary(screen->board), 8);
	HAPPEN(EVENT_RESPONDING, .minor = 2, .test = true);
	assert_int_equal(screen->n_closed, 1);
	HAPPEN(EVENT_UNMOUNTED, .where = "/other");
	board_closed(screen->board, 8, true);
	assert_string_equal(only(screen)->where, "/srv");
}

/* Past the bound notices are left out as a whole. */
static void test_bounds(void **state)
{
	struct screen *screen = *state;
	_cleanup_free_ char *whole = NULL;
	size_t n_whole;

	fill(state);
	whole = board_print(screen->board, SIZE_MAX);
	n_whole = strlen(whole);
	for (size_t n = 0; n <= n_whole; n++) {
		_cleanup_free_ char *text = board_print(screen->board, n);
		_cleanup_(board_freep) struct board *other = NULL;

		assert_non_null(text);
		assert_true(strlen(text) <= n);
		assert_int_equal(strncmp(whole, text, strlen(text)), 0);
		assert_int_equal(board_new(&other, &ops, screen), 0);
		assert_int_equal(board_load(other, text), 0);
	}
}

/* What was not printed here is refused, or is a board like any other. */
static void test_malformed(void **state)
{
	static const char *const wrong[] = {
		"\n",
		"summary 1",
		"summary x\n",
		"summary -1\n",
		"summary 4294967296\n",
		"cause enospc critical 1 = =x\n",
		"notice 0 8 1 0 info 0 = =/ =/ -\n",
		"notice 6 8 1 0 info 0 = =/ =/ -\ncause enospc critical 1 = =x\n",
		"notice 0 8 1 0 info 0 =q =/ =/ -\ncause enospc critical 1 = =x\n",
		"notice 0 8 1 0 loud 0 = =/ =/ -\ncause enospc critical 1 = =x\n",
		"notice 0 8 1 0 info 0 = =/ / -\ncause enospc critical 1 = =x\n",
		"notice 0 8 1 0 info 0 = =/ =/ -\ncause nothing critical 1 = =x\n",
		"notice 0 8 1 0 info 0 = =/ =/ -\ncause enospc critical 1 = =\\377\n",
		"notice 0 8 1 0 info 0 = =/ =/ - -\ncause enospc critical 1 = =x\n",
		"notice 0 8 1 0 info 0 = =/ =/\ncause enospc critical 1 = =x\n",
	};
	static const char bytes[] = "\n =-9x\\\xff";
	struct screen *screen = *state;
	_cleanup_free_ char *text = NULL;

	fill(state);
	text = board_print(screen->board, SIZE_MAX);
	empty(screen);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(board_load(screen->board, wrong[i]), -EINVAL);
	assert_int_equal(board_load(screen->board, "notice 0 8 1 0 info 0 = =/ =/ -\n"
						   "cause enospc critical 1 = =x\n"),
			 0);
	empty(screen);

	for (size_t i = 0; text[i]; i++) {
		for (size_t j = 0; j < sizeof(bytes); j++) {
			char former = text[i];

			text[i] = bytes[j];
			if (board_load(screen->board, text) < 0)
				assert_true(is_empty(screen) && !board_summary(screen->board));
			text[i] = former;
			empty(screen);
		}
	}
}

int main(void)
{
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_kept),
		TEST(test_bounds),
		TEST(test_malformed),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
