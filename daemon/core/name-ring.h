/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The latest names
 *
 * A name that comes with an event is kept while the event waits, at no cost of
 * its own: in a ring of a fixed size, in which later names take the place of the
 * oldest. Whoever comes too late finds none. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#define NAME_RING_NAME_MAX 4096 /* bytes; what is longer is not kept */

/* Zeroed: nothing is kept. */
struct name_ring {
	char *bytes; /* owned */
	size_t n_bytes;
	uint64_t head; /* bytes that were ever written */
};

/** name_ring_init() - @n_bytes: of all names together; Return: 0 or -ENOMEM */
int name_ring_init(struct name_ring *ring, size_t n_bytes);
/** name_ring_deinit() - it may be initialised again: what was kept before is not found */
void name_ring_deinit(struct name_ring *ring);

/** name_ring_push() - Return: by what it is found, or 0: it is not kept */
uint64_t name_ring_push(struct name_ring *ring, const char *name, size_t n_name);

/**
 * name_ring_find() - a copy of a name, with a NUL behind
 * @id:		of name_ring_push(), or 0
 * @ret:	of NAME_RING_NAME_MAX + 1 bytes
 *
 * Return: its length, 0: it is not there any more.
 */
size_t name_ring_find(const struct name_ring *ring, uint64_t id, char *ret);
