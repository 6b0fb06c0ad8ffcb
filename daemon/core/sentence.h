/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * An event as a sentence
 *
 * "/srv: 4.9 GiB available, below threshold critical (5.0 GiB)": what a
 * person reads in the journal. Pure. It holds nothing below the mount point,
 * but for those about private details: who wrote, and which file is damaged.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"

#define SENTENCE_MAX 1024

/**
 * sentence_event() - say what happened
 * @count:	how many events of this kind it stands for; 0 and 1 are one
 *
 * Valid UTF-8 on one line; a long mount point is cut.
 */
void sentence_event(char ret[static SENTENCE_MAX], const struct event *event, uint64_t count);

/** sentence_writers() - who wrote most, from a DETAIL_WRITERS among @details; empty without */
void sentence_writers(char ret[static SENTENCE_MAX], const struct event *event,
		      const struct details *details);

/** sentence_object() - which file it was about, from a private path among @details; empty without */
void sentence_object(char ret[static SENTENCE_MAX], const struct event *event,
		     const struct details *details);

/* Enough for "1023.9 GiB" and for every number with its unit. */
#define SENTENCE_SIZE_MAX 32

/** sentence_size() - bytes with a unit, "4.9 GiB", rounded down so that it never says more than there is */
void sentence_size(char ret[static SENTENCE_SIZE_MAX], uint64_t bytes);
