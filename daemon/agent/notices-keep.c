/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/notices-internal.h"

/* Kept so long after a change at the latest. */
#define KEEP_US (1000 * 1000ULL)

/* The first line: the bus, the server, the last event and its epoch. */
#define HEADER_MAX 256

/* NULL: it cannot be said. */
static char *notices_print(struct notices *notices)
{
	_cleanup_free_ char *board = NULL;
	char *text;
	const char *epoch, *server = screen_server(notices->screen);
	uint64_t id = listener_seen(notices->listener, &epoch);

	if (!epoch[0])
		return NULL;
	board = board_print(notices->board, PLACE_TEXT_MAX - HEADER_MAX);
	if (!board || asprintf(&text, "%s %s %" PRIu64 " %s\n%s", notices->session.text,
			       server[0] ? server : "-", id, epoch, board) < 0)
		return NULL;
	return text;
}

void notices_keep(struct notices *notices)
{
	_cleanup_free_ char *text = notices_print(notices);

	if (!text || (notices->kept && strcmp(text, notices->kept) == 0))
		return;
	place_write_later(notices->place, PLACE_SHOWN, text);
	free(notices->kept);
	notices->kept = TAKE_PTR(text);
}

static int on_keep(sd_event_source *source, uint64_t usec, void *userdata)
{
	notices_keep(userdata);
	return 0;
}

void notices_plan_keep(struct notices *notices)
{
	notices_start_timer(notices, &notices->keep, notices_now(notices) + KEEP_US, on_keep);
}

int notices_recall(struct notices *notices, uint64_t *ret_since,
		   char ret_epoch[static LISTENER_EPOCH_MAX])
{
	char server[64], epoch[LISTENER_EPOCH_MAX];
	_cleanup_free_ char *text = NULL;
	uint64_t since;
	int r, n = 0;

	static_assert(LISTENER_EPOCH_MAX == 40, "one more than is read below");
	r = place_read(notices->place, PLACE_SHOWN, &text);
	if (r < 0) {
		if (r != -ENOENT)
			agent_log("cannot read what was shown: %s", strerror(-r));
		return -ENOENT;
	}
	if (!bus_id_leads(&notices->session, text) ||
	    sscanf(text, "%*s %63s %" SCNu64 " %39s%n", server, &since, epoch, &n) != 3 ||
	    text[n] != '\n' || board_load(notices->board, text + n + 1) < 0)
		return -ENOENT;

	if (!screen_recall(notices->screen, server))
		board_server_lost(notices->board);
	*ret_since = since;
	memcpy(ret_epoch, epoch, sizeof(epoch));
	return 0;
}
