/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The state on disk
 *
 * Two files in the state directory. "history" is a head and then frames of
 * record.h, appended; when it has grown enough it is written anew with what
 * the rules of the history keep, so that the file too keeps the one old
 * damage and drops the thousand mounts. "ids" says below which id all may
 * have been given out, in which epoch, and where runs ended abruptly; it is
 * replaced as a whole. After an orderly end it has the exact next id too: the
 * mark, which the next run takes away before it gives out an id.
 *
 * Nothing found there is fatal: what is whole is used, a damaged file is kept
 * aside as NAME.corrupt-N and replaced. Each job stands alone and may be
 * killed anywhere; a batch that was written twice, or late, is read as once.
 *
 * The jobs run in a worker; encoding and decoding in the daemon.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/history.h"

#define STATE_EPOCH_LENGTH 32 /* hex digits */

/* The history file is not written anew below this size. */
#define STATE_COMPACT_MIN (4U << 20)

/* The oldest of a longer history stay on disk: a reply has a bound. */
#define STATE_LOAD_MAX (60U << 20)

/* An id at or above it was never given out, whatever a file says. */
#define STATE_ID_MAX (1ULL << 62)

/* For all jobs; what is not for a job is ignored by it. Borrowed. */
struct state_request {
	const char *directory;
	uint64_t history_size; /* events kept */
	const void *frames; /* append: of record_frame_...() */
	size_t n_frames;
	const char *epoch; /* reserve: STATE_EPOCH_LENGTH digits */
	uint64_t epoch_first_id; /* reserve: the first id of this epoch */
	uint64_t reserved; /* reserve: ids below this may be given out */
	uint64_t next_id; /* reserve: exactly, at an orderly end; 0: running, no mark */
	const struct history_gap *gaps; /* reserve */
	size_t n_gaps; /* at most HISTORY_GAPS */
};

/**
 * state_request_encode() - the payload of a job
 * @ret:	to free()
 *
 * Return: 0 or -ENOMEM.
 */
int state_request_encode(const struct state_request *request, void **ret, size_t *ret_n);

/* What state_load_job() found. */
struct state_loaded {
	char epoch[STATE_EPOCH_LENGTH + 1]; /* "": not known, ids cannot be continued */
	uint64_t epoch_first_id;
	uint64_t reserved; /* 0: not known */
	uint64_t
		next_id; /* exactly: the last run ended in order; 0: it did not, or that is not known */
	uint64_t last_id; /* the highest in the history, kept or not; 0: none */
	struct history_gap gaps[HISTORY_GAPS];
	size_t n_gaps;
	uint64_t n_damaged; /* bytes that could not be used */
	bool kept_aside; /* a damaged file is there to be looked at */
	const uint8_t *
		frames; /* events in order of their ids, amendments merged; borrowed from the reply */
	size_t n_frames;
};

/** state_loaded_decode() - Return: 0, or -EBADMSG */
int state_loaded_decode(const void *reply, size_t n_reply, struct state_loaded *ret);

/*
 * The jobs. Each Return: 0, or a negative errno that concerns the directory
 * or disk as a whole. @ret_reply is to free().
 *
 * load:	reads all; a missing file is an empty one
 * append:	frames at the end of the history, durable on success; no reply
 * reserve:	ids, and the mark or none, durable on success; never lowers what is reserved; no reply
 */
int state_load_job(const void *payload, size_t n_payload, void **ret_reply, size_t *ret_n);
int state_append_job(const void *payload, size_t n_payload, void **ret_reply, size_t *ret_n);
int state_reserve_job(const void *payload, size_t n_payload, void **ret_reply, size_t *ret_n);
