/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Events for people and programs
 *
 * One line an event: when, how bad, the sentence, and the id by which
 * "history --since" goes on; what came later of it (the top writers) on a line
 * of its own. With JSON the same as objects.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/event.h"
#include "daemon/ctl/json.h"

/* How to print. */
struct feed_style {
	bool json;
	bool colour;
};

#define FEED_NAME_MAX 64

/*
 * An event as it was told. The daemon may be newer than this program: then
 * ->event.code is _EVENT_CODE_N or ->event.severity _SEVERITY_N, and the name
 * is all there is.
 */
struct feed_event {
	struct event event;
	char path[FS_PATH_MAX];
	char code[FEED_NAME_MAX];
	char severity[FEED_NAME_MAX];
};

void feed_event_deinit(struct feed_event *told);

/** feed_event_set_names() - code and severity by name, known here or not */
void feed_event_set_names(struct feed_event *told, const char *code, const char *severity);

/** feed_event_set_numbers() - by the numbers of a stream; "unknown-99" for what is not known here */
void feed_event_set_numbers(struct feed_event *told, uint32_t code, uint32_t severity);

/** feed_json() - the members of an event, into an open object */
void feed_json(struct json *json, const struct feed_event *told);

void feed_print(const struct feed_event *told, const struct feed_style *style);

/** feed_print_amend() - what became known of the event @id later */
void feed_print_amend(uint64_t id, const struct details *details, const struct feed_style *style);

/** feed_print_lost() - @flags: FSEVENTS_LOST_... */
void feed_print_lost(uint64_t first_id, uint64_t last_id, uint32_t flags,
		     const struct feed_style *style);

/** feed_print_reset() - the ids start anew: on stderr, and with JSON as a line too */
void feed_print_reset(const char *epoch, const struct feed_style *style);
