/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The proc connector
 *
 * Forks, execs, changes of uid and exits of all processes, from the kernel by
 * netlink. Subscribed only between connector_start() and connector_stop().
 *
 * Read late and in batches: who wakes for each event makes each fork pay for
 * it. After the first sign it waits CONNECTOR_PAUSE_MIN_US. While things go on
 * the pause grows to CONNECTOR_PAUSE_MAX_US, as long as batches are small; in a
 * storm it is so long that they are neither small nor too large. A batch has a
 * bound per turn of the loop.
 *
 * Losses are exact from the numbers per CPU, which is why the kernel's filter
 * is not used; they are told where they show, which is on each CPU with its next
 * event. An overrun (ENOBUFS) of which nothing shows (core/overrun.h) is told as 0,
 * unknown. What does not come from the kernel (nl_pid 0) is dropped and counted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/process-events.h"

#define CONNECTOR_PAUSE_MIN_US 2000
#define CONNECTOR_PAUSE_MAX_US 10000
#define CONNECTOR_BUFFER (16U << 20)
#define CONNECTOR_BATCH 4096 /* events in one turn of the loop */

struct connector;

struct connector_options {
	uint32_t
		buffer; /* bytes of SO_RCVBUFFORCE; 0: CONNECTOR_BUFFER. Tests make overruns with it */
};

/** connector_new() - only builds; @ops: borrowed; Return: 0 or a negative errno */
int connector_new(struct connector **ret, sd_event *loop, const struct connector_options *options,
		  const struct process_events_ops *ops, void *userdata);
/** connector_start() - asks; ->started() follows from the loop, within 2 s; Return: 0, -EALREADY, or a negative errno */
int connector_start(struct connector *connector);
/** connector_stop() - tells the kernel and closes; what is not read is dropped. Not from within a batch */
void connector_stop(struct connector *connector);
/** connector_kick() - a batch, though it be empty, from the loop soon */
void connector_kick(struct connector *connector);
/** connector_set_prompt() - who told something is to be found alive, as far as ->prompt() allows */
void connector_set_prompt(struct connector *connector, bool prompt);
bool connector_is_started(const struct connector *connector); /* acknowledged */
struct connector *connector_free(struct connector *connector);
DEFINE_FREEP(connector, connector_free)

void connector_statistics(const struct connector *connector, struct process_events_statistics *ret);
