/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/watch-entry.h"
#include "daemon/watches-internal.h"

/* In it is what writing an entry causes. */
static const char *const journals[] = { "/var/log/journal", "/run/log/journal" };

static_assert(sizeof(journals) / sizeof(journals[0]) + 1 == WATCHES_QUIETS,
	      "the journal's, and that of the state");

void quiets_init(struct watches *watches)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++)
		watches->quiets[i].name =
			i < WATCHES_QUIETS - 1 ? journals[i] : watches->state_directory;
}

void quiets_deinit(struct watches *watches)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++) {
		pool_cancel(watches->quiets[i].ticket);
		free(watches->quiets[i].path);
	}
}

/* Where there is none, there is nothing to be quiet about yet. */
static void on_found(enum pool_result result, const void *bytes, size_t n, void *userdata)
{
	struct quiet *quiet = userdata;
	struct watch_find_reply reply;

	quiet->ticket = NULL;
	if (result != POOL_DONE || watch_find_reply_decode(bytes, n, &reply) < 0 ||
	    reply.error < 0 || reply.n_path == 0)
		return;
	quiet->path = strndup(reply.path, reply.n_path);
}

static void look(struct watches *watches, struct quiet *quiet)
{
	const struct watch_find_request request = { .path = quiet->name };
	struct pool_submission submission = {
		.lane = POOL_LANE_FOREIGN,
		.lane_key = WATCHES_FIND_LANE,
		.job = JOB_WATCH_FIND,
		.fd = -1,
		.deadline_us = WATCHES_DEADLINE_US,
		.reply = on_found,
		.userdata = quiet,
	};
	_cleanup_free_ void *payload = NULL;

	if (watch_find_request_encode(&request, &payload, &submission.n_payload) < 0)
		return;
	submission.payload = payload;
	/* Without room: at the next tick. */
	(void)pool_submit(watches->pool, &submission, &quiet->ticket);
}

void quiets_look(struct watches *watches)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++) {
		struct quiet *quiet = &watches->quiets[i];

		if (quiet->name && !quiet->path && !quiet->ticket)
			look(watches, quiet);
	}
}

bool quiets_hold(const struct watches *watches, const char *root, const struct change *change)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++) {
		const struct quiet *quiet = &watches->quiets[i];

		if (quiet->name && watch_entry_is_within(root, change, quiet->name))
			return true;
		if (quiet->path && watch_entry_is_within(root, change, quiet->path))
			return true;
	}
	return false;
}
