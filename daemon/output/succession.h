/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Succession
 *
 * How a run of the daemon goes on from those before it: epoch, first id, and
 * the history with its gaps. After an orderly end the ids go on with the next
 * one. After an abrupt one they begin above all that may have been given out,
 * and the ids between are a gap: some may have been told and never stored.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/history.h"
#include "daemon/worker/state.h"

struct succession {
	struct history *history; /* owned by whoever asked */
	char epoch[STATE_EPOCH_LENGTH + 1];
	uint64_t epoch_first_id;
};

struct succession_options {
	size_t history_size;
	bool skip_past; /* its events, not its ids */
};

/**
 * succession_begin() - what to go on with
 * @loaded:	NULL: the past could not be read
 *
 * Return: 0 or -ENOMEM.
 */
int succession_begin(struct succession *ret, const struct state_loaded *loaded,
		     const struct succession_options *options);
