/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/group-record.h"
#include "daemon/core/record.h"
#include "daemon/ctl/packet.h"

/* What is written is read from memory of exactly its size, so that a byte too far is seen. */
static int next_of(const void *bytes, size_t n, size_t *offset, struct packet_record *ret)
{
	uint8_t *copy = malloc(n ?: 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	r = packet_next(copy, n, offset, ret);
	free(copy);
	return r;
}

static size_t put_event(uint8_t *ret, size_t n_ret)
{
	struct event event = {
		.id = 77,
		.realtime_us = 5,
		.code = EVENT_STALLED,
		.severity = SEVERITY_WARNING,
		.fs = { 8, 1, 3 },
		.pid = 9,
		.data = 11,
		.test = true,
	};
	size_t n;

	assert_int_equal(details_add_bytes(&event.details, "where", "/a\xff", 3, 0), 0);
	assert_int_equal(details_add_u64(&event.details, "level", 1ULL << 60, 0), 0);
	n = record_put_event(ret, n_ret, &event, true);
	assert_true(n > 0);
	event_deinit(&event);
	return n;
}

static void test_round_trip(void **state)
{
	const struct record_hello hello = {
		.since_id = 1,
		.oldest_id = 2,
		.newest_id = 3,
		.reset = true,
		.epoch = "epoch",
	};
	struct packet_record record;
	uint8_t packet[4096];
	size_t n = 0, offset = 0;
	struct detail detail;

	n += record_put_hello(packet, sizeof(packet), &hello);
	n += put_event(packet + n, sizeof(packet) - n);
	n += record_put_lost(packet + n, sizeof(packet) - n, 78, 80, FSEVENTS_LOST_AMENDS);

	assert_int_equal(next_of(packet, n, &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_HELLO);
	assert_int_equal(record.hello.flags, FSEVENTS_HELLO_RESET);
	assert_string_equal(record.hello.epoch, "epoch");
	packet_record_deinit(&record);

	assert_int_equal(next_of(packet, n, &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_EVENT);
	assert_int_equal(record.event.id, 77);
	assert_int_equal(record.event.code, FSEVENTS_CODE_STALLED);
	assert_int_equal(record.event.flags, FSEVENTS_EVENT_TEST);
	assert_true(details_find(&record.details, "where", &detail));
	assert_memory_equal(detail.value, "/a\xff", 3);
	assert_true(details_find(&record.details, "level", &detail));
	assert_true(detail_u64(&detail) == 1ULL << 60);
	packet_record_deinit(&record);

	assert_int_equal(next_of(packet, n, &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_LOST);
	assert_int_equal(record.lost.first_id, 78);
	assert_int_equal(record.lost.last_id, 80);
	assert_int_equal(record.lost.flags, FSEVENTS_LOST_AMENDS);
	packet_record_deinit(&record);

	assert_int_equal(next_of(packet, n, &offset, &record), 0);
	assert_int_equal(offset, n);
}

static void test_every_cut(void **state)
{
	struct packet_record record;
	uint8_t packet[512];
	size_t n = put_event(packet, sizeof(packet));

	for (size_t cut = 1; cut < n; cut++) {
		size_t offset = 0;

		assert_int_equal(next_of(packet, cut, &offset, &record), -EBADMSG);
		assert_int_equal(offset, 0);
	}
}

/* Each byte of head, counts and details in turn says something else. */
static void test_every_lie(void **state)
{
	static const uint8_t lies[] = { 0, 1, 7, 8, 0x7f, 0x80, 0xff };
	uint8_t packet[512];
	size_t n = put_event(packet, sizeof(packet));

	for (size_t at = 0; at < n; at++)
		for (size_t i = 0; i < sizeof(lies); i++) {
			struct packet_record record;
			size_t offset = 0, rounds = 0;
			uint8_t was = packet[at];

			packet[at] = lies[i];
			while (next_of(packet, n, &offset, &record) == 1) {
				assert_true(offset <= n);
				assert_int_equal(details_validate(record.details.data,
								  record.details.n_data),
						 0);
				packet_record_deinit(&record);
				assert_true(++rounds <= n);
			}
			packet[at] = was;
		}
}

static void test_sizes(void **state)
{
	static const struct fsevents_record heads[] = {
		{ 0, 0, FSEVENTS_KIND_EVENT },		 { 8, 0, FSEVENTS_KIND_EVENT },
		{ 8, 7, FSEVENTS_KIND_EVENT },		 { 4, 8, FSEVENTS_KIND_EVENT },
		{ 16, 24, FSEVENTS_KIND_EVENT },	 { UINT32_MAX, 8, FSEVENTS_KIND_EVENT },
		{ 24, UINT16_MAX, FSEVENTS_KIND_EVENT },
	};
	struct packet_record record;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		uint8_t packet[16] = {};
		size_t offset = 0;

		memcpy(packet, &heads[i], sizeof(heads[i]));
		assert_int_equal(next_of(packet, sizeof(packet), &offset, &record), -EBADMSG);
	}
}

static void test_unknown_kind_is_passed_over(void **state)
{
	const struct fsevents_record head = { 24, 8, 4711 };
	struct packet_record record;
	uint8_t packet[512] = {};
	size_t n, offset = 0;

	memcpy(packet, &head, sizeof(head));
	memset(packet + 8, 0xff, 16);
	n = 24 + put_event(packet + 24, sizeof(packet) - 24);

	assert_int_equal(next_of(packet, n, &offset, &record), 1);
	assert_int_equal(record.kind, 4711);
	assert_int_equal(record.details.n_data, 0);
	packet_record_deinit(&record);
	assert_int_equal(next_of(packet, n, &offset, &record), 1);
	assert_int_equal(record.event.id, 77);
	packet_record_deinit(&record);
}

/* A later version has a longer fixed part; an earlier one had a shorter. */
static void test_other_versions(void **state)
{
	uint8_t packet[512], longer[600] = {}, shorter[64] = {};
	struct fsevents_record head;
	struct packet_record record;
	size_t n = put_event(packet, sizeof(packet)), fixed = sizeof(struct fsevents_event),
	       offset = 0;
	struct detail detail;

	memcpy(longer, packet, fixed);
	memset(longer + fixed, 0xff, 24);
	memcpy(longer + fixed + 24, packet + fixed, n - fixed);
	memcpy(&head, packet, sizeof(head));
	head.size += 24;
	head.header_size += 24;
	memcpy(longer, &head, sizeof(head));
	assert_int_equal(next_of(longer, n + 24, &offset, &record), 1);
	assert_int_equal(record.event.pid, 9);
	assert_true(details_find(&record.details, "level", &detail));
	packet_record_deinit(&record);

	head.size = head.header_size = 32;
	memcpy(shorter, packet, 32);
	memcpy(shorter, &head, sizeof(head));
	offset = 0;
	assert_int_equal(next_of(shorter, 32, &offset, &record), 1);
	assert_int_equal(record.event.id, 77);
	assert_int_equal(record.event.data, 11);
	assert_int_equal(record.event.dev_major, 0);
	assert_int_equal(record.details.n_data, 0);
	packet_record_deinit(&record);
}

static size_t put_pair(uint8_t *ret, uint8_t type, const char *key, const void *value, uint32_t n)
{
	const struct fsevents_detail head = { type, 0, (uint16_t)strlen(key), n };

	memcpy(ret, &head, sizeof(head));
	memcpy(ret + sizeof(head), key, head.n_key);
	memcpy(ret + sizeof(head) + head.n_key, value, n);
	return sizeof(head) + head.n_key + n;
}

/* What is not understood takes nothing else with it. */
static void test_strange_details(void **state)
{
	struct fsevents_amend amend = { { 0, sizeof(amend), FSEVENTS_KIND_AMEND }, .id = 5 };
	struct packet_record record;
	size_t n = sizeof(amend), offset = 0;
	struct detail detail;
	uint8_t packet[512] = {};

	n += put_pair(packet + n, 'q', "newer", "12", 2);
	n += put_pair(packet + n, 's', "good", "text", 4);
	n += put_pair(packet + n, 's', "bad-text", "\xff", 1);
	n += put_pair(packet + n, 'u', "bad-size", "123", 3);
	n += put_pair(packet + n, 'b', "bad-bool", "\x07", 1);
	n += put_pair(packet + n, 's', "Bad-Key\"", "text", 4);
	n += put_pair(packet + n, 'b', "flag", "\x01", 1);
	amend.record.size = (uint32_t)(n + 7) / 8 * 8;
	amend.n_details = (uint32_t)(n - sizeof(amend));
	memcpy(packet, &amend, sizeof(amend));

	assert_int_equal(next_of(packet, amend.record.size, &offset, &record), 1);
	assert_int_equal(record.amend.id, 5);
	assert_true(details_find(&record.details, "good", &detail));
	assert_true(details_find(&record.details, "flag", &detail));
	for (const char *const *key = (const char *const[]){ "newer", "bad-text", "bad-size",
							     "bad-bool", "Bad-Key\"", NULL };
	     *key; key++)
		assert_false(details_find(&record.details, *key, &detail));
	packet_record_deinit(&record);
}

static void test_group(void **state)
{
	const struct group_event exec = { .kind = GROUP_EXEC, .pid = 10, .other = 9, .status = 0 };
	const struct group_totals totals = { .leader = 10, .forks = 3, .peak_rss_kib = 5 };
	struct packet_record record;
	uint8_t packet[512];
	size_t n = 0, n_event, offset = 0;

	n = n_event = group_record_put_event(packet, sizeof(packet), &exec, 4, 77, "/bin/true");
	n += group_record_put_lost(packet + n, sizeof(packet) - n, 6);
	n += group_record_put_empty(packet + n, sizeof(packet) - n, &totals);

	assert_int_equal(packet_next(packet, n, &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_GROUP);
	assert_int_equal(record.group_event.seq, 4);
	assert_int_equal(record.group_event.event, FSEVENTS_GROUP_EXEC);
	assert_int_equal(record.group_event.other, 9);
	assert_int_equal(record.group_event.n_file, 9);
	assert_memory_equal(record.file, "/bin/true", 9);
	assert_int_equal(record.details.n_data, 0);
	packet_record_deinit(&record);

	assert_int_equal(packet_next(packet, n, &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_GROUP_LOST);
	assert_int_equal(record.group_lost.count, 6);
	packet_record_deinit(&record);

	assert_int_equal(packet_next(packet, n, &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_GROUP_EMPTY);
	assert_int_equal(record.group_empty.forks, 3);
	assert_int_equal(record.group_empty.peak_rss, 5);
	assert_int_equal(record.group_empty.leader, 10);
	packet_record_deinit(&record);
	assert_int_equal(packet_next(packet, n, &offset, &record), 0);

	/* A name that is longer than its record. */
	packet[offsetof(struct fsevents_group_event, n_file)] = 200;
	offset = 0;
	assert_int_equal(next_of(packet, n_event, &offset, &record), -EBADMSG);
}

/* A record of a watch with two names, as the daemon writes it. */
static void test_change(void **state)
{
	struct {
		struct fsevents_change change;
		char names[8];
		struct fsevents_watch_lost lost;
		char under[8];
	} packet = {
		.change = {
			.record = { sizeof(packet.change) + 8, sizeof(packet.change),
				    FSEVENTS_KIND_WATCH },
			.seq = 7,
			.mask = FSEVENTS_MOVE,
			.n_name = 2,
			.n_former = 3,
		},
		.names = { 'a', '\xff', 'o', 'l', 'd' },
		.lost = {
			.record = { sizeof(packet.lost) + 8, sizeof(packet.lost),
				    FSEVENTS_KIND_WATCH_LOST },
			.count = 9,
			.n_under = 1,
		},
		.under = { 'd' },
	};
	const uint8_t *bytes = (const uint8_t *)&packet;
	struct packet_record record;
	size_t offset = 0;

	assert_int_equal(packet_next(bytes, sizeof(packet), &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_WATCH);
	assert_int_equal(record.change.seq, 7);
	assert_memory_equal(record.file, "a\xffold", 5);

	assert_int_equal(packet_next(bytes, sizeof(packet), &offset, &record), 1);
	assert_int_equal(record.kind, FSEVENTS_KIND_WATCH_LOST);
	assert_int_equal(record.watch_lost.count, 9);
	assert_memory_equal(record.file, "d", 1);
	assert_int_equal(packet_next(bytes, sizeof(packet), &offset, &record), 0);

	/* Names that are longer than the record. */
	packet.change.n_former = 7;
	offset = 0;
	assert_int_equal(packet_next(bytes, sizeof(packet), &offset, &record), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_every_lie),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_unknown_kind_is_passed_over),
		cmocka_unit_test(test_other_versions),
		cmocka_unit_test(test_strange_details),
		cmocka_unit_test(test_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
