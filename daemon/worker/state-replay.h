/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The past from its frames
 *
 * Reads the frames of a history file, whatever order, damage and repetition
 * they come in, applies the rules of the history, and gives what is left as
 * clean frames in order. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state_replay {
	uint8_t *frames; /* owned; NULL when there are none */
	size_t n_frames;
	uint64_t last_id; /* the highest seen, kept or not; 0: none */
	uint64_t n_damaged; /* bytes that are part of no frame */
	bool torn; /* all the damage is at the end: a write that was cut off */
};

void state_replay_deinit(struct state_replay *replay);

/**
 * state_replay() - read frames
 * @data:	of a file, without its head
 * @more:	frames that are to follow it, or NULL
 * @history_size: events kept, as for history_new()
 *
 * Return: 0 or -ENOMEM.
 */
int state_replay(struct state_replay *ret, const uint8_t *data, size_t n_data, const uint8_t *more,
		 size_t n_more, size_t history_size);
