/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The names and inodes that a window remembers. For hub-window.c alone. */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/hub-window.h"

enum trace_flag {
	TRACE_DOUBT = 1, /* name, mover */
	TRACE_LOOSE = 2, /* mover: its links changed */
	TRACE_DEAD = 4, /* mover: it is no more */
	TRACE_RETURN = 8, /* mover: a name that was made for it was free again */
	TRACE_LEFT = 16, /* touch: removed, or renamed away */
	TRACE_FROM = 32, /* touch: renamed away, but that half is not told yet */
	TRACE_FREE = 64, /* name: nobody has it */
	TRACE_TO = 128, /* touch: renamed to it, likewise */
};

/* References are numbers of traces, counted from 1. */
struct hub_trace {
	uint64_t hash;
	uint32_t
		next; /* mover: its first touch; touch: the next one of the mover; name: who has it */
	uint32_t name; /* touch: of what; name: the touch that made it last */
	uint32_t mover; /* touch: of whom; name: the one that made and removed it */
	uint32_t bytes; /* name: where its handle and its name are */
	int32_t type; /* name: of the handle */
	uint16_t n_name;
	uint8_t n_handle;
	uint8_t flags;
};

static inline struct hub_trace *hub_trace_at(const struct hub_window *window, uint32_t number)
{
	return &window->traces[number - 1];
}

/** hub_trace_mover() - the inode @target; Return: 0 or -ENOMEM */
int hub_trace_mover(struct hub_window *window, const struct handle_view *target, uint32_t *ret);
/** hub_trace_touch() - that @mover has or had the name @at; Return: 0 or -ENOMEM */
int hub_trace_touch(struct hub_window *window, const struct file_name *at, uint32_t mover,
		    uint32_t *ret);
