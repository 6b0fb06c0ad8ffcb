/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Publisher
 *
 * Takes an event to everybody: numbers it in the history, hands it to the
 * state worker behind a bounded queue, to the journal, to the coalescer and
 * from there to the bus, and to the streams. Published before it is durable.
 * A broken output is counted and never holds up the others.
 *
 * The journal follows the signals, a flood of one kind as one entry with a
 * count, but has the private details. History and streams have each event.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"
#include "daemon/core/history.h"
#include "daemon/core/quota.h"
#include "daemon/worker/pool.h"

struct publisher;

struct publisher_ops {
	/*
	 * An event got its id, at once or after ->ready(); one that was dropped
	 * gets none. Borrowed. Must not publish. May be NULL.
	 */
	void (*numbered)(const struct event *event, void *userdata);
	/* A signal is due: emitted on the bus. @count: how many events of this code it stands for. */
	void (*signal)(const struct event *event, uint64_t count, void *userdata);
	/* Ids and epoch are known and the past is loaded; what waited is published next. */
	void (*ready)(void *userdata);
	/*
	 * The filesystem of the state directory does not take what is written (true), or
	 * does again: known from the daemon's own writes. Publishing from within is fine.
	 */
	void (*state_stalled)(bool stalled, void *userdata);
	/* The answer to publisher_stop(), once. The publisher may not be freed from within. May be NULL. */
	void (*stopped)(void *userdata);
};

struct publisher_options {
	const char *state_directory; /* NULL: nothing is stored */
	bool skip_past; /* what is stored stays unread but for its ids */
	bool ended_abruptly; /* the former run did, as is known from elsewhere */
	size_t history_size;
	struct quota *quota; /* charged for streams; borrowed, outlives the publisher */
};

/** publisher_new() - @pool, @ops: borrowed for the publisher's life; Return: 0 or a negative errno */
int publisher_new(struct publisher **ret, sd_event *loop, struct pool *pool,
		  const struct publisher_options *options, const struct publisher_ops *ops,
		  void *userdata);

/**
 * publisher_start() - asks for the stored past
 *
 * ->ready() follows within a second whatever the state directory does, from
 * the loop. Return: 0 or a negative errno.
 */
int publisher_start(struct publisher *publisher);

/**
 * publisher_stop() - an orderly end: what is not stored yet is, and ids can be continued exactly
 *
 * What is published from here on is dropped. ->stopped() follows within a
 * quarter of a second whatever the state directory does, from within this
 * call or from the loop. A second call does nothing.
 */
void publisher_stop(struct publisher *publisher);

/** publisher_free() - without publisher_stop() it is an abrupt end */
struct publisher *publisher_free(struct publisher *publisher);
DEFINE_FREEP(publisher, publisher_free)

/**
 * publisher_publish() - tell an event
 * @event:	taken over: emptied on return
 * Before ->ready() it waits in a bounded queue (pending.h). What one user caused too often
 * (rate.h) is dropped and counted; the next of it that passes says so in a
 * detail "suppressed".
 *
 * Return: the id given, 0 when it waits for ->ready() or was dropped.
 */
uint64_t publisher_publish(struct publisher *publisher, struct event *event);

/** publisher_amend() - private details that came later (writers); also goes to root's streams */
void publisher_amend(struct publisher *publisher, uint64_t id, const struct details *more);

const struct history *publisher_history(const struct publisher *publisher);
const char *publisher_epoch(
	const struct publisher *
		publisher); /* 32 hex digits, new when ids could not be continued; "" before ->ready() */

/** publisher_epoch_first_id() - lesser ids that a client asks for are of an epoch that is lost; 0 before ->ready() */
uint64_t publisher_epoch_first_id(const struct publisher *publisher);

/**
 * publisher_open_stream() - OpenEvents
 * @since_id:	replayed from there, then live without a gap
 * @private:	with private details
 * @uid:	charged for the buffer
 * @ret_fd:	the client's end, owned by the caller
 *
 * Return: 0, a positive PUBLISHER_E_..., or a negative errno (-EAGAIN before ->ready()).
 */
enum { _PUBLISHER_E_SUCCESS, PUBLISHER_E_LIMIT };
int publisher_open_stream(struct publisher *publisher, uint64_t since_id, bool private, uid_t uid,
			  const char *owner, int *ret_fd);

/** publisher_owner_gone() - closes the streams of a bus name that left */
void publisher_owner_gone(struct publisher *publisher, const char *owner);

struct publisher_statistics {
	uint64_t events, signals, coalesced, signals_skipped;
	uint64_t journal_dropped, state_dropped, stream_lost;
	uint64_t streams;
	uint64_t suppressed; /* events dropped for the rate of the user who caused them */
	uint64_t pending_dropped; /* events dropped before ->ready() */
};
void publisher_statistics(const struct publisher *publisher, struct publisher_statistics *ret);
