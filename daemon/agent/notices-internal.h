/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Notices from within: notices.c decides when, notices-send.c what is sent,
 * notices-keep.c keeps for who comes after what is on the screen.
 */

#include "daemon/agent/board.h"
#include "daemon/agent/bus-id.h"
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
	struct bus_id session; /* of a bus that is closed before the end */
	struct place *place;
	struct listener *listener;
	struct screen *screen;
	struct board *board;
	struct folders *folders; /* borrowed, NULL: none */
	struct known known;
	struct muted muted;
	sd_event_source *due, *compare, *save, *keep;

	bool caught_up;
	bool wants_show; /* when the list comes */
	uint64_t sent_us; /* when the last notice was sent, 0: never */
	uint64_t compared_us;
	uint64_t saved_id;
	char *kept; /* what was written last, owned */

	struct notices_sending sending[BOARD_MAX];
	size_t n_sending;
	bool sends_summary;
};

uint64_t notices_now(const struct notices *notices);

/* A timer that runs keeps its time. */
void notices_start_timer(struct notices *notices, sd_event_source **source, uint64_t at_us,
			 sd_event_time_handler_t handler);

/* Set the timer for what is due. */
void notices_plan(struct notices *notices);

/* Send what is due: the one notice, or a summary. */
void notices_send(struct notices *notices);

/* The server's answer; 0: it was not shown. */
void notices_sent(struct notices *notices, uint32_t id);

/* Whether its folder can be shown without waiting for ever. */
bool notices_can_open(const struct board_notice *notice);

/* What is shown, and which event was the last, is to be kept: soon, or now. */
void notices_plan_keep(struct notices *notices);
void notices_keep(struct notices *notices);

/*
 * Take over what was kept in this session.
 * Return: 0 with the last event that was taken in, or -ENOENT: nothing is known.
 */
int notices_recall(struct notices *notices, uint64_t *ret_since,
		   char ret_epoch[static LISTENER_EPOCH_MAX]);
