/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * History
 *
 * The ring of past events, by id. Ids are consecutive and never go back; over
 * a run of the daemon that ended abruptly they jump, and the history knows
 * where (history_add_gap()).
 * Room is shared by rules and not by arrival, and so the one "corrupted"
 * outlives a hundred thousand mounts:
 *
 * - test events, events of filesystems mounted by ordinary users, and
 *   mounted/unmounted have a budget each (64, an eighth, an eighth) and evict
 *   only themselves;
 * - the rest belongs to five classes, one per severity and one of its own for
 *   damage (critical, and not about space); when it is full, the largest
 *   class gives way, hence none ever loses what it has within a fifth;
 * - within a class the filesystem and code with the most events loses its
 *   oldest one, hence a flood evicts itself and each filesystem keeps some.
 *
 * Memory is bounded too: an event counts as one for each HISTORY_UNIT bytes
 * of its details begun. Rates per user are limited before (rate.h).
 * Pure: storing it is the state worker's job.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"

#define HISTORY_SIZE_DEFAULT 4096
#define HISTORY_SIZE_MIN 256 /* less is raised to this */
#define HISTORY_SIZE_MAX (1U << 20) /* more is lowered to this */
#define HISTORY_TEST_BUDGET 64
#define HISTORY_UNIT 512

/* Amendments that are remembered for streams; see history_amendment_after(). */
#define HISTORY_AMENDMENTS 64

/* Gaps that are remembered each for itself; the oldest ones beyond become one. */
#define HISTORY_GAPS 32

struct history;

/**
 * history_new() - an empty history
 * @size:	events kept at most
 * @first_id:	the first id to be given, at least 1
 *
 * Return: 0, or -ENOMEM.
 */
int history_new(struct history **ret, size_t size, uint64_t first_id);
struct history *history_free(struct history *history);
DEFINE_FREEP(history, history_free)

/**
 * history_push() - number an event and keep it
 * @event:	gets its ->id, also when it cannot be kept; copied
 *
 * Return: the kept copy, borrowed until the next push; NULL when there is no
 * memory (the id is used up: a gap in the history, not in the feed).
 */
struct event *history_push(struct history *history, struct event *event);

/**
 * history_restore() - put back what the state file had
 * @event:	copied; in order of ids, all below the next id, before any push
 *
 * The rules above hold, so that older ones may be evicted by it.
 * Return: 0, -EINVAL (id out of order), -ENOMEM.
 */
int history_restore(struct history *history, const struct event *event);

/**
 * history_amend() - add details to a kept event
 * @more:	with keys that it does not have yet; copied
 *
 * Return: 0, -ENOENT (evicted), -EEXIST (it has such a key already), -E2BIG
 * (past DETAILS_MAX), -ENOMEM; the event is as before unless 0.
 */
int history_amend(struct history *history, uint64_t id, const struct details *more);

uint64_t history_oldest(const struct history *history); /* 0: empty */
uint64_t history_newest(const struct history *history); /* the last id given, also if not kept */
uint64_t history_next_id(const struct history *history);
size_t history_length(const struct history *history); /* events kept */

/**
 * history_after() - the first kept event with an id above @id
 *
 * Return: borrowed until the next push, restore or amend; NULL: none.
 */
const struct event *history_after(const struct history *history, uint64_t id);

/*
 * Ids that a run which ended abruptly may have given out after the last one
 * that is known of it, and the next run did not: nobody can tell how many of
 * them were events. Both ends belong to it.
 */
struct history_gap {
	uint64_t first_id, last_id;
};

/** history_gap_is_valid() - @gap lies above the ids up to @after, and its ends are in order */
bool history_gap_is_valid(const struct history_gap *gap, uint64_t after);

/**
 * history_add_gap() - remember a gap
 * @gap:	above those that were added before, and below the next id; another one is ignored
 */
void history_add_gap(struct history *history, const struct history_gap *gap);

/** history_gap_after() - the first gap that has an id above @id; Return: true with @ret */
bool history_gap_after(const struct history *history, uint64_t id, struct history_gap *ret);

/** history_gaps() - all of them in order; borrowed until the next one is added */
const struct history_gap *history_gaps(const struct history *history, size_t *ret_n);

/* What one history_amend() added. @data is borrowed as from history_after(). */
struct history_amendment {
	uint64_t seq; /* counts amendments from 1 */
	uint64_t id; /* of the event */
	const uint8_t *data; /* the details added */
	size_t n_data;
	bool gap; /* amendments between the one asked for and this were forgotten */
};

/** history_amendment_seq() - of the latest amendment, 0 before the first */
uint64_t history_amendment_seq(const struct history *history);

/**
 * history_amendment_after() - the first remembered amendment with a number above @seq
 *
 * Amendments of events that were evicted since are skipped: nobody can have
 * use for them. Return: true with @ret.
 */
bool history_amendment_after(const struct history *history, uint64_t seq,
			     struct history_amendment *ret);
