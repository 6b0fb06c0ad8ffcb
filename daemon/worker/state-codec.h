/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the daemon and the state worker say to each other
 *
 * The worker's half; the daemon's is in state.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/worker/state-replay.h"
#include "daemon/worker/state.h"

/* The payload of a job: this, the directory, the frames. */
struct state_request_head {
	uint64_t history_size;
	uint64_t epoch_first_id;
	uint64_t reserved;
	uint64_t next_id;
	uint64_t n_frames;
	char epoch[STATE_EPOCH_LENGTH];
	uint32_t n_directory; /* without NUL */
	uint32_t n_gaps;
	struct history_gap gaps[HISTORY_GAPS];
};

/* A request decoded; ->frames is borrowed from the payload. */
struct state_job {
	char *directory;
	struct state_request_head head;
	const uint8_t *frames;
};

void state_job_deinit(struct state_job *job);

/** state_job_decode() - Return: 0, -EBADMSG or -ENOMEM */
int state_job_decode(const void *payload, size_t n_payload, struct state_job *ret);

/* The reply of a load: this and the frames. */
struct state_loaded_head {
	uint64_t epoch_first_id;
	uint64_t reserved;
	uint64_t next_id;
	uint64_t last_id;
	uint64_t n_damaged;
	uint64_t n_frames;
	uint32_t kept_aside;
	uint32_t n_gaps;
	struct history_gap gaps[HISTORY_GAPS];
	char epoch[STATE_EPOCH_LENGTH]; /* NUL first: not known */
};

/**
 * state_loaded_encode() - the reply of a load
 * @head:	->n_frames is set here
 * @replay:	its oldest events are left out where the reply would be too long
 *
 * Return: 0 or -ENOMEM.
 */
int state_loaded_encode(struct state_loaded_head *head, const struct state_replay *replay,
			void **ret, size_t *ret_n);

/** state_epoch_is_valid() - @epoch: STATE_EPOCH_LENGTH bytes */
bool state_epoch_is_valid(const char *epoch);

/** state_gaps_are_valid() - not too many, in order, of ids that can be; @gaps: HISTORY_GAPS of them */
bool state_gaps_are_valid(const struct history_gap *gaps, size_t n_gaps);
