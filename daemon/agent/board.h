/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is wrong now
 *
 * Events on one side, notices on the other: one notice for each filesystem and
 * family of events, which holds as long as one of its causes does. Says which
 * notices have to be shown, anew or in place of what they said before, and
 * which are to be taken back. Pure: knows neither bus nor server, and time
 * comes in as a parameter. When something is sent is not its matter.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"

enum board_family {
	BOARD_SPACE,
	BOARD_INODES,
	BOARD_READ_ONLY,
	BOARD_ERRORS,
	BOARD_STALL,
	BOARD_FROZEN,

	_BOARD_FAMILY_N,
};

/* Notices at a time; past them the oldest is given up. */
#define BOARD_MAX 256

/* Causes of one notice; further ones are not taken. */
#define BOARD_CAUSES_MAX 16

#define BOARD_NAME_MAX 64

/* The same is said again only after so long, and longer where a person has sent it away. */
#define BOARD_REPEAT_US (10 * 60 * 1000000ULL)
#define BOARD_DISMISSED_US (60 * 60 * 1000000ULL)

struct board_cause {
	enum event_code code;
	char name[BOARD_NAME_MAX]; /* of a threshold, else empty */
	enum event_severity severity;
	uint64_t id;
	char *text; /* the sentence; UTF-8 on one line, no markup */
};

struct board_notice {
	uint64_t serial; /* never reused */
	uint32_t major, minor;
	char *where; /* bytes; empty: not known */
	enum board_family family;
	bool test;
	char path[FS_PATH_MAX]; /* of the last event */
	struct board_cause causes[BOARD_CAUSES_MAX];
	size_t n_causes; /* at least 1 */

	bool due; /* to be shown */
	bool left; /* unmounted: kept only for what a person may do with it */
	bool was_shown, dismissed, muted;
	bool in_summary;
	uint32_t shown_id; /* the server's number, 0: not on the screen by itself */
	enum event_severity shown_severity;
	uint64_t shown_us;

	char *identity; /* owned by the board, set by its user; what Mute keys on, NULL: not known */
};

struct board_ops {
	/* Take back what is on the screen under this number. */
	void (*close)(uint32_t id, void *userdata);
};

struct board;

int board_new(struct board **ret, const struct board_ops *ops, void *userdata);
struct board *board_free(struct board *board);
DEFINE_FREEP(board, board_free);

/** board_apply() - take an event in; Return: 0 or -ENOMEM, then it is as if it had not been */
int board_apply(struct board *board, const struct event *event, uint64_t now_us);

/* How a filesystem is, as its properties say. */
struct board_state {
	const char *state;
	const char *read_only_reason;
	char *const *crossed; /* NULL-terminated; may be NULL */
};

/* Return: whether the filesystem of the notice is there, with @ret set. */
typedef bool (*board_find_fn)(const struct board_notice *notice, struct board_state *ret,
			      void *userdata);

/**
 * board_reconcile() - take back what does not hold any more
 * @up_to_id:	newer events are not judged: they may be younger than the states
 */
void board_reconcile(struct board *board, uint64_t up_to_id, board_find_fn find, void *userdata);

/** board_forget_ids() - the ids so far are of another history: all that comes is newer */
void board_forget_ids(struct board *board);

/** board_next() - walk the notices, oldest first; NULL begins and ends; taking one back ends the walk */
struct board_notice *board_next(struct board *board, const struct board_notice *after);
struct board_notice *board_find_serial(struct board *board, uint64_t serial);
struct board_notice *board_find_shown(struct board *board, uint32_t id);

/** board_worst() - the cause that a notice is about: the worst, of these the latest */
const struct board_cause *board_worst(const struct board_notice *notice);

/** board_title() - the family in words */
const char *board_title(const struct board_notice *notice);

size_t board_count_due(struct board *board);

/** board_blocks() - some filesystem is frozen or does not answer: touching a file may wait for ever */
bool board_blocks(struct board *board);

/** board_shown() - it is on the screen under @id of its own, or as a part of the summary with 0 */
void board_shown(struct board *board, struct board_notice *notice, uint32_t id, uint64_t now_us);

/** board_silence() - it is of a muted filesystem: count it as told, and take it back */
void board_silence(struct board *board, struct board_notice *notice, uint64_t now_us);

/** board_summary() - the number of the summary, 0: there is none on the screen */
uint32_t board_summary(const struct board *board);
void board_set_summary(struct board *board, uint32_t id);

/** board_closed() - the server says that a number is not on the screen any more */
void board_closed(struct board *board, uint32_t id, bool by_person);

/** board_mute() - take back all notices of a filesystem, and count them as told */
void board_mute(struct board *board, const char *identity, uint64_t now_us);

/** board_unmute() - what was muted is due: whether it still is, is decided anew */
void board_unmute(struct board *board);

/** board_server_lost() - nothing is on the screen any more: show again what nobody sent away */
void board_server_lost(struct board *board);

/** board_print() - all of it as text of @n_max bytes at most, past them the latest notices are left out; NULL without memory */
char *board_print(const struct board *board, size_t n_max);

/**
 * board_load() - take over what board_print() gave
 * @board:	an empty one
 *
 * Return: 0, -EINVAL for what it did not give, or -ENOMEM; then it is as empty as before.
 */
int board_load(struct board *board, const char *text);
