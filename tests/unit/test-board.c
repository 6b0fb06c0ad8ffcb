/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/board-fixture.h"

static void test_replaced_and_ended(void **state)
{
	struct screen *screen = *state;
	struct board_notice *notice;

	HAPPEN(EVENT_THRESHOLD_BELOW, .name = "low");
	notice = only(screen);
	show(screen, notice, 7);
	assert_non_null(strstr(board_worst(notice)->text, "/srv"));

	HAPPEN(EVENT_THRESHOLD_BELOW, SEVERITY_CRITICAL, .name = "critical");
	assert_ptr_equal(only(screen), notice);
	assert_string_equal(board_worst(notice)->name, "critical");
	show(screen, notice, 7);
	HAPPEN(EVENT_ENOSPC);
	assert_string_equal(board_title(notice), "No disk space left");
	show(screen, notice, 7);
	assert_int_equal(screen->n_closed, 0);

	/* Good news replaces what is on the screen and is not true any more. */
	HAPPEN(EVENT_THRESHOLD_ABOVE, .name = "critical");
	assert_string_equal(board_title(notice), "Disk space is low");
	assert_string_equal(board_worst(notice)->name, "low");
	show(screen, notice, 7);
	HAPPEN(EVENT_THRESHOLD_ABOVE, .name = "low");
	assert_true(is_empty(screen));
	assert_int_equal(screen->n_closed, 1);
	assert_int_equal(screen->closed[0], 7);
}

static void test_families_and_places(void **state)
{
	struct screen *screen = *state;
	static const struct what rows[] = {
		{ EVENT_THRESHOLD_BELOW, .name = "a" },
		{ EVENT_THRESHOLD_BELOW, .name = "a", .resource = "inodes" },
		{ EVENT_READ_ONLY },
		{ EVENT_IO_ERROR },
		{ EVENT_STALLED },
		{ EVENT_FROZEN },
		{ EVENT_STALLED, .where = "/mnt" },
		{ EVENT_STALLED, .minor = 2 },
		{ EVENT_STALLED, .test = true },
	};
	size_t n = sizeof(rows) / sizeof(rows[0]);

	for (size_t i = 0; i < n; i++)
		happen(screen, rows[i]);
	assert_int_equal(board_count_due(screen->board), n);
	assert_true(board_blocks(screen->board));
	for (size_t i = 0; i < n; i++)
		happen(screen, rows[i]);
	assert_int_equal(board_count_due(screen->board), n);

	/* The place ends with all that can end; a loss of data does not, nor do tests. */
	HAPPEN(EVENT_UNMOUNTED);
	assert_int_equal(board_count_due(screen->board), 4);
	HAPPEN(EVENT_RESPONDING, .where = "/mnt");
	HAPPEN(EVENT_RESPONDING, .minor = 2);
	HAPPEN(EVENT_RESPONDING, .test = true);
	assert_int_equal(only(screen)->family, BOARD_ERRORS);
	assert_true(only(screen)->left);
	assert_false(board_blocks(screen->board));
}

static void test_on_purpose(void **state)
{
	HAPPEN(EVENT_READ_ONLY, SEVERITY_NOTICE, .reason = "admin");
	HAPPEN(EVENT_MOUNTED);
	HAPPEN(EVENT_THAWED);
	HAPPEN(EVENT_READ_WRITE);
	assert_true(is_empty(*state));
}

static void test_each_pair_ends(void **state)
{
	static const enum event_code pairs[][2] = {
		{ EVENT_READ_ONLY, EVENT_READ_WRITE },
		{ EVENT_SHUTDOWN, EVENT_READ_WRITE },
		{ EVENT_STALLED, EVENT_RESPONDING },
		{ EVENT_FROZEN, EVENT_THAWED },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		HAPPEN(pairs[i][0]);
		assert_int_equal(board_count_due(((struct screen *)*state)->board), 1);
		HAPPEN(pairs[i][1]);
		assert_true(is_empty(*state));
	}
}

