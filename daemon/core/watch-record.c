/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/watch-record.h"
#include "include/fsevents_stream.h"

/* The specification has structs without holes, alike on all machines. */
static_assert(sizeof(struct fsevents_change) == 56, "a change has no holes");
static_assert(sizeof(struct fsevents_watch_lost) == 24, "a loss has no holes");

static size_t padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

size_t watch_record_change_size(const struct change *change)
{
	return padded(sizeof(struct fsevents_change) + change->n_name + change->n_former);
}

size_t watch_record_lost_size(size_t n_under)
{
	return padded(sizeof(struct fsevents_watch_lost) + n_under);
}

size_t watch_record_put_change(void *ret, const struct change *change, uint64_t seq)
{
	size_t n = watch_record_change_size(change);
	const struct fsevents_change record = {
		.record = {
			.size = (uint32_t)n,
			.header_size = sizeof(record),
			.kind = FSEVENTS_KIND_WATCH,
		},
		.seq = seq,
		.realtime_usec = change->realtime_us,
		.inode = change->inode,
		.cookie = change->cookie,
		.mask = change->mask,
		.pid = change->pid,
		.n_name = (uint16_t)change->n_name,
		.n_former = (uint16_t)change->n_former,
	};
	uint8_t *names = (uint8_t *)ret + sizeof(record);

	assert(ret && ((uintptr_t)ret & 7) == 0);
	assert(change->n_name <= CHANGE_NAME_MAX && change->n_former <= CHANGE_NAME_MAX);

	/* The last word has the padding, if there is any; of no names it is the header's. */
	memset((uint8_t *)ret + n - 8, 0, 8);
	memcpy(ret, &record, sizeof(record));
	if (change->n_name > 0)
		memcpy(names, change->name, change->n_name);
	if (change->n_former > 0)
		memcpy(names + change->n_name, change->former, change->n_former);
	return n;
}

size_t watch_record_put_lost(void *ret, uint64_t count, const char *under, size_t n_under)
{
	size_t n = watch_record_lost_size(n_under);
	const struct fsevents_watch_lost record = {
		.record = {
			.size = (uint32_t)n,
			.header_size = sizeof(record),
			.kind = FSEVENTS_KIND_WATCH_LOST,
		},
		.count = count,
		.n_under = (uint32_t)n_under,
	};

	assert(ret && ((uintptr_t)ret & 7) == 0);
	assert(n_under <= CHANGE_NAME_MAX);

	memset((uint8_t *)ret + n - 8, 0, 8);
	memcpy(ret, &record, sizeof(record));
	if (n_under > 0)
		memcpy((uint8_t *)ret + sizeof(record), under, n_under);
	return n;
}

/* Return: false: it contradicts itself. */
static bool read_change(const struct fsevents_record *record, struct watch_record *ret)
{
	const struct fsevents_change *change = (const void *)record;
	const char *names = (const char *)record + record->header_size;

	if (record->header_size < sizeof(*change) ||
	    record->size - record->header_size < (size_t)change->n_name + change->n_former)
		return false;

	*ret = (struct watch_record){
		.seq = change->seq,
		.change = {
			.mask = change->mask,
			.pid = change->pid,
			.realtime_us = change->realtime_usec,
			.inode = change->inode,
			.cookie = change->cookie,
			.name = names,
			.n_name = change->n_name,
			.former = names + change->n_name,
			.n_former = change->n_former,
		},
	};
	return true;
}

static bool read_lost(const struct fsevents_record *record, struct watch_record *ret)
{
	const struct fsevents_watch_lost *lost = (const void *)record;

	if (record->header_size < sizeof(*lost) ||
	    record->size - record->header_size < lost->n_under)
		return false;

	*ret = (struct watch_record){
		.is_lost = true,
		.count = lost->count,
		.under = (const char *)record + record->header_size,
		.n_under = lost->n_under,
	};
	return true;
}

bool watch_record_next(const void *packet, size_t n, size_t *offset, struct watch_record *ret)
{
	assert(packet || n == 0);
	assert(((uintptr_t)packet & 7) == 0);
	assert(offset && ret);

	while (*offset <= n && n - *offset >= sizeof(struct fsevents_record)) {
		const struct fsevents_record *record =
			(const void *)((const uint8_t *)packet + *offset);

		if (record->size < sizeof(*record) || record->size % 8 != 0 ||
		    record->size > n - *offset || record->header_size < sizeof(*record) ||
		    record->header_size > record->size)
			return false;

		if (record->kind == FSEVENTS_KIND_WATCH ||
		    record->kind == FSEVENTS_KIND_WATCH_LOST) {
			if (!(record->kind == FSEVENTS_KIND_WATCH ? read_change(record, ret)
								  : read_lost(record, ret)))
				return false;
			*offset += record->size;
			return true;
		}
		*offset += record->size;
	}
	return false;
}
