/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside the source of file events: file-events.c has the groups and what is read from
 * them, file-events-mark.c their marks.
 */

#include <sys/queue.h>

#include "daemon/source/file-events.h"

/* A mark that a worker is setting or taking away. */
struct marking {
	LIST_ENTRY(marking) link;
	struct file_events_member *member;
	struct pool_ticket *ticket;
	struct handle handle;
	bool quiet;
};

struct file_events_member {
	struct file_events *events;
	enum file_events_kind kind;
	const struct file_events_ops *ops;
	void *userdata;
	sd_event_source *io; /* owns the group; off while the timer is on */
	sd_event_source *timer; /* the next batch */
	uint64_t pause_us;
	uint64_t since_us; /* the first sign of what was not read yet; 0: there was none */
	LIST_HEAD(, marking) markings;
};

struct file_events {
	sd_event *loop;
	struct pool *pool;
	uint8_t *buffer;
	struct file_events_member
		*current; /* whose batch is being told; NULL as soon as it is freed */
	struct file_events_statistics statistics;
};

/** file_events_member_free_markings() - those under way are not told any more */
void file_events_member_free_markings(struct file_events_member *member);
