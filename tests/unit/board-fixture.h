/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A board, what happens to it, and the screen that it is shown on. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/agent/board.h"

#define SECOND_US 1000000ULL

struct screen {
	struct board *board;
	uint64_t now, id;
	uint32_t closed[64];
	size_t n_closed;
};

static inline void on_close(uint32_t id, void *userdata)
{
	struct screen *screen = userdata;

	assert_true(screen->n_closed < 64);
	screen->closed[screen->n_closed++] = id;
}

static const struct board_ops ops = { .close = on_close };

static inline int setup(void **state)
{
	struct screen *screen = calloc(1, sizeof(*screen));

	screen->now = 1000 * SECOND_US;
	assert_int_equal(board_new(&screen->board, &ops, screen), 0);
	*state = screen;
	return 0;
}

static inline int teardown(void **state)
{
	struct screen *screen = *state;

	board_free(screen->board);
	free(screen);
	return 0;
}

struct what {
	enum event_code code;
	enum event_severity severity;
	const char *name, *where, *resource, *reason;
	uint32_t minor;
	bool test;
};

static inline void happen(struct screen *screen, struct what what)
{
	struct event event = {
		.id = ++screen->id,
		.code = what.code,
		.severity = what.severity ?: event_code_severity(what.code),
		.fs = { 8, what.minor ?: 1, 1 },
		.test = what.test,
	};
	const char *where = what.where ?: "/srv";

	assert_int_equal(details_add_bytes(&event.details, "where", where, strlen(where), 0), 0);
	if (what.name)
		assert_int_equal(details_add_string(&event.details, "name", what.name, 0), 0);
	if (what.resource)
		assert_int_equal(details_add_string(&event.details, "resource", what.resource, 0),
				 0);
	if (what.reason)
		assert_int_equal(details_add_string(&event.details, "reason", what.reason, 0), 0);
	assert_int_equal(board_apply(screen->board, &event, screen->now), 0);
	event_deinit(&event);
}

#define HAPPEN(...) happen(*state, (struct what){ __VA_ARGS__ })

static inline struct board_notice *only(struct screen *screen)
{
	struct board_notice *notice = board_next(screen->board, NULL);

	assert_non_null(notice);
	assert_null(board_next(screen->board, notice));
	return notice;
}

static inline void show(struct screen *screen, struct board_notice *notice, uint32_t id)
{
	assert_true(notice->due);
	board_shown(screen->board, notice, id, screen->now);
	assert_false(notice->due);
}

static inline bool is_empty(struct screen *screen)
{
	return !board_next(screen->board, NULL);
}
