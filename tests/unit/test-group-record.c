/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/group-record.h"
#include "include/fsevents_stream.h"

static _Alignas(8) uint8_t packet[GROUP_RECORD_MAX];

static const struct group_event exec = {
	.kind = GROUP_EXEC,
	.pid = 7,
	.other = 8,
	.status = 0x8000000bU,
};

static void test_event(void **state)
{
	const char *file = "/bin/\xff";
	struct fsevents_group_event got;
	size_t n;

	memset(packet, 0xee, sizeof(packet));
	n = group_record_put_event(packet, sizeof(packet), &exec, 5, 6, file);
	assert_int_equal(n, 56);
	memcpy(&got, packet, sizeof(got));
	assert_int_equal(got.record.size, n);
	assert_int_equal(got.record.header_size, sizeof(got));
	assert_int_equal(got.record.kind, FSEVENTS_KIND_GROUP);
	assert_int_equal(got.seq, 5);
	assert_int_equal(got.realtime_usec, 6);
	assert_int_equal(got.event, FSEVENTS_GROUP_EXEC);
	assert_int_equal(got.pid, 7);
	assert_int_equal(got.other, 8);
	assert_int_equal((uint32_t)got.status, 0x8000000bU);
	assert_int_equal(got.n_file, 6);
	assert_int_equal(got.reserved, 0);
	assert_memory_equal(packet + sizeof(got), "/bin/\xff\0\0", 8);
}

static void test_room(void **state)
{
	for (size_t room = 0; room < 56; room++) {
		memset(packet, 0xee, sizeof(packet));
		assert_int_equal(group_record_put_event(packet, room, &exec, 5, 6, "/bin/x"), 0);
		assert_int_equal(packet[0], 0xee);
	}
	assert_int_equal(group_record_put_event(packet, 56, &exec, 5, 6, "/bin/x"), 56);
	assert_int_equal(group_record_put_event(packet, 48, &exec, 5, 6, ""), 48);
	assert_int_equal(group_record_put_lost(packet, 15, 1), 0);
	assert_int_equal(group_record_put_empty(packet, 87, &(struct group_totals){}), 0);
}

static void test_file_of_any_length_fits(void **state)
{
	static char file[3 * GROUP_RECORD_FILE_MAX];
	struct fsevents_group_event got;
	size_t n;

	memset(file, 'x', sizeof(file) - 1);
	n = group_record_put_event(packet, sizeof(packet), &exec, 5, 6, file);
	assert_int_equal(n, sizeof(got) + GROUP_RECORD_FILE_MAX);
	memcpy(&got, packet, sizeof(got));
	assert_int_equal(got.n_file, GROUP_RECORD_FILE_MAX);
}

static void test_lost_and_empty(void **state)
{
	const struct group_totals totals = {
		.leader = 1,
		.forks = 2,
		.execs = 3,
		.exits = 4,
		.user_us = 5,
		.system_us = 6,
		.read_bytes = 7,
		.write_bytes = UINT64_MAX,
		.peak_rss_kib = 9,
		.lost = 10,
		.incomplete = true,
	};
	struct fsevents_group_empty empty;
	struct fsevents_group_lost lost;

	assert_int_equal(group_record_put_lost(packet, sizeof(packet), 0), sizeof(lost));
	memcpy(&lost, packet, sizeof(lost));
	assert_int_equal(lost.record.kind, FSEVENTS_KIND_GROUP_LOST);
	assert_int_equal(lost.count, 0);

	assert_int_equal(group_record_put_empty(packet, sizeof(packet), &totals), sizeof(empty));
	memcpy(&empty, packet, sizeof(empty));
	assert_int_equal(empty.record.kind, FSEVENTS_KIND_GROUP_EMPTY);
	assert_int_equal(empty.record.size, sizeof(empty));
	assert_int_equal(empty.leader, 1);
	assert_int_equal(empty.forks, 2);
	assert_int_equal(empty.execs, 3);
	assert_int_equal(empty.exits, 4);
	assert_int_equal(empty.user_usec, 5);
	assert_int_equal(empty.system_usec, 6);
	assert_int_equal(empty.read_bytes, 7);
	assert_true(empty.write_bytes == UINT64_MAX);
	assert_int_equal(empty.peak_rss, 9);
	assert_int_equal(empty.lost, 10);
	assert_int_equal(empty.flags, FSEVENTS_GROUP_INCOMPLETE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_file_of_any_length_fits),
		cmocka_unit_test(test_lost_and_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
