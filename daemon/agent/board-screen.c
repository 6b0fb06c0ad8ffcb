/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/agent/board.h"
#include "daemon/agent/board-internal.h"

struct board_notice *board_next(struct board *board, const struct board_notice *after)
{
	for (size_t i = 0; i < board->n_notices; i++)
		if (!after || board->notices[i]->serial > after->serial)
			return board->notices[i];
	return NULL;
}

struct board_notice *board_find_serial(struct board *board, uint64_t serial)
{
	for (size_t i = 0; i < board->n_notices; i++)
		if (board->notices[i]->serial == serial)
			return board->notices[i];
	return NULL;
}

struct board_notice *board_find_shown(struct board *board, uint32_t id)
{
	for (size_t i = 0; i < board->n_notices && id; i++)
		if (board->notices[i]->shown_id == id)
			return board->notices[i];
	return NULL;
}

const char *board_title(const struct board_notice *notice)
{
	static const char *const titles[] = {
		[BOARD_SPACE] = "Disk space is low",
		[BOARD_INODES] = "Room for files is low",
		[BOARD_READ_ONLY] = "Filesystem cannot be written to",
		[BOARD_ERRORS] = "Filesystem has errors",
		[BOARD_STALL] = "Filesystem does not answer",
		[BOARD_FROZEN] = "Filesystem is frozen",
	};
	enum event_code code = board_worst(notice)->code;

	if (code == EVENT_ENOSPC || code == EVENT_ENOSPC_METADATA)
		return "No disk space left";
	if (code == EVENT_ENOSPC_INODES)
		return "No room for files left";
	return titles[notice->family];
}

size_t board_count_due(struct board *board)
{
	size_t n = 0;

	for (size_t i = 0; i < board->n_notices; i++)
		n += board->notices[i]->due;
	return n;
}

bool board_blocks(struct board *board)
{
	for (size_t i = 0; i < board->n_notices; i++)
		if (!board->notices[i]->test && (board->notices[i]->family == BOARD_STALL ||
						 board->notices[i]->family == BOARD_FROZEN))
			return true;
	return false;
}

static void notice_settle(struct board_notice *notice, uint64_t now_us)
{
	notice->due = false;
	notice->was_shown = true;
	notice->dismissed = false;
	notice->muted = false;
	notice->shown_severity = board_worst(notice)->severity;
	notice->shown_us = now_us;
}

void board_shown(struct board *board, struct board_notice *notice, uint32_t id, uint64_t now_us)
{
	uint32_t former = notice->shown_id;

	notice_settle(notice, now_us);
	notice->shown_id = id;
	notice->in_summary = id == 0;
	if (former && former != id)
		board->ops->close(former, board->userdata);
	board_check_summary(board);
}

void board_silence(struct board *board, struct board_notice *notice, uint64_t now_us)
{
	uint32_t former = notice->shown_id;

	notice_settle(notice, now_us);
	notice->dismissed = true;
	notice->muted = true;
	notice->shown_id = 0;
	notice->in_summary = false;
	if (former)
		board->ops->close(former, board->userdata);
	board_check_summary(board);
}

uint32_t board_summary(const struct board *board)
{
	return board->summary_id;
}

void board_set_summary(struct board *board, uint32_t id)
{
	board->summary_id = id;
	board_check_summary(board);
}

/* Nothing of it is on the screen, and nothing more can come of it. */
static bool notice_is_over(const struct board_notice *notice)
{
	return notice->left && !notice->due && !notice->shown_id && !notice->in_summary;
}

void board_closed(struct board *board, uint32_t id, bool by_person)
{
	bool is_summary = id && id == board->summary_id;

	if (is_summary)
		board->summary_id = 0;
	for (size_t i = board->n_notices; id && i-- > 0;) {
		struct board_notice *notice = board->notices[i];

		if (notice->shown_id != id && !(is_summary && notice->in_summary))
			continue;
		notice->shown_id = 0;
		notice->in_summary = false;
		notice->dismissed = by_person;
		if (notice_is_over(notice))
			board_remove(board, notice);
	}
}

void board_mute(struct board *board, const char *identity, uint64_t now_us)
{
	for (size_t i = board->n_notices; i-- > 0;) {
		struct board_notice *notice = board->notices[i];

		if (!notice->identity || strcmp(notice->identity, identity) != 0)
			continue;
		board_silence(board, notice, now_us);
	}
}

void board_unmute(struct board *board)
{
	for (size_t i = 0; i < board->n_notices; i++) {
		struct board_notice *notice = board->notices[i];

		notice->due = notice->due || notice->muted;
		notice->muted = false;
	}
}

void board_server_lost(struct board *board)
{
	for (size_t i = board->n_notices; i-- > 0;) {
		struct board_notice *notice = board->notices[i];

		if (notice->shown_id || notice->in_summary)
			notice->due = true;
		notice->shown_id = 0;
		notice->in_summary = false;
	}
	board->summary_id = 0;
}
