/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/fusion-internal.h"

#define WINDOW_US 2000000ULL

/* The last one is for all objects for which there is no other. */
#define COMMON (FUSION_OBJECTS - 1)

static struct fusion_failure *failures_of(struct fusion *fusion, enum fusion_hint_kind kind)
{
	assert(kind >= FUSION_HINT_CORRUPTED && kind <= FUSION_HINT_WRITEBACK_ERROR);

	return fusion->failures[kind - FUSION_HINT_CORRUPTED];
}

/* A failed device goes on failing, with each thing that is tried. */
static uint64_t same_us(enum fusion_hint_kind kind)
{
	return kind == FUSION_HINT_CORRUPTED ? FUSION_SAME_US : FUSION_DEVICE_US;
}

/* So long after its end it would be a new failure. */
static bool is_forgotten(const struct fusion_failure *failure, uint64_t now_us)
{
	return !failure->waits && now_us >= failure->end_us + FUSION_WINDOW_MAX_US;
}

static struct fusion_failure *find_exact(struct fusion_failure *failures,
					 const struct fusion_hint *hint)
{
	for (unsigned int i = 0; i < COMMON; i++)
		if (failures[i].used && failures[i].has_inode == hint->has_inode &&
		    (!hint->has_inode || failures[i].inode == hint->inode))
			return &failures[i];
	return NULL;
}

/* What names no object may belong to any that failed just now. */
static struct fusion_failure *find_open(struct fusion_failure *failures, uint64_t now_us)
{
	struct fusion_failure *found = NULL;

	for (unsigned int i = 0; i < FUSION_OBJECTS; i++) {
		if (!failures[i].used || (!failures[i].waits && now_us >= failures[i].end_us))
			continue;
		if (!found || (failures[i].waits && !found->waits))
			found = &failures[i];
	}

	return found;
}

/*
 * What was not told yet gets the name that it lacks. And iomap names the file of
 * a lost write in a line without an end, which is not seen before the kernel's next
 * message: long after the block layer's was told.
 */
static bool can_be_named(const struct fusion_failure *failure, uint64_t now_us,
			 const struct fusion_hint *hint)
{
	return failure->waits || (hint->kind == FUSION_HINT_WRITEBACK_ERROR &&
				  failure->window_us == 0 && now_us < failure->end_us);
}

