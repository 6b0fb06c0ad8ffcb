/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/board.h"
#include "daemon/agent/board-internal.h"
#include "daemon/core/sentence.h"

int board_new(struct board **ret, const struct board_ops *ops, void *userdata)
{
	struct board *board = calloc(1, sizeof(*board));

	if (!board)
		return -ENOMEM;
	board->ops = ops;
	board->userdata = userdata;
	*ret = board;
	return 0;
}

struct board_notice *board_notice_free(struct board_notice *notice)
{
	if (!notice)
		return NULL;
	for (size_t i = 0; i < notice->n_causes; i++)
		free(notice->causes[i].text);
	free(notice->where);
	free(notice->identity);
	free(notice);
	return NULL;
}

struct board *board_free(struct board *board)
{
	if (!board)
		return NULL;
	for (size_t i = 0; i < board->n_notices; i++)
		board_notice_free(board->notices[i]);
	free(board);
	return NULL;
}

void board_check_summary(struct board *board)
{
	uint32_t id = board->summary_id;

	if (!id)
		return;
	for (size_t i = 0; i < board->n_notices; i++)
		if (board->notices[i]->in_summary)
			return;
	board->summary_id = 0;
	board->ops->close(id, board->userdata);
}

void board_remove(struct board *board, struct board_notice *notice)
{
	for (size_t i = 0; i < board->n_notices; i++) {
		if (board->notices[i] != notice)
			continue;
		board->n_notices--;
		memmove(board->notices + i, board->notices + i + 1,
			(board->n_notices - i) * sizeof(*board->notices));
		break;
	}
	if (notice->shown_id)
		board->ops->close(notice->shown_id, board->userdata);
	board_notice_free(notice);
	board_check_summary(board);
}

static bool find(const struct event *event, const char *key, enum detail_type type,
		 struct detail *ret)
{
	return details_find(&event->details, key, ret) && ret->type == type;
}

static bool is_text(const struct event *event, const char *key, const char *text)
{
	struct detail detail;

	return find(event, key, DETAIL_STRING, &detail) && detail.n_value == strlen(text) &&
	       memcmp(detail.value, text, detail.n_value) == 0;
}

static bool is_of(const struct board_notice *notice, const struct event *event)
{
	struct detail where;

	if (notice->test != event->test || notice->major != event->fs.major ||
	    notice->minor != event->fs.minor)
		return false;
	if (!find(event, "where", DETAIL_BYTES, &where))
		return !notice->where[0];
	return strlen(notice->where) == where.n_value &&
	       memcmp(notice->where, where.value, where.n_value) == 0;
}

static struct board_notice *board_find(struct board *board, const struct event *event,
				       enum board_family family)
{
	for (size_t i = 0; i < board->n_notices; i++)
		if (board->notices[i]->family == family && is_of(board->notices[i], event))
			return board->notices[i];
	return NULL;
}

static int board_add(struct board *board, const struct event *event, enum board_family family,
		     struct board_notice **ret)
{
	_cleanup_(board_notice_freep) struct board_notice *notice = calloc(1, sizeof(*notice));
	struct detail where;

	if (!notice)
		return -ENOMEM;
	notice->where = find(event, "where", DETAIL_BYTES, &where)
				? strndup((const char *)where.value, where.n_value)
				: strdup("");
	if (!notice->where)
		return -ENOMEM;

	notice->major = event->fs.major;
	notice->minor = event->fs.minor;
	notice->family = family;
	notice->test = event->test;
	notice->serial = ++board->last_serial;

	if (board->n_notices == BOARD_MAX)
		board_remove(board, board->notices[0]);
	board->notices[board->n_notices++] = notice;
	*ret = TAKE_PTR(notice);
	return 0;
}

static void cause_name(char ret[static BOARD_NAME_MAX], const struct event *event)
{
	struct detail name;

	ret[0] = '\0';
	if (!find(event, "name", DETAIL_STRING, &name) || name.n_value >= BOARD_NAME_MAX)
		return;
	memcpy(ret, name.value, name.n_value);
	ret[name.n_value] = '\0';
}

static struct board_cause *notice_find_cause(struct board_notice *notice, enum event_code code,
					     const char *name)
{
	for (size_t i = 0; i < notice->n_causes; i++)
		if (notice->causes[i].code == code && strcmp(notice->causes[i].name, name) == 0)
			return &notice->causes[i];
	return NULL;
}

