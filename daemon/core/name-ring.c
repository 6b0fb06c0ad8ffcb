/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/name-ring.h"

/* Before each name its length. */
#define HEAD sizeof(uint16_t)

int name_ring_init(struct name_ring *ring, size_t n_bytes)
{
	assert(ring && !ring->bytes);
	assert(n_bytes >= HEAD + NAME_RING_NAME_MAX);

	ring->bytes = malloc(n_bytes);
	if (!ring->bytes)
		return -ENOMEM;
	ring->n_bytes = n_bytes;
	/* What was pushed before it was emptied is out of reach. */
	ring->head += n_bytes;
	return 0;
}

void name_ring_deinit(struct name_ring *ring)
{
	assert(ring);

	free(ring->bytes);
	ring->bytes = NULL;
	ring->n_bytes = 0;
}

static void ring_write(struct name_ring *ring, const void *data, size_t n)
{
	size_t at = ring->head % ring->n_bytes, n_first = ring->n_bytes - at;

	if (n_first > n)
		n_first = n;
	memcpy(ring->bytes + at, data, n_first);
	memcpy(ring->bytes, (const char *)data + n_first, n - n_first);
	ring->head += n;
}

static void ring_read(const struct name_ring *ring, uint64_t place, void *ret, size_t n)
{
	size_t at = place % ring->n_bytes, n_first = ring->n_bytes - at;

	if (n_first > n)
		n_first = n;
	memcpy(ret, ring->bytes + at, n_first);
	memcpy((char *)ret + n_first, ring->bytes, n - n_first);
}

uint64_t name_ring_push(struct name_ring *ring, const char *name, size_t n_name)
{
	uint16_t length = (uint16_t)n_name;
	uint64_t id;

	assert(ring);
	assert(name || n_name == 0);

	if (!ring->bytes || n_name == 0 || n_name > NAME_RING_NAME_MAX)
		return 0;

	id = ring->head + 1;
	ring_write(ring, &length, sizeof(length));
	ring_write(ring, name, n_name);
	return id;
}

size_t name_ring_find(const struct name_ring *ring, uint64_t id, char *ret)
{
	uint64_t place = id - 1;
	uint16_t length;

	assert(ring && ret);

	if (id == 0 || place >= ring->head || ring->head - place > ring->n_bytes)
		return 0;

	ring_read(ring, place, &length, sizeof(length));
	assert(length <= NAME_RING_NAME_MAX && place + HEAD + length <= ring->head);
	ring_read(ring, place + HEAD, ret, length);
	ret[length] = '\0';
	return length;
}
