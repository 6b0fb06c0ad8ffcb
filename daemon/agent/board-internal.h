/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The board from within: board.c takes events in, board-screen.c says what is shown,
 * board-text.c keeps it for who comes after.
 */

#include "daemon/agent/board.h"

struct board {
	const struct board_ops *ops;
	void *userdata;
	struct board_notice *notices[BOARD_MAX]; /* owned, oldest first */
	size_t n_notices;
	uint64_t last_serial;
	uint32_t summary_id;
};

/* Its memory alone. */
struct board_notice *board_notice_free(struct board_notice *notice);
DEFINE_FREEP(board_notice, board_notice_free);

/* Takes it back from the screen too. */
void board_remove(struct board *board, struct board_notice *notice);
void board_check_summary(struct board *board);
