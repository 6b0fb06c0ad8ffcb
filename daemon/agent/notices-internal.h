/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Notices from within: notices.c decides when, notices-send.c what is sent.
 */

#include "daemon/agent/board.h"
#include "daemon/agent/folders.h"
#include "daemon/agent/known.h"
#include "daemon/agent/listener.h"
#include "daemon/agent/muted.h"
#include "daemon/agent/notices.h"
#include "daemon/agent/place.h"
#include "daemon/agent/screen.h"

/* A notice that is on its way to the server. */
struct notices_sending {
	uint64_t serial, cause_id;
};

struct notices {
	sd_event *loop;
	struct place *place;
	struct listener *listener;
	struct screen *screen;
	struct board *board;
	struct folders *folders; /* borrowed, NULL: none */
	struct known known;
	struct muted muted;
	sd_event_source *due, *compare, *save;

	bool caught_up;
	bool wants_show; /* when the list comes */
	uint64_t sent_us; /* when the last notice was sent, 0: never */
	uint64_t compared_us;
	uint64_t saved_id;

	struct notices_sending sending[BOARD_MAX];
	size_t n_sending;
	bool sends_summary;
};

uint64_t notices_now(const struct notices *notices);

/* Set the timer for what is due. */
void notices_plan(struct notices *notices);

/* Send what is due: the one notice, or a summary. */
void notices_send(struct notices *notices);

/* The server's answer; 0: it was not shown. */
void notices_sent(struct notices *notices, uint32_t id);

/* Whether its folder can be shown without waiting for ever. */
bool notices_can_open(const struct board_notice *notice);
