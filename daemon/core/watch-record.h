/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Records of a watch, as include/fsevents_stream.h has them
 *
 * Changes and losses as flat bytes, and back. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/change.h"

/* Room that always suffices for one: the fixed part and both names. */
#define WATCH_RECORD_MAX (56 + 2 * CHANGE_NAME_MAX + 8)

/* Bytes of the record, a multiple of 8. */
size_t watch_record_change_size(const struct change *change);
size_t watch_record_lost_size(size_t n_under);

/*
 * Written to @ret, 8-aligned, where as many bytes are. Return: how many, as above.
 */
size_t watch_record_put_change(void *ret, const struct change *change, uint64_t seq);
/* @count 0: not known */
size_t watch_record_put_lost(void *ret, uint64_t count, const char *under, size_t n_under);

/* A record of a packet; strings lie in the packet. */
struct watch_record {
	bool is_lost;
	uint64_t seq; /* of a change */
	struct change change;
	uint64_t count; /* of a loss */
	const char *under;
	size_t n_under;
};

/**
 * watch_record_next() - walk a packet
 * @packet:	8-aligned
 * @offset:	0 at the start, advanced past the record
 * @ret:	untouched unless true is returned
 *
 * Records of unknown kinds are passed over.
 *
 * Return: false at the end, and where the rest makes no sense.
 */
bool watch_record_next(const void *packet, size_t n, size_t *offset, struct watch_record *ret);
