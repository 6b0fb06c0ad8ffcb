/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/wire-taskstats.h"

struct attributes {
	uint8_t bytes[4096];
	size_t n;
};

static size_t begin(struct attributes *attributes, uint16_t type)
{
	struct nlattr header = { .nla_type = type };
	size_t at = attributes->n;

	memcpy(attributes->bytes + at, &header, sizeof(header));
	attributes->n += sizeof(header);
	return at;
}

static void end(struct attributes *attributes, size_t at)
{
	uint16_t length = (uint16_t)(attributes->n - at);

	memcpy(attributes->bytes + at, &length, sizeof(length));
	attributes->n = (attributes->n + 3) & ~3UL;
}

static void add(struct attributes *attributes, uint16_t type, const void *data, size_t n_data)
{
	size_t at = begin(attributes, type);

	if (n_data > 0)
		memcpy(attributes->bytes + attributes->n, data, n_data);
	attributes->n += n_data;
	end(attributes, at);
}

static const struct taskstats example = {
	.version = 13,
	.ac_pid = 5,
	.ac_tgid = 51,
	.ac_uid = 1000,
	.ac_flag = 1,
	.ac_etime = 9000,
	.ac_utime = 700,
	.ac_stime = 300,
	.read_bytes = 4096,
	.write_bytes = 8192,
	.hiwater_rss = 1234,
};

static void add_record(struct attributes *attributes, uint16_t aggregate, uint16_t id_type,
		       uint32_t id, const struct taskstats *stats, size_t n_stats)
{
	size_t at = begin(attributes, aggregate);

	add(attributes, id_type, &id, sizeof(id));
	add(attributes, TASKSTATS_TYPE_NULL, NULL, 0);
	add(attributes, TASKSTATS_TYPE_STATS, stats, n_stats);
	end(attributes, at);
}

static void test_thread(void **state)
{
	struct attributes attributes = {};
	struct wire_taskstats got;

	add_record(&attributes, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 55, &example,
		   sizeof(example));
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), 1);
	assert_int_equal(got.tid, 55);
	assert_int_equal(got.tgid, 51);
	assert_int_equal(got.uid, 1000);
	assert_int_equal(got.flags, 1);
	assert_int_equal(got.elapsed_us, 9000);
	assert_int_equal(got.user_us, 700);
	assert_int_equal(got.system_us, 300);
	assert_int_equal(got.read_bytes, 4096);
	assert_int_equal(got.write_bytes, 8192);
	assert_int_equal(got.peak_rss_kib, 1234);
}

/* The sum is what the scheduler measured, shared as the ticks fell. */
static void test_measured(void **state)
{
	static const struct {
		uint64_t run_us, user_us, system_us, got_user_us, got_system_us;
	} rows[] = {
		{ 0, 700, 300, 700, 300 },
		{ 2000, 700, 300, 1400, 600 },
		{ 250, 0, 0, 250, 0 },
		{ 250, 0, 4000, 0, 250 },
		{ 1, 700, 300, 1, 0 },
		{ UINT64_MAX / 1000, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct taskstats stats = example;
		struct attributes attributes = {};
		struct wire_taskstats got;

		stats.cpu_run_virtual_total = rows[i].run_us * 1000;
		stats.ac_utime = rows[i].user_us;
		stats.ac_stime = rows[i].system_us;
		add_record(&attributes, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 55, &stats,
			   sizeof(stats));
		assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), 1);
		assert_int_equal(got.user_us, rows[i].got_user_us);
		assert_int_equal(got.system_us, rows[i].got_system_us);
	}
}

/* The last thread's message has the whole process beside it. */
static void test_process_beside(void **state)
{
	struct taskstats whole = example;
	struct attributes attributes = {};
	struct wire_taskstats got;

	whole.ac_utime = 5555;
	add_record(&attributes, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 55, &example,
		   sizeof(example));
	add_record(&attributes, TASKSTATS_TYPE_AGGR_TGID, TASKSTATS_TYPE_TGID, 51, &whole,
		   sizeof(whole));
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), 1);
	assert_int_equal(got.tid, 55);
	assert_int_equal(got.user_us, 700);

	attributes.n = 0;
	add_record(&attributes, TASKSTATS_TYPE_AGGR_TGID, TASKSTATS_TYPE_TGID, 51, &whole,
		   sizeof(whole));
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), 0);
	assert_int_equal(wire_taskstats_decode(NULL, 0, &got), 0);
}

static void test_other_versions(void **state)
{
	struct { /* one that knows more than we do */
		struct taskstats stats;
		uint8_t more[64];
	} longer = { .stats = example };
	struct taskstats old = example;
	struct attributes attributes = {};
	struct wire_taskstats got;

	longer.stats.version = 99;
	add_record(&attributes, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 55, &longer.stats,
		   sizeof(longer));
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), 1);
	assert_int_equal(got.tgid, 51);

	attributes.n = 0;
	old.version = 8;
	add_record(&attributes, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 55, &old,
		   offsetof(struct taskstats, freepages_count));
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), 1);
	assert_int_equal(got.tgid, 0);
	assert_int_equal(got.write_bytes, 8192);

	attributes.n = 0;
	add_record(&attributes, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 55, &old,
		   offsetof(struct taskstats, write_bytes));
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), -EBADMSG);
}

static void test_malformed(void **state)
{
	struct attributes attributes = {};
	struct wire_taskstats got = { .tid = 99 };
	uint16_t lengths[] = { 0, 3, UINT16_MAX };
	uint64_t wide = 55;
	size_t at;

	add_record(&attributes, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 55, &example,
		   sizeof(example));
	for (size_t n = 1; n < attributes.n; n++)
		assert_int_equal(wire_taskstats_decode(attributes.bytes, n, &got), -EBADMSG);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		/* of the whole, and of the pid within */
		memcpy(attributes.bytes + sizeof(struct nlattr), &lengths[i], sizeof(uint16_t));
		assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got),
				 -EBADMSG);
	}

	attributes.n = 0;
	at = begin(&attributes, TASKSTATS_TYPE_AGGR_PID);
	add(&attributes, TASKSTATS_TYPE_PID, &wide, sizeof(wide));
	end(&attributes, at);
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), -EBADMSG);

	/* one without figures, or of nobody, says nothing */
	attributes.n = 0;
	at = begin(&attributes, TASKSTATS_TYPE_AGGR_PID);
	add(&attributes, TASKSTATS_TYPE_STATS, &example, sizeof(example));
	end(&attributes, at);
	assert_int_equal(wire_taskstats_decode(attributes.bytes, attributes.n, &got), 0);
	assert_int_equal(got.tid, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread),	       cmocka_unit_test(test_measured),
		cmocka_unit_test(test_process_beside), cmocka_unit_test(test_other_versions),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
