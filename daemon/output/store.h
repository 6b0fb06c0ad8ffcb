/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Storing the history
 *
 * Keeps the state directory up with the history by way of the state worker:
 * asks for the past at the start and takes the mark of an orderly end away
 * before an id is given out, reserves ids ahead, appends what is new, and
 * leaves a mark at the end. It has no queue: like a stream it knows the last id that is durable
 * and reads on from the history when the worker is free. So a disk that does
 * not answer costs nothing, and what came meanwhile is stored once it does,
 * as far as the history still has it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/history.h"
#include "daemon/worker/pool.h"
#include "daemon/worker/state.h"

/* The past is not waited for longer. */
#define STORE_LOAD_US (800 * 1000ULL)

/* From then on the disk counts as stalled; the job goes on. */
#define STORE_SLOW_US (800 * 1000ULL)

/*
 * An orderly end is not waited for longer, the timer's accuracy aside. A busy disk that turns
 * takes a few hundred milliseconds to make the mark durable, and a stop must take less than a second.
 */
#define STORE_STOP_US (500 * 1000ULL)

/* From then on the job counts as lost: its worker is killed. */
#define STORE_DEADLINE_US (10 * 1000 * 1000ULL)

#define STORE_RETRY_MIN_US (1000 * 1000ULL)
#define STORE_RETRY_STALLED_US (2 * STORE_RETRY_MIN_US) /* while the disk does not answer */
#define STORE_RETRY_MAX_US (30 * STORE_RETRY_MIN_US)

/* Ids are reserved so far ahead, and again when half of them are used up. */
#define STORE_RESERVE_AHEAD (1ULL << 16)

struct store;

struct store_ops {
	/*
	 * The past is known, or @loaded is NULL and will not be. Called once, from
	 * the loop, at most STORE_LOAD_US after the start. @loaded dies on return.
	 */
	void (*loaded)(const struct state_loaded *loaded, void *userdata);

	/* The disk does not answer (true), or answers again. Publishing from within is fine. */
	void (*stalled)(bool stalled, void *userdata);

	/*
	 * The answer to store_stop(), once: the mark is durable (true), or was given
	 * up. The store may not be freed from within.
	 */
	void (*stopped)(bool marked, void *userdata);
};

struct store_options {
	const char *directory; /* NULL: nothing is stored, and nothing was */
	size_t history_size;
	bool distrust_mark; /* a run has ended abruptly since, as is known from elsewhere */
};

/** store_new() - @pool, @ops: borrowed for the store's life; Return: 0 or a negative errno */
int store_new(struct store **ret, sd_event *loop, struct pool *pool,
	      const struct store_options *options, const struct store_ops *ops, void *userdata);

/** store_free() - what is not stored by now is not */
struct store *store_free(struct store *store);
DEFINE_FREEP(store, store_free)

/** store_start() - ask for the past; Return: 0 or a negative errno */
int store_start(struct store *store);

struct store_epoch {
	const char *text; /* STATE_EPOCH_LENGTH digits, copied */
	uint64_t first_id; /* of the epoch */
};

/**
 * store_begin() - store from now on
 * @history:	borrowed for the store's life; what it has is stored already
 *
 * To be called once, from ->loaded() or later.
 */
void store_begin(struct store *store, const struct history *history,
		 const struct store_epoch *epoch);

/**
 * store_stop() - an orderly end: store what is new, then the mark with the exact next id
 *
 * No id may be given out from here on. ->stopped() comes within STORE_STOP_US,
 * from within this call or from the loop; also before ->loaded(), which may
 * still come first. To be called once.
 */
void store_stop(struct store *store);

/** store_kick() - the history has a new event or amendment */
void store_kick(struct store *store);

/** store_dropped() - events that the history gave up before they were stored */
uint64_t store_dropped(const struct store *store);