static void test_repeats(void **state)
{
	struct screen *screen = *state;
	struct board_notice *notice;

	HAPPEN(EVENT_IO_ERROR);
	notice = only(screen);
	show(screen, notice, 1);

	screen->now += BOARD_REPEAT_US - 1;
	HAPPEN(EVENT_IO_ERROR);
	assert_false(notice->due);
	screen->now += 1;
	HAPPEN(EVENT_IO_ERROR);
	show(screen, notice, 1);

	/* Another error is news, unless a person has sent this away. */
	HAPPEN(EVENT_CORRUPTED);
	show(screen, notice, 1);
	board_closed(screen->board, 1, true);
	assert_int_equal(notice->shown_id, 0);
	HAPPEN(EVENT_WRITEBACK_ERROR);
	assert_false(notice->due);
	screen->now += BOARD_DISMISSED_US;
	HAPPEN(EVENT_WRITEBACK_ERROR);
	show(screen, notice, 2);

	/* One that went by itself is not sent away. */
	board_closed(screen->board, 2, false);
	assert_false(notice->dismissed);
}

static void test_worse_after_dismissal(void **state)
{
	struct screen *screen = *state;
	struct board_notice *notice;

	HAPPEN(EVENT_THRESHOLD_BELOW, SEVERITY_WARNING, .name = "low");
	notice = only(screen);
	show(screen, notice, 1);
	board_closed(screen->board, 1, true);
	HAPPEN(EVENT_THRESHOLD_BELOW, SEVERITY_CRITICAL, .name = "critical");
	show(screen, notice, 2);
	board_closed(screen->board, 2, true);

	/* Better is not told where nothing is on the screen, and worse again is. */
	HAPPEN(EVENT_THRESHOLD_ABOVE, .name = "critical");
	assert_false(notice->due);
	HAPPEN(EVENT_THRESHOLD_BELOW, SEVERITY_CRITICAL, .name = "critical");
	assert_true(notice->due);
	assert_int_equal(screen->n_closed, 0);
}

static void test_summary(void **state)
{
	struct screen *screen = *state;
	struct board_notice *notice = NULL;

	HAPPEN(EVENT_STALLED, .where = "/a");
	HAPPEN(EVENT_STALLED, .where = "/b");
	show(screen, board_next(screen->board, NULL), 5);
	while ((notice = board_next(screen->board, notice)))
		board_shown(screen->board, notice, 0, screen->now);
	/* What stood by itself does not any more. */
	assert_int_equal(screen->n_closed, 1);
	board_set_summary(screen->board, 9);

	HAPPEN(EVENT_RESPONDING, .where = "/a");
	assert_int_equal(screen->n_closed, 1);
	HAPPEN(EVENT_RESPONDING, .where = "/b");
	assert_int_equal(screen->n_closed, 2);
	assert_int_equal(screen->closed[1], 9);
	assert_int_equal(board_summary(screen->board), 0);

	/* Over before the answer came. */
	board_set_summary(screen->board, 10);
	assert_int_equal(screen->closed[2], 10);
}

static void test_server_lost(void **state)
{
	struct screen *screen = *state;
	struct board_notice *notice = NULL;

	HAPPEN(EVENT_STALLED, .where = "/a");
	HAPPEN(EVENT_STALLED, .where = "/b");
	HAPPEN(EVENT_STALLED, .where = "/c");
	for (uint32_t id = 1; (notice = board_next(screen->board, notice)); id++)
		board_shown(screen->board, notice, id < 3 ? id : 0, screen->now);
	board_set_summary(screen->board, 3);
	board_closed(screen->board, 1, true);
	board_server_lost(screen->board);

	notice = board_next(screen->board, NULL);
	assert_false(notice->due);
	assert_int_equal(board_count_due(screen->board), 2);
	assert_null(board_find_shown(screen->board, 2));
	assert_int_equal(board_summary(screen->board), 0);
	assert_int_equal(screen->n_closed, 0);
}