const struct board_cause *board_worst(const struct board_notice *notice)
{
	const struct board_cause *worst = &notice->causes[0];

	assert(notice->n_causes > 0);
	for (size_t i = 1; i < notice->n_causes; i++) {
		const struct board_cause *cause = &notice->causes[i];

		if (cause->severity > worst->severity ||
		    (cause->severity == worst->severity && cause->id > worst->id))
			worst = cause;
	}
	return worst;
}

/* @is_new: the cause was not there before. */
static void notice_judge(struct board_notice *notice, const struct board_cause *cause, bool is_new,
			 uint64_t now_us)
{
	uint64_t age = now_us - notice->shown_us;

	if (notice->due)
		return;
	if (!notice->was_shown || cause->severity > notice->shown_severity)
		notice->due = true;
	else if (notice->dismissed)
		notice->due = age >= BOARD_DISMISSED_US;
	else if (is_new)
		notice->due = board_worst(notice) == cause;
	else
		notice->due = age >= BOARD_REPEAT_US;
}

static int board_raise(struct board *board, const struct event *event, enum board_family family,
		       uint64_t now_us)
{
	struct board_notice *notice = board_find(board, event, family);
	char sentence[SENTENCE_MAX], name[BOARD_NAME_MAX] = "";
	_cleanup_free_ char *text = NULL;
	struct board_cause *cause;
	bool is_new;
	int r;

	sentence_event(sentence, event, event_count(event));
	text = strdup(sentence);
	if (!text)
		return -ENOMEM;
	if (!notice) {
		r = board_add(board, event, family, &notice);
		if (r < 0)
			return r;
	}

	if (event->code == EVENT_THRESHOLD_BELOW)
		cause_name(name, event);
	cause = notice_find_cause(notice, event->code, name);
	is_new = !cause;
	if (!cause) {
		if (notice->n_causes == BOARD_CAUSES_MAX)
			return 0;
		cause = &notice->causes[notice->n_causes++];
		*cause = (struct board_cause){ .code = event->code };
		memcpy(cause->name, name, sizeof(cause->name));
	}
	free(cause->text);
	cause->text = TAKE_PTR(text);
	cause->severity = event->severity;
	cause->id = event->id;

	fs_key_path(&event->fs, notice->path);
	notice->left = false;
	notice_judge(notice, cause, is_new, now_us);
	return 0;
}

/* Return: whether anything is left of the notice. */
static bool board_drop_cause(struct board *board, struct board_notice *notice,
			     struct board_cause *cause)
{
	bool was_worst = board_worst(notice) == cause;
	size_t i = (size_t)(cause - notice->causes);

	free(cause->text);
	notice->n_causes--;
	memmove(cause, cause + 1, (notice->n_causes - i) * sizeof(*cause));
	if (notice->n_causes == 0) {
		board_remove(board, notice);
		return false;
	}

	/* What is on the screen must be true; what is not there is not brought back for good news. */
	if (was_worst && notice->shown_id)
		notice->due = true;
	else if (notice->was_shown && !notice->due)
		notice->shown_severity = board_worst(notice)->severity;
	return true;
}

static void board_lower(struct board *board, const struct event *event, enum board_family family,
			enum event_code code, const char *name)
{
	struct board_notice *notice = board_find(board, event, family);
	struct board_cause *cause = notice ? notice_find_cause(notice, code, name) : NULL;

	if (cause)
		(void)board_drop_cause(board, notice, cause);
}

static void board_end(struct board *board, const struct event *event, enum board_family family)
{
	struct board_notice *notice = board_find(board, event, family);

	if (notice)
		board_remove(board, notice);
}

/* Data that was lost is lost, also when the disk is gone; all else went with it. */
static void board_leave(struct board *board, struct board_notice *notice)
{
	bool is_over =
		notice->was_shown && !notice->due && !notice->shown_id && !notice->in_summary;

	if (notice->family != BOARD_ERRORS || is_over)
		board_remove(board, notice);
	else
		notice->left = true;
}

static enum board_family space_family(const struct event *event)
{
	return is_text(event, "resource", "inodes") ? BOARD_INODES : BOARD_SPACE;
}

static void board_rise_above(struct board *board, const struct event *event)
{
	enum board_family family = space_family(event);
	char name[BOARD_NAME_MAX];

	cause_name(name, event);
	board_lower(board, event, family, EVENT_THRESHOLD_BELOW, name);
	if (family == BOARD_INODES) {
		board_lower(board, event, family, EVENT_ENOSPC_INODES, "");
		return;
	}
	board_lower(board, event, family, EVENT_ENOSPC, "");
	board_lower(board, event, family, EVENT_ENOSPC_METADATA, "");
}

