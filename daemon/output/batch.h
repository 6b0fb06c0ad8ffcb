/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Batch
 *
 * What the state worker is to append next: the events and amendments of the
 * history behind those that were stored. Made anew for each job, so that what
 * came while a disk did not answer needs no queue. Pure but for its memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/history.h"

/* Bytes of one batch. */
#define BATCH_SIZE (256U << 10)

/* How far the storing has come; a batch has what it will be once that is durable. */
struct batch {
	uint64_t stored_id; /* all up to it are durable, or counted in dropped */
	uint64_t amendment; /* likewise, of amendments */
	uint64_t dropped; /* events that the history gave up before they were stored */
};

/**
 * batch_is_due() - the history has what is not stored
 */
bool batch_is_due(const struct batch *batch, const struct history *history);

/**
 * batch_fill() - the next frames
 * @batch:	advanced past what is in @ret
 * @ret:	to free(); BATCH_SIZE bytes of memory
 * @ret_n:	0 where all that was new is gone already
 *
 * Return: 0 or -ENOMEM.
 */
int batch_fill(struct batch *batch, const struct history *history, uint8_t **ret, size_t *ret_n);
