/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A history, a stream that reads from it, and the client at the other end,
 * which checks each record as it comes: every id is told exactly once and in
 * order, as an event or as lost.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/history.h"
#include "daemon/output/stream.h"
#include "include/fsevents_stream.h"

#define WORLD_EPOCH "0123456789abcdef0123456789abcdef"

struct world {
	sd_event *loop;
	struct history *history;
	struct stream *stream;
	struct details where;
	unsigned int closed;
	bool free_when_closed;
	uint64_t first_id; /* of the epoch */

	/* What the client has seen. */
	int fd;
	struct fsevents_hello hello;
	unsigned int hellos, packets;
	size_t bytes;
	uint64_t last_id, events, lost, amends, lost_amends;
	uint64_t gaps, gap_ids; /* lost, of unknown number */
	bool ended;
	bool saw_private;
};

void world_init(struct world *world, size_t size, uint64_t first_id);
void world_open(struct world *world, uint64_t since_id, bool private);
void world_deinit(struct world *world);

/* Rounds of the loop until nothing is ready; how many. */
unsigned int world_spin(struct world *world);

/* One more event, with a private detail; with and without a kick. Return: its id. */
uint64_t world_push(struct world *world);
uint64_t world_push_quietly(struct world *world);

/* An amendment, and a kick. */
void world_amend(struct world *world, uint64_t id);

/* The client reads one packet. Return: false when there is none now, or at the end. */
bool world_take_packet(struct world *world);

/* Loop and client, until all is told that there is. */
void world_drain(struct world *world);
