/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/notices-internal.h"
#include "daemon/core/escape.h"

/* What belongs together comes together. */
#define GATHER_US (500 * 1000ULL)

/* At most one notice in so long. */
#define WINDOW_US (10 * 1000 * 1000ULL)

/* Who shows nothing now is asked again after. */
#define ABSENT_US (60 * 1000 * 1000ULL)

/* What is on the screen is compared with the filesystems no more often. */
#define COMPARE_US (5 * 1000 * 1000ULL)

/* The last id seen is written so long after it. */
#define SEEN_US (10 * 1000 * 1000ULL)

uint64_t notices_now(const struct notices *notices)
{
	uint64_t now = 0;

	(void)sd_event_now(notices->loop, CLOCK_BOOTTIME, &now);
	return now;
}

void notices_start_timer(struct notices *notices, sd_event_source **source, uint64_t at_us,
			 sd_event_time_handler_t handler)
{
	int enabled = SD_EVENT_OFF, r;

	if (!*source) {
		r = sd_event_add_time(notices->loop, source, CLOCK_BOOTTIME, at_us, 0, handler,
				      notices);
	} else {
		(void)sd_event_source_get_enabled(*source, &enabled);
		if (enabled != SD_EVENT_OFF)
			return;
		r = sd_event_source_set_time(*source, at_us);
		if (r >= 0)
			r = sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		agent_log("cannot set a timer: %s", strerror(-r));
}

static void notices_compare(struct notices *notices)
{
	notices->compared_us = notices_now(notices);
	listener_refresh(notices->listener);
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct notices *notices = userdata;

	/* With the newest list: what does not hold any more is not shown. */
	if (screen_prepare(notices->screen)) {
		notices->wants_show = true;
		notices_compare(notices);
	}
	return 0;
}

void notices_plan(struct notices *notices)
{
	uint64_t now = notices_now(notices), at = now + GATHER_US;

	notices_plan_keep(notices);
	if (!notices->caught_up || board_count_due(notices->board) == 0)
		return;
	if (notices->sent_us && at < notices->sent_us + WINDOW_US)
		at = notices->sent_us + WINDOW_US;
	notices_start_timer(notices, &notices->due, at, on_due);
}

static int on_save(sd_event_source *source, uint64_t usec, void *userdata);

/*
 * Who wrote to a disk that does not answer would wait for it; and what nobody
 * was shown yet has to be told again after a restart.
 */
static bool notices_may_save(struct notices *notices)
{
	return notices->caught_up && board_count_due(notices->board) == 0 &&
	       !board_blocks(notices->board);
}

static void notices_save(struct notices *notices)
{
	const char *epoch;
	uint64_t id = listener_seen(notices->listener, &epoch);
	char text[LISTENER_EPOCH_MAX + 32];

	if (id == notices->saved_id || !epoch[0] || !notices_may_save(notices))
		return;
	notices->saved_id = id;
	snprintf(text, sizeof(text), "%" PRIu64 " %s\n", id, epoch);
	place_write_later(notices->place, PLACE_SEEN, text);
}

static void notices_plan_save(struct notices *notices)
{
	notices_start_timer(notices, &notices->save, notices_now(notices) + SEEN_US, on_save);
}

static int on_save(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct notices *notices = userdata;

	if (notices_may_save(notices))
		notices_save(notices);
	else
		notices_plan_save(notices);
	return 0;
}

static void on_event(const struct event *event, void *userdata)
{
	struct notices *notices = userdata;

	if (board_apply(notices->board, event, notices_now(notices)) < 0)
		agent_log("event %" PRIu64 " was not shown: out of memory", event->id);
	notices_plan(notices);
	notices_plan_save(notices);
}

static void on_other_history(void *userdata)
{
	struct notices *notices = userdata;

	board_forget_ids(notices->board);
}

static void on_caught_up(void *userdata)
{
	struct notices *notices = userdata;

	notices->caught_up = true;
	if (notices->folders)
		folders_renew(notices->folders, listener_bus(notices->listener));
	/* Also to know what each is muted by, before it may be gone. */
	notices_compare(notices);
	notices_plan(notices);
	notices_plan_save(notices);
}

static int on_compare(sd_event_source *source, uint64_t usec, void *userdata)
{
	notices_compare(userdata);
	return 0;
}

static void on_changed(void *userdata)
{
	struct notices *notices = userdata;
	uint64_t now = notices_now(notices), at = notices->compared_us + COMPARE_US;

	if (notices->caught_up)
		notices_start_timer(notices, &notices->compare, at > now ? at : now, on_compare);
}

static bool find_state(const struct board_notice *notice, struct board_state *ret, void *userdata)
{
	struct notices *notices = userdata;
	const struct client_filesystem *fs = known_find(&notices->known, notice);

	if (!fs)
		return false;
	*ret = (struct board_state){
		.state = fs->state,
		.read_only_reason = fs->read_only_reason,
		.crossed = fs->crossed,
	};
	return true;
}

/* What each notice is muted by, while it is known. */
static void notices_identify(struct notices *notices)
{
	struct board_notice *notice = NULL;

	while ((notice = board_next(notices->board, notice))) {
		const char *identity;

		if (notice->identity)
			continue;
		identity = known_identity(&notices->known, notice);
		if (identity)
			notice->identity = strdup(identity);
	}
}

static void notices_silence_muted(struct notices *notices)
{
	struct board_notice *notice = NULL;

	while ((notice = board_next(notices->board, notice)))
		if (notice->due && notice->identity && muted_has(&notices->muted, notice->identity))
			board_silence(notices->board, notice, notices_now(notices));
}

static void on_objects(struct client_filesystems *list, uint64_t up_to_id, void *userdata)
{
	struct notices *notices = userdata;
	bool wants_show = notices->wants_show;

	notices->wants_show = false;
	notices_identify(notices);
	if (list && known_update(&notices->known, list) >= 0) {
		notices_identify(notices);
		board_reconcile(notices->board, up_to_id, find_state, notices);
	}
	notices_silence_muted(notices);
	/* The server may have gone meanwhile. */
	if (wants_show && screen_prepare(notices->screen))
		notices_send(notices);
	notices_plan(notices);
}

static void on_screen_ready(bool is_new, void *userdata)
{
	struct notices *notices = userdata;

	if (is_new)
		board_server_lost(notices->board);
	notices_plan(notices);
}

static void on_screen_shown(uint32_t id, void *userdata)
{
	struct notices *notices = userdata;

	if (!id)
		notices->sent_us = notices_now(notices) + ABSENT_US - WINDOW_US;
	notices_sent(notices, id);
	notices_plan(notices);
}

static void on_screen_closed(uint32_t id, bool by_person, void *userdata)
{
	struct notices *notices = userdata;

	board_closed(notices->board, id, by_person);
	notices_plan_keep(notices);
}

static void notices_mute(struct notices *notices, const struct board_notice *notice)
{
	_cleanup_free_ char *text = NULL, *identity = NULL, *where = NULL;

	/* Its own dies with what is done here. */
	identity = notice->identity ? strdup(notice->identity) : NULL;
	where = escape_new(notice->where, strlen(notice->where), 0);
	if (!identity || !where || muted_add(&notices->muted, identity, where) < 0)
		return;
	board_mute(notices->board, identity, notices_now(notices));
	notices_plan_keep(notices);
	text = muted_print(&notices->muted);
	if (text)
		place_write_later(notices->place, PLACE_MUTED, text);
}

static void on_screen_action(uint32_t id, enum screen_action action, const char *token,
			     void *userdata)
{
	struct notices *notices = userdata;
	struct board_notice *notice = board_find_shown(notices->board, id);

	if (!notice)
		return;
	switch (action) {
	case SCREEN_OPEN:
		if (notices_can_open(notice))
			screen_open_folder(notices->screen, notice->where, token);
		return;
	case SCREEN_MUTE:
		notices_mute(notices, notice);
		return;
	}
}

static void on_close(uint32_t id, void *userdata)
{
	struct notices *notices = userdata;

	screen_close(notices->screen, id);
}

bool notices_is_following(const struct notices *notices)
{
	return listener_is_following(notices->listener);
}

size_t notices_count_folders(const struct notices *notices)
{
	return notices->folders ? folders_count(notices->folders) : 0;
}

void notices_reload(struct notices *notices)
{
	_cleanup_free_ char *text = NULL;
	struct muted muted = {};
	int r;

	r = place_read(notices->place, PLACE_MUTED, &text);
	if (r >= 0)
		r = muted_parse(&muted, text);
	if (r < 0 && r != -ENOENT) {
		agent_log("cannot read what is muted: %s", strerror(-r));
		return;
	}
	muted_deinit(&notices->muted);
	notices->muted = muted;
	board_unmute(notices->board);
	notices_plan(notices);
}

int notices_new(struct notices **ret, sd_event *loop, sd_bus *session, const char *daemon_bus,
		struct folders *folders)
{
	static const struct listener_ops listener_ops = {
		.event = on_event,
		.other_history = on_other_history,
		.caught_up = on_caught_up,
		.changed = on_changed,
		.objects = on_objects,
	};
	static const struct screen_ops screen_ops = {
		.ready = on_screen_ready,
		.shown = on_screen_shown,
		.closed = on_screen_closed,
		.action = on_screen_action,
	};
	static const struct board_ops board_ops = { .close = on_close };
	_cleanup_(notices_freep) struct notices *notices = calloc(1, sizeof(*notices));
	int r;

	if (!notices)
		return -ENOMEM;
	notices->loop = sd_event_ref(loop);
	notices->folders = folders;
	r = bus_id_get(&notices->session, session);
	if (r >= 0)
		r = place_new(&notices->place, loop);
	if (r >= 0)
		r = screen_new(&notices->screen, session, &screen_ops, notices);
	if (r >= 0)
		r = board_new(&notices->board, &board_ops, notices);
	if (r >= 0)
		r = listener_new(&notices->listener, loop, daemon_bus, &listener_ops, notices);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(notices);
	return 0;
}

struct notices *notices_free(struct notices *notices)
{
	if (!notices)
		return NULL;
	if (notices->listener && notices->board) {
		notices_save(notices);
		notices_keep(notices);
	}
	sd_event_source_disable_unref(notices->due);
	sd_event_source_disable_unref(notices->compare);
	sd_event_source_disable_unref(notices->save);
	sd_event_source_disable_unref(notices->keep);
	listener_free(notices->listener);
	board_free(notices->board);
	screen_free(notices->screen);
	place_free(notices->place);
	known_deinit(&notices->known);
	muted_deinit(&notices->muted);
	free(notices->kept);
	sd_event_unref(notices->loop);
	free(notices);
	return NULL;
}

int notices_start(struct notices *notices)
{
	char epoch[LISTENER_EPOCH_MAX] = "";
	_cleanup_free_ char *text = NULL;
	uint64_t since = 0;
	int r;

	static_assert(LISTENER_EPOCH_MAX == 40, "one more than is read below");
	r = place_read(notices->place, PLACE_SEEN, &text);
	if (r < 0 && r != -ENOENT)
		agent_log("cannot read which event was seen last: %s", strerror(-r));
	if (r >= 0 && sscanf(text, "%" SCNu64 " %39s", &since, epoch) != 2) {
		since = 0;
		epoch[0] = '\0';
	}
	notices->saved_id = since;
	/* Of this session more is known, and more exactly. */
	(void)notices_recall(notices, &since, epoch);
	notices_reload(notices);
	return listener_start(notices->listener, since, epoch);
}