static struct fusion_failure *failure_find(struct fusion_failure *failures, uint64_t now_us,
					   const struct fusion_hint *hint)
{
	static const struct fusion_hint nameless;
	struct fusion_failure *found = find_exact(failures, hint);

	if (found && (hint->has_inode || now_us < found->end_us || found->waits))
		return found;
	if (!hint->has_inode)
		return find_open(failures, now_us) ?: found;

	found = find_exact(failures, &nameless);
	return found && can_be_named(found, now_us, hint) ? found : NULL;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* A place for a new failure. The echoes of one before it are no other one's errors. */
static struct fusion_failure *failure_place(struct fusion *fusion, struct fusion_failure *failures,
					    uint64_t now_us)
{
	for (unsigned int i = 0; i < COMMON; i++) {
		if (!failures[i].used)
			return &failures[i];
		if (is_forgotten(&failures[i], now_us)) {
			fusion->echoes = add(fusion->echoes, failures[i].pending);
			failures[i] = (struct fusion_failure){};
			return &failures[i];
		}
	}

	return &failures[COMMON];
}

static void failure_open(struct fusion_failure *failure, uint64_t now_us,
			 const struct fusion_hint *hint, bool is_common)
{
	failure->used = true;
	failure->waits = true;
	failure->has_inode = hint->has_inode && !is_common;
	failure->inode = failure->has_inode ? hint->inode : 0;
	failure->window_us = 0;
	failure->end_us = now_us + same_us(hint->kind);
	failure->last = *hint;
}

/* An error after the end of what belonged to the one before. */
static void failure_reopen(struct fusion_failure *failure, uint64_t now_us,
			   const struct fusion_hint *hint)
{
	if (failure->window_us == 0)
		failure->window_us = WINDOW_US;
	else if (failure->window_us < FUSION_WINDOW_MAX_US / 2)
		failure->window_us *= 2;
	else
		failure->window_us = FUSION_WINDOW_MAX_US;

	failure->waits = true;
	failure->end_us = now_us + failure->window_us;
	failure->last = *hint;
}

/* One of several hints of one failure says more than the others. */
static void failure_learn(struct fusion_failure *failure, const struct fusion_hint *hint)
{
	bool is_named = hint->has_inode && !failure->last.has_inode;

	if (!failure->waits || is_named) {
		int error = failure->last.error;

		failure->last = *hint;
		if (hint->error == 0)
			failure->last.error = error;
	} else {
		if (failure->last.error == 0)
			failure->last.error = hint->error;
		if (failure->last.pid == 0)
			failure->last.pid = hint->pid;
	}
}

static void failure_count(struct fusion_failure *failure, const struct fusion_hint *hint)
{
	failure->pending = add(failure->pending, hint->count);
}

bool fusion_failure_join(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint)
{
	struct fusion_failure *failures = failures_of(fusion, hint->kind), *latest = NULL;

	for (unsigned int i = 0; i < FUSION_OBJECTS; i++)
		if (failures[i].used &&
		    (failures[i].waits || now_us < failures[i].end_us + FUSION_CAUSE_US) &&
		    (!latest || failures[i].end_us > latest->end_us))
			latest = &failures[i];
	if (!latest)
		return false;

	failure_count(latest, hint);
	return true;
}

void fusion_failure_add(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint)
{
	struct fusion_failure *failures = failures_of(fusion, hint->kind), *failure;
	bool is_common;

	failure = failure_find(failures, now_us, hint);
	if (!failure)
		failure = failure_place(fusion, failures, now_us);
	is_common = failure == &failures[COMMON];

	if (!failure->used || is_forgotten(failure, now_us))
		failure_open(failure, now_us, hint, is_common);
	else if (now_us >= failure->end_us && !failure->waits)
		failure_reopen(failure, now_us, hint);
	else
		failure_learn(failure, hint);

	if (hint->has_inode && !failure->has_inode && !is_common) {
		failure->has_inode = true;
		failure->inode = hint->inode;
	}
	failure_count(failure, hint);
	/* What follows a shutdown, follows from it; a damaged object was so before. */
	if (fusion->shutdown && (hint->kind != FUSION_HINT_CORRUPTED || !failure->has_inode))
		failure->waits = false;
	if (failure->waits)
		fusion_wait(fusion, now_us);
}

void fusion_failure_drop(struct fusion *fusion)
{
	for (unsigned int i = 0; i < FUSION_OBJECTS; i++) {
		failures_of(fusion, FUSION_HINT_IO_ERROR)[i].waits = false;
		failures_of(fusion, FUSION_HINT_WRITEBACK_ERROR)[i].waits = false;
	}
}

static void failure_tell(struct fusion_failure *failure, enum fusion_hint_kind kind,
			 struct fusion_facts *facts)
{
	static const enum event_code codes[] = {
		[FUSION_HINT_CORRUPTED] = EVENT_CORRUPTED,
		[FUSION_HINT_IO_ERROR] = EVENT_IO_ERROR,
		[FUSION_HINT_WRITEBACK_ERROR] = EVENT_WRITEBACK_ERROR,
	};
	struct fusion_fact *fact = fusion_fact_add(facts, codes[kind], failure->last.source);

	fact->error = failure->last.error;
	fact->pid = failure->last.pid;
	fact->count = failure->pending;
	fact->has_inode = failure->has_inode;
	fact->inode = failure->inode;
	failure->pending = 0;
	failure->waits = false;
}

void fusion_failure_settle(struct fusion *fusion, struct fusion_facts *facts)
{
	for (int kind = FUSION_HINT_CORRUPTED; kind <= FUSION_HINT_WRITEBACK_ERROR; kind++)
		for (unsigned int i = 0; i < FUSION_OBJECTS; i++) {
			struct fusion_failure *failure =
				&failures_of(fusion, (enum fusion_hint_kind)kind)[i];

			if (failure->waits)
				failure_tell(failure, (enum fusion_hint_kind)kind, facts);
		}
}

/* A window that has something to tell at its end; echoes of what was told are none. */
static bool is_window(const struct fusion *fusion, const struct fusion_failure *failure)
{
	uint64_t least = failure->window_us > 0 ? 1 : FUSION_STORM;

	return failure->used && failure->pending >= least && !fusion->shutdown;
}

void fusion_failure_tell(struct fusion *fusion, uint64_t now_us, struct fusion_facts *facts)
{
	for (int kind = FUSION_HINT_CORRUPTED; kind <= FUSION_HINT_WRITEBACK_ERROR; kind++)
		for (unsigned int i = 0; i < FUSION_OBJECTS; i++) {
			struct fusion_failure *failure =
				&failures_of(fusion, (enum fusion_hint_kind)kind)[i];
			struct fusion_hint last = failure->last;

			if (!is_window(fusion, failure) || failure->waits ||
			    now_us < failure->end_us)
				continue;
			failure_tell(failure, (enum fusion_hint_kind)kind, facts);
			failure_reopen(failure, now_us, &last);
			failure->waits = false;
		}
}

uint64_t fusion_failure_due(const struct fusion *fusion)
{
	uint64_t due_us = UINT64_MAX;

	for (unsigned int kind = 0; kind < FUSION_ERROR_KINDS; kind++)
		for (unsigned int i = 0; i < FUSION_OBJECTS; i++) {
			const struct fusion_failure *failure = &fusion->failures[kind][i];

			if (is_window(fusion, failure) && !failure->waits &&
			    failure->end_us < due_us)
				due_us = failure->end_us;
		}

	return due_us;
}