int board_apply(struct board *board, const struct event *event, uint64_t now_us)
{
	assert(board);
	assert(event);

	switch (event->code) {
	case EVENT_ENOSPC:
	case EVENT_ENOSPC_METADATA:
		return board_raise(board, event, BOARD_SPACE, now_us);
	case EVENT_ENOSPC_INODES:
		return board_raise(board, event, BOARD_INODES, now_us);
	case EVENT_THRESHOLD_BELOW:
		return board_raise(board, event, space_family(event), now_us);
	case EVENT_THRESHOLD_ABOVE:
		board_rise_above(board, event);
		return 0;
	case EVENT_READ_ONLY:
		/* Whoever did it on purpose knows. */
		if (is_text(event, "reason", "admin"))
			return 0;
		return board_raise(board, event, BOARD_READ_ONLY, now_us);
	case EVENT_SHUTDOWN:
		return board_raise(board, event, BOARD_READ_ONLY, now_us);
	case EVENT_READ_WRITE:
		board_end(board, event, BOARD_READ_ONLY);
		return 0;
	case EVENT_CORRUPTED:
	case EVENT_IO_ERROR:
	case EVENT_WRITEBACK_ERROR:
		return board_raise(board, event, BOARD_ERRORS, now_us);
	case EVENT_FROZEN:
		return board_raise(board, event, BOARD_FROZEN, now_us);
	case EVENT_THAWED:
		board_end(board, event, BOARD_FROZEN);
		return 0;
	case EVENT_STALLED:
		return board_raise(board, event, BOARD_STALL, now_us);
	case EVENT_RESPONDING:
		board_end(board, event, BOARD_STALL);
		return 0;
	case EVENT_MOUNTED:
		return 0;
	case EVENT_UNMOUNTED:
		for (size_t i = board->n_notices; i-- > 0;)
			if (is_of(board->notices[i], event))
				board_leave(board, board->notices[i]);
		return 0;
	case _EVENT_CODE_N:
		break;
	}

	assert(!"no such code");
	return 0;
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static bool is_crossed(const struct board_state *state, const char *name)
{
	for (char *const *at = state->crossed; at && *at; at++)
		if (strcmp(*at, name) == 0)
			return true;
	return false;
}

/* States are the worst that holds: only one that is less says that something does not hold. */
static bool cause_holds(const struct board_cause *cause, enum board_family family,
			const struct board_state *state)
{
	static const char *const below_full[] = { "ok", "unknown", "warning", "critical", NULL };
	static const char *const below_frozen[] = { "ok",	"unknown", "warning",
						    "critical", "full",	   NULL };

	switch (family) {
	case BOARD_SPACE:
	case BOARD_INODES:
		if (cause->code == EVENT_THRESHOLD_BELOW)
			return is_crossed(state, cause->name);
		return !is_one_of(state->state, below_full);
	case BOARD_READ_ONLY:
		return state->read_only_reason[0];
	case BOARD_STALL:
		return strcmp(state->state, "stalled") == 0;
	case BOARD_FROZEN:
		return !is_one_of(state->state, below_frozen);
	case BOARD_ERRORS:
	case _BOARD_FAMILY_N:
		break;
	}
	return true;
}

static void notice_reconcile(struct board *board, struct board_notice *notice, uint64_t up_to_id,
			     const struct board_state *state)
{
	for (size_t i = notice->n_causes; i-- > 0;) {
		struct board_cause *cause = &notice->causes[i];

		if (cause->id <= up_to_id && !cause_holds(cause, notice->family, state) &&
		    !board_drop_cause(board, notice, cause))
			return;
	}
}

void board_forget_ids(struct board *board)
{
	for (size_t i = 0; i < board->n_notices; i++)
		for (size_t j = 0; j < board->notices[i]->n_causes; j++)
			board->notices[i]->causes[j].id = 0;
}

void board_reconcile(struct board *board, uint64_t up_to_id, board_find_fn find_state,
		     void *userdata)
{
	for (size_t i = board->n_notices; i-- > 0;) {
		struct board_notice *notice = board->notices[i];
		struct board_state state;

		if (notice->test || notice->left)
			continue;
		if (find_state(notice, &state, userdata))
			notice_reconcile(board, notice, up_to_id, &state);
		else if (board_worst(notice)->id <= up_to_id)
			board_leave(board, notice);
	}
}
