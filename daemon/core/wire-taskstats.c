/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <string.h>

#include "daemon/core/wire-attribute.h"
#include "daemon/core/wire-taskstats.h"

/* The first version of the structure that the kernel gave bytes of storage in. */
#define STATS_MIN (offsetof(struct taskstats, write_bytes) + sizeof(uint64_t))

/*
 * User and system time are sampled by tick; what the scheduler measured, where
 * the kernel tells that, is the sum that they should have, as wait4(2) has it.
 */
static void scale_times(const struct taskstats *stats, struct wire_taskstats *ret)
{
	uint64_t run_us = stats->cpu_run_virtual_total / 1000;
	uint64_t ticks_us = ret->user_us + ret->system_us;

	if (run_us == 0 || ticks_us < ret->user_us)
		return;

	if (ticks_us > 0)
		ret->system_us = (uint64_t)((__uint128_t)ret->system_us * run_us / ticks_us);
	ret->user_us = run_us - ret->system_us;
}

static int decode_stats(const struct wire_attribute *attribute, struct wire_taskstats *ret)
{
	struct taskstats stats = {};

	if (attribute->n_data < STATS_MIN)
		return -EBADMSG;
	memcpy(&stats, attribute->data,
	       attribute->n_data < sizeof(stats) ? attribute->n_data : sizeof(stats));

	*ret = (struct wire_taskstats){
		.tid = stats.ac_pid,
		/* Zero where the record is shorter than that. */
		.tgid = stats.version >= 12 ? stats.ac_tgid : 0,
		.uid = stats.ac_uid,
		.flags = stats.ac_flag,
		.elapsed_us = stats.ac_etime,
		.user_us = stats.ac_utime,
		.system_us = stats.ac_stime,
		.read_bytes = stats.read_bytes,
		.write_bytes = stats.write_bytes,
		.peak_rss_kib = stats.hiwater_rss,
	};
	scale_times(&stats, ret);
	return 1;
}

/* TASKSTATS_TYPE_AGGR_PID holds the pid and the structure. */
static int decode_thread(const struct wire_attribute *aggregate, struct wire_taskstats *ret)
{
	struct wire_taskstats record = {};
	struct wire_attribute attribute;
	uint32_t tid = 0;
	size_t offset = 0;
	int r, found = 0;

	for (;;) {
		r = wire_attribute_next(aggregate->data, aggregate->n_data, &offset, &attribute);
		if (r < 0)
			return r;
		if (r == 0)
			break;

		if (attribute.type == TASKSTATS_TYPE_PID) {
			if (attribute.n_data != sizeof(tid))
				return -EBADMSG;
			memcpy(&tid, attribute.data, sizeof(tid));
		} else if (attribute.type == TASKSTATS_TYPE_STATS) {
			found = decode_stats(&attribute, &record);
			if (found < 0)
				return found;
		}
	}
	if (!found || tid == 0)
		return 0;

	/* The one outside is of the initial pid namespace, as events are. */
	record.tid = tid;
	*ret = record;
	return 1;
}

int wire_taskstats_decode(const void *data, size_t n_data, struct wire_taskstats *ret)
{
	struct wire_taskstats record;
	struct wire_attribute attribute;
	size_t offset = 0;
	int r, found = 0;

	assert(data || n_data == 0);
	assert(ret);

	for (;;) {
		r = wire_attribute_next(data, n_data, &offset, &attribute);
		if (r < 0)
			return r;
		if (r == 0)
			break;

		if (attribute.type == TASKSTATS_TYPE_AGGR_PID && !found) {
			found = decode_thread(&attribute, &record);
			if (found < 0)
				return found;
		}
	}

	if (found)
		*ret = record;
	return found;
}
