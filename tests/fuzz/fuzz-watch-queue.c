/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The reader of packets, and a queue that is told what the input says
 *
 * Each step of the queue takes four bytes: what is done, a limit or a count, a
 * name, a former name. Numbers and counts have to come out without a gap.
 */

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/watch-queue.h"
#include "tests/fuzz/input.h"

static const char names[] = "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z";

static void read_packet(const uint8_t *data, size_t n)
{
	struct watch_record record;
	size_t offset = 0, sum = 0;
	uint8_t *copy = input_copy(data, n);

	while (watch_record_next(copy, n, &offset, &record)) {
		assert(offset <= n);
		for (size_t i = 0; i < record.change.n_name + record.change.n_former; i++)
			sum += (uint8_t)record.change.name[i];
		for (size_t i = 0; i < record.n_under; i++)
			sum += (uint8_t)record.under[i];
	}
	assert(sum <= 255 * n);
	free(copy);
}

static void take(struct watch_queue *queue, uint64_t *next, bool pop)
{
	struct watch_record record;
	size_t n, offset = 0;
	const void *packet = watch_queue_peek(queue, WATCH_PACKET_MIN, &n);

	assert(!packet == watch_queue_is_empty(queue));
	if (!packet || !pop)
		return;
	while (watch_record_next(packet, n, &offset, &record)) {
		if (record.is_lost) {
			*next += record.count;
			continue;
		}
		assert(record.seq == *next);
		++*next;
	}
	assert(offset == n);
	watch_queue_pop(queue);
}

static void push(struct watch_queue *queue, const uint8_t *step)
{
	const struct change change = {
		.mask = 1U << (step[1] & 31),
		.inode = step[1] >> 5,
		.name = names + (step[2] & 15),
		.n_name = (step[2] >> 4) * 2U,
		.former = names + (step[3] & 15),
		.n_former = (step[3] >> 4) * 2U,
	};

	for (unsigned int i = 0; i <= step[0] >> 2; i++)
		watch_queue_push(queue, &change);
}

static void check(const struct watch_queue *queue, const struct quota *quota)
{
	struct watch_queue_statistics statistics;

	watch_queue_statistics(queue, &statistics);
	assert(statistics.pushed ==
	       statistics.merged + statistics.delivered + statistics.lost + statistics.queued);
	assert(statistics.bytes == quota_used(quota, 1, QUOTA_QUEUE_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct quota_limit none[_QUOTA_KIND_N];
	struct watch_queue *queue;
	struct quota *quota;
	uint64_t next = 1;

	read_packet(data, size);

	assert(quota_new(&quota, none) == 0);
	assert(watch_queue_new(&queue, quota, 1) == 0);
	for (; size >= 4; data += 4, size -= 4) {
		switch (data[0] & 3) {
		case 0:
			quota_set_limit(quota, QUOTA_QUEUE_BYTES,
					(struct quota_limit){ .per_uid = data[1] * 4096U,
							      .total = UINT64_MAX });
			take(queue, &next, data[0] & 4);
			break;
		case 1:
			watch_queue_push_lost(queue, data[1], names + (data[2] & 15), data[3] % 32);
			break;
		default:
			push(queue, data);
			break;
		}
		check(queue, quota);
	}
	while (!watch_queue_is_empty(queue))
		take(queue, &next, true);
	check(queue, quota);

	watch_queue_free(queue);
	quota_free(quota);
	return 0;
}
