/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Processes with a bus of cardboard
 *
 * The top layer with its real sources, asked as the bus asks it. What it
 * tells is collected here.
 */

#include "daemon/processes-internal.h"
#include "tests/io/process-fixture.h"

#define WORLD_EVENTS_MAX 65536

struct told_group {
	uint64_t id;
	uint64_t n_events, n_forks, n_execs, n_exits;
	uint64_t next_seq; /* that is expected */
	uint64_t n_lost, n_lost_unknown, lost;
	unsigned int n_empty;
	struct bus_group_totals totals; /* of Empty */
	struct bus_group_event events[WORLD_EVENTS_MAX]; /* the first ones */
	char last_file[4096]; /* of an exec */
};

struct world {
	sd_event *loop;
	struct quota *quota;
	struct processes *processes;
	struct told_group group;
	unsigned int n_answers, n_done, n_refused;
	struct bus_refusal refusal;
	unsigned int n_warnings;
	struct bus_process_warning warning; /* the last one; texts are gone */
	bool deaf; /* has not read what was sent */
};

/** world_start() - @buffer: of the connector, 0: as built in; @text: of the configuration */
void world_start(struct world *world, uint32_t buffer, const char *text);
void world_stop(struct world *world);

/** world_track() - until it is answered; Return: whether there is a group */
bool world_track(struct world *world, pid_t pid, const struct bus_track *track, uid_t uid);
/** world_relay() - likewise */
bool world_relay(struct world *world, pid_t pid, int signal, bool all, uid_t uid);
void world_wait_empty(struct world *world);
/** world_is_idle() - for loop_until(): nothing of the kernel's is subscribed to */
bool world_is_idle(void *ctx);
/** world_has_member() - by ListMembers */
bool world_has_member(struct world *world, pid_t pid, size_t *ret_n);
