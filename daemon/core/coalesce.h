/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Coalescing of broadcast signals
 *
 * A broadcast reaches every subscriber through one bus connection, and one
 * that does not read must not stop the others: what is sent stays below
 * COALESCE_RATE bytes a second on average, with bursts of COALESCE_BURST.
 *
 * Events of one filesystem and one kind are merged. A kind is a code, or the
 * two codes that undo each other (frozen and thawed), with thresholds also
 * the threshold's name. The first is told at once; those that follow within a
 * window are told at its end as the latest of them with a count. The window
 * is 1 s, doubles while the flood lasts, at most 60 s, and ends after a quiet
 * one. Of codes that undo each other the first COALESCE_TURNS changes within a
 * window are told at once too, and what is merged is told per code, the latest
 * last: whoever follows the signals ends with the true state.
 *
 * In order of arrival; while the allowance is short, the more severe first.
 * Private details are dropped on the way in. Pure, the time is monotonic and
 * passed in.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"

#define COALESCE_RATE 1024U
#define COALESCE_BURST (192U * 1024)
#define COALESCE_WINDOW_US 1000000ULL
#define COALESCE_WINDOW_MAX_US (60 * COALESCE_WINDOW_US)
#define COALESCE_TURNS 4
#define COALESCE_KEYS 1024 /* kinds waited for at once; past it the least severe is dropped */

struct coalesce;

int coalesce_new(struct coalesce **ret); /* 0 or -ENOMEM */
struct coalesce *coalesce_free(struct coalesce *coalesce);
DEFINE_FREEP(coalesce, coalesce_free)

/**
 * coalesce_push() - an event to be told
 * @event:	copied
 * @size:	bytes of the signal, as a whole
 *
 * Return: 0, or -ENOMEM (counted as dropped).
 */
int coalesce_push(struct coalesce *coalesce, uint64_t now_us, const struct event *event,
		  size_t size);

/**
 * coalesce_pop() - the next signal to send now
 * @ret:	owned by the caller, event_deinit()
 * @ret_count:	how many it stands for, itself included: the sum of event_count()
 *
 * To be called until it returns false, after each push and when due.
 * Return: true with a signal, false when there is none yet.
 */
bool coalesce_pop(struct coalesce *coalesce, uint64_t now_us, struct event *ret,
		  uint64_t *ret_count);

/**
 * coalesce_due() - when coalesce_pop() is worth calling next
 *
 * Valid until the next push. Return: a time, or UINT64_MAX: nothing waits.
 */
uint64_t coalesce_due(const struct coalesce *coalesce);

struct coalesce_statistics {
	uint64_t told; /* signals handed out */
	uint64_t merged; /* events told within the count of another */
	uint64_t dropped; /* events never told as signals */
	uint64_t waiting; /* events told later; pushed = told + merged + dropped + waiting */
};
void coalesce_statistics(const struct coalesce *coalesce, struct coalesce_statistics *ret);
