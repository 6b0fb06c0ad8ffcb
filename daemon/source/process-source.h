/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The source of the events of processes
 *
 * The companion module where it is there, else the proc connector: to its owner
 * it is one source (process-events.h). What has begun with one goes on with it; where
 * that ends it goes on with the other, and what happened in between is told as a
 * loss of unknown size.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/process-events.h"
#include "daemon/worker/pool.h"

struct process_source;

struct process_source_options {
	struct pool *pool; /* borrowed; NULL: never the module */
	uint32_t buffer; /* bytes of the socket; 0: as built in. Tests make overruns with it */
};

/**
 * process_source_new() - only builds
 * @ops:	borrowed; ->started() also where it breaks later: it is stopped then
 *
 * Return: 0 or a negative errno.
 */
int process_source_new(struct process_source **ret, sd_event *loop,
		       const struct process_source_options *options,
		       const struct process_events_ops *ops, void *userdata);
struct process_source *process_source_free(struct process_source *source);
DEFINE_FREEP(process_source, process_source_free)

/** process_source_set_module() - it came, or it is gone; not from within a batch */
void process_source_set_module(struct process_source *source, bool present);

/** process_source_start() - asks; ->started() follows from the loop; Return: 0, -EALREADY, or a negative errno */
int process_source_start(struct process_source *source);
/** process_source_stop() - what is not read is dropped. Not from within a batch */
void process_source_stop(struct process_source *source);
bool process_source_is_started(const struct process_source *source); /* acknowledged */

/**
 * process_source_improve() - change to the better one, if it is there by now
 *
 * For who follows nobody to whom it matters that something is lost: that is told.
 */
void process_source_improve(struct process_source *source);

/** process_source_kick() - a batch, though it be empty, from the loop soon */
void process_source_kick(struct process_source *source);
/** process_source_set_prompt() - who told something is to be found alive, as far as ->prompt() allows */
void process_source_set_prompt(struct process_source *source, bool prompt);

/** process_source_name() - "module" or "proc-connector": in use, or to be used next */
const char *process_source_name(const struct process_source *source);

/** process_source_find_name() - of an exec, as name_ring_find() */
size_t process_source_find_name(const struct process_source *source, uint64_t id, char *ret);

/** process_source_statistics() - of both together */
void process_source_statistics(const struct process_source *source,
			       struct process_events_statistics *ret);
