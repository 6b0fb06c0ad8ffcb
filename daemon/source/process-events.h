/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a source of the events of processes tells
 *
 * The proc connector (connector.h) and the companion module (module-process.h)
 * tell the same in the same way; either can take the other's place. The module
 * knows more: who really forked, and as what name a program was executed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/wire-proc.h"

struct process_events_ops {
	/*
	 * The kernel acknowledged the subscription (0): what happens from here on is told.
	 * Or why not: -EPERM, -ETIMEDOUT (no answer within some seconds), -ECONNREFUSED
	 * (no such kernel interface, or not the initial namespaces), -ENOENT (no module) ...;
	 * it is stopped then.
	 */
	void (*started)(int error, void *userdata);
	/* A batch begins, then its events and losses in order, then it ends. */
	void (*begin)(void *userdata);
	void (*event)(const struct wire_proc_event *event, void *userdata);
	void (*lost)(uint64_t count, void *userdata); /* 0: not known how many */
	/*
	 * @empty: all that had happened when it began was told. Return: true: call
	 * ->begin() and ->end() again after a pause, even without events.
	 */
	bool (*end)(bool empty, void *userdata);
	/* Is this sign to be read at once? Asked while it is to be prompt; else may be NULL. */
	bool (*prompt)(void *userdata);
};

struct process_events_statistics {
	uint64_t batches, events, lost, overruns, foreign, malformed;
};
