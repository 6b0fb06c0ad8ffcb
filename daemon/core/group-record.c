/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/group-record.h"
#include "include/fsevents_stream.h"

#define IS(_a, _b) static_assert((unsigned int)(_a) == (unsigned int)(_b), #_a " is " #_b)

/* The specification has structs without holes, alike on all machines. */
IS(sizeof(struct fsevents_group_event), 48);
IS(sizeof(struct fsevents_group_lost), 16);
IS(sizeof(struct fsevents_group_empty), 88);
IS(FSEVENTS_GROUP_FORK, GROUP_FORK);
IS(FSEVENTS_GROUP_EXEC, GROUP_EXEC);
IS(FSEVENTS_GROUP_EXIT, GROUP_EXIT);

static size_t put(void *ret, size_t n_ret, const void *record, size_t n_record)
{
	if (n_record > n_ret)
		return 0;
	memcpy(ret, record, n_record);
	return n_record;
}

size_t group_record_put_event(void *ret, size_t n_ret, const struct group_event *event,
			      uint64_t seq, uint64_t realtime_us, const char *file)
{
	size_t n_file = strnlen(file, GROUP_RECORD_FILE_MAX);
	size_t n = (sizeof(struct fsevents_group_event) + n_file + 7) / 8 * 8;
	const struct fsevents_group_event record = {
		.record = {
			.size = (uint32_t)n,
			.header_size = sizeof(record),
			.kind = FSEVENTS_KIND_GROUP,
		},
		.seq = seq,
		.realtime_usec = realtime_us,
		.event = event->kind,
		.pid = event->pid,
		.other = event->other,
		.status = (int32_t)event->status,
		.n_file = (uint32_t)n_file,
	};

	assert(ret);
	assert(event);

	if (n > n_ret)
		return 0;
	memset(ret, 0, n);
	memcpy(ret, &record, sizeof(record));
	memcpy((uint8_t *)ret + sizeof(record), file, n_file);
	return n;
}

size_t group_record_put_lost(void *ret, size_t n_ret, uint64_t count)
{
	const struct fsevents_group_lost record = {
		.record = {
			.size = sizeof(record),
			.header_size = sizeof(record),
			.kind = FSEVENTS_KIND_GROUP_LOST,
		},
		.count = count,
	};

	assert(ret);

	return put(ret, n_ret, &record, sizeof(record));
}

size_t group_record_put_empty(void *ret, size_t n_ret, const struct group_totals *totals)
{
	const struct fsevents_group_empty record = {
		.record = {
			.size = sizeof(record),
			.header_size = sizeof(record),
			.kind = FSEVENTS_KIND_GROUP_EMPTY,
		},
		.forks = totals->forks,
		.execs = totals->execs,
		.exits = totals->exits,
		.lost = totals->lost,
		.user_usec = totals->user_us,
		.system_usec = totals->system_us,
		.read_bytes = totals->read_bytes,
		.write_bytes = totals->write_bytes,
		.peak_rss = totals->peak_rss_kib,
		.leader = totals->leader,
		.flags = (totals->incomplete ? FSEVENTS_GROUP_INCOMPLETE : 0) |
			 (totals->accounting ? FSEVENTS_GROUP_ACCOUNTING : 0),
	};

	assert(ret);

	return put(ret, n_ret, &record, sizeof(record));
}