static void test_mute(void **state)
{
	struct screen *screen = *state;
	struct board_notice *notice;

	HAPPEN(EVENT_STALLED, .where = "/a");
	HAPPEN(EVENT_STALLED, .where = "/b");
	notice = board_next(screen->board, NULL);
	notice->identity = strdup("uuid /dev/a");
	show(screen, notice, 1);
	board_mute(screen->board, "uuid /dev/a", screen->now);
	assert_int_equal(screen->closed[0], 1);
	assert_int_equal(board_count_due(screen->board), 1);
	board_unmute(screen->board);
	assert_int_equal(board_count_due(screen->board), 2);
}

struct states {
	bool is_there;
	struct board_state state;
};

static bool find_state(const struct board_notice *notice, struct board_state *ret, void *userdata)
{
	const struct states *states = userdata;

	*ret = states->state;
	return states->is_there;
}

static void test_reconcile(void **state)
{
	static char *const crossed[] = { (char *)"low", NULL };
	struct screen *screen = *state;
	struct states states = { true, { "warning", "", crossed } };

	HAPPEN(EVENT_THRESHOLD_BELOW, .name = "low");
	HAPPEN(EVENT_THRESHOLD_BELOW, .name = "gone");
	HAPPEN(EVENT_ENOSPC);
	HAPPEN(EVENT_READ_ONLY);
	HAPPEN(EVENT_STALLED);
	HAPPEN(EVENT_FROZEN);
	HAPPEN(EVENT_STALLED, .test = true);

	/* Younger than the states: not judged. */
	board_reconcile(screen->board, 0, find_state, &states);
	assert_int_equal(board_count_due(screen->board), 5);
	board_reconcile(screen->board, screen->id, find_state, &states);
	assert_int_equal(board_count_due(screen->board), 2);
	assert_int_equal(board_next(screen->board, NULL)->n_causes, 1);
	assert_string_equal(board_worst(board_next(screen->board, NULL))->name, "low");

	/* A worse state hides others, and says nothing of them. */
	HAPPEN(EVENT_ENOSPC);
	HAPPEN(EVENT_FROZEN);
	states.state.state = "error";
	board_reconcile(screen->board, screen->id, find_state, &states);
	assert_int_equal(board_count_due(screen->board), 3);

	states.is_there = false;
	board_reconcile(screen->board, screen->id, find_state, &states);
	assert_true(only(screen)->test);
}

static void test_other_history(void **state)
{
	struct screen *screen = *state;
	struct states states = { true, { "ok", "", NULL } };

	screen->id = 5000;
	HAPPEN(EVENT_ENOSPC);
	board_reconcile(screen->board, 3, find_state, &states);
	assert_false(is_empty(screen));
	board_forget_ids(screen->board);
	board_reconcile(screen->board, 3, find_state, &states);
	assert_true(is_empty(screen));
}

static void test_bounds(void **state)
{
	struct screen *screen = *state;
	char name[BOARD_NAME_MAX];

	for (unsigned int i = 0; i < 2 * BOARD_CAUSES_MAX; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		HAPPEN(EVENT_THRESHOLD_BELOW, .name = name);
	}
	assert_int_equal(only(screen)->n_causes, BOARD_CAUSES_MAX);

	for (uint32_t i = 0; i < 2 * BOARD_MAX; i++)
		HAPPEN(EVENT_STALLED, .minor = i + 2);
	assert_int_equal(board_count_due(screen->board), BOARD_MAX);
}

int main(void)
{
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_replaced_and_ended),
		TEST(test_families_and_places),
		TEST(test_on_purpose),
		TEST(test_each_pair_ends),
		TEST(test_repeats),
		TEST(test_worse_after_dismissal),
		TEST(test_summary),
		TEST(test_server_lost),
		TEST(test_mute),
		TEST(test_reconcile),
		TEST(test_other_history),
		TEST(test_bounds),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
