/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/record.h"
#include "include/fsevents_stream.h"

static struct event make(uint64_t id)
{
	static const struct detail_writer writer = { .pid = 9, .bytes = 10, .comm = "dd" };
	struct event event = {
		.id = id,
		.realtime_us = 1234567,
		.code = EVENT_CORRUPTED,
		.severity = SEVERITY_CRITICAL,
		.fs = { 8, 1, UINT32_MAX },
		.pid = 77,
		.data = UINT64_MAX,
		.cause_uid = 1000,
		.user_mount = id % 2,
		.test = id % 3 == 0,
	};

	assert_int_equal(details_add_string(&event.details, "where", "/mnt", 0), 0);
	assert_int_equal(details_add_bytes(&event.details, "path", "\377x", 2, DETAIL_PRIVATE), 0);
	assert_int_equal(details_add_u64(&event.details, "level", 5, 0), 0);
	assert_int_equal(details_add_writers(&event.details, "writers", &writer, 1, DETAIL_PRIVATE),
			 0);
	return event;
}

static void expect_equal(const struct event *a, const struct event *b)
{
	assert_true(a->id == b->id && a->realtime_us == b->realtime_us);
	assert_true(a->code == b->code && a->severity == b->severity);
	assert_true(fs_key_equal(&a->fs, &b->fs));
	assert_true(a->pid == b->pid && a->data == b->data && a->cause_uid == b->cause_uid);
	assert_true(a->user_mount == b->user_mount && a->test == b->test);
	assert_int_equal(a->details.n_data, b->details.n_data);
	if (a->details.n_data > 0)
		assert_memory_equal(a->details.data, b->details.data, a->details.n_data);
}

/* Good frames for the ids 1 to @n; @ends: where each ends. */
static size_t make_file(uint8_t *file, size_t n_file, unsigned int n, size_t *ends)
{
	size_t length = 0;

	for (unsigned int i = 0; i < n; i++) {
		_cleanup_(event_deinit) struct event event = make(i + 1);
		size_t n_frame = record_frame_event(file + length, n_file - length, &event);

		assert_true(n_frame > 0 && n_frame % 8 == 0);
		length += n_frame;
		if (ends)
			ends[i] = length;
	}

	return length;
}

static void test_frame_round_trip(void **state)
{
	static uint8_t file[65536];
	struct record_reader reader = { .data = file };
	struct details more = {};
	struct record record;
	size_t n;

	reader.n_data = make_file(file, sizeof(file), 20, NULL);
	assert_int_equal(details_add_u64(&more, "inode", 3, DETAIL_PRIVATE), 0);
	n = record_frame_amend(file + reader.n_data, sizeof(file) - reader.n_data, 4, more.data,
			       more.n_data);
	assert_true(n > 0);
	reader.n_data += n;

	for (uint64_t id = 1; id <= 20; id++) {
		_cleanup_(event_deinit) struct event event = make(id);

		assert_true(record_reader_next(&reader, &record));
		assert_int_equal(record.kind, RECORD_EVENT);
		assert_int_equal(record.id, id);
		expect_equal(&record.event, &event);
	}

	assert_true(record_reader_next(&reader, &record));
	assert_int_equal(record.kind, RECORD_AMEND);
	assert_int_equal(record.id, 4);
	assert_int_equal(record.more.n_data, more.n_data);
	assert_memory_equal(record.more.data, more.data, more.n_data);
	assert_false(record_reader_next(&reader, &record));
	assert_int_equal(reader.n_whole, reader.n_data);
	assert_int_equal(reader.n_damaged, 0);
	assert_int_equal(reader.n_foreign, 0);
	details_deinit(&more);
}

static unsigned int read_all(const uint8_t *data, size_t n, struct record_reader *ret)
{
	struct record_reader reader = { .data = data, .n_data = n };
	unsigned int n_records = 0;
	struct record record;

	while (record_reader_next(&reader, &record))
		n_records++;

	*ret = reader;
	return n_records;
}

static void test_cut_anywhere(void **state)
{
	uint8_t file[4096];
	struct record_reader reader;
	size_t ends[5], length;

	length = make_file(file, sizeof(file), 5, ends);
	for (size_t n = 0; n <= length; n++) {
		uint8_t *copy = malloc(n ?: 1);
		unsigned int expected = 0;

		while (expected < 5 && ends[expected] <= n)
			expected++;
		memcpy(copy, file, n);
		assert_int_equal(read_all(copy, n, &reader), expected);
		assert_int_equal(reader.n_whole, expected > 0 ? ends[expected - 1] : 0);
		assert_int_equal(reader.n_damaged, n - reader.n_whole);
		free(copy);
	}
}

static void test_any_byte_damaged(void **state)
{
	uint8_t file[4096];
	struct record_reader reader;
	size_t ends[3], length;

	length = make_file(file, sizeof(file), 3, ends);
	for (size_t i = 0; i < length; i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			file[i] ^= (uint8_t)(1U << bit);
			assert_int_equal(read_all(file, length, &reader), 2);
			assert_int_equal(reader.n_damaged, i < ends[0]	 ? ends[0]
							   : i < ends[1] ? ends[1] - ends[0]
									 : ends[2] - ends[1]);
			file[i] ^= (uint8_t)(1U << bit);
		}
	}
}

static void test_torn_in_the_middle(void **state)
{
	uint8_t file[4096];
	struct record_reader reader;
	size_t ends[4], length, cut;

	length = make_file(file, sizeof(file), 4, ends);
	/* The second was half written, and the rest appended behind it, not aligned. */
	cut = ends[0] + 33;
	memmove(file + cut, file + ends[1], length - ends[1]);
	length = cut + length - ends[1];
	assert_int_equal(read_all(file, length, &reader), 3);
	assert_int_equal(reader.n_damaged, 33);
	assert_int_equal(reader.n_whole, length);
}

static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	while (n-- > 0) {
		crc ^= *p++;
		for (unsigned int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}

	return ~crc;
}

/* Seals a frame anew after it was changed; checks the CRC by the textbook on the way. */
static void seal(uint8_t *frame, size_t n)
{
	uint32_t crc;

	memset(frame + 12, 0, 4);
	crc = crc32(frame, n);
	memcpy(frame + 12, &crc, 4);
}

static void test_sealed_nonsense(void **state)
{
	static const struct {
		size_t offset;
		uint8_t byte;
	} cases[] = {
		{ 4, 2 }, /* version */
		{ 24, 0 }, /* size of the record */
		{ 28, 8 }, /* header_size less than the fixed part */
		{ 29, 255 }, /* ... more than the record */
		{ 30, 99 }, /* kind */
		{ 24 + 32, 200 }, /* code */
		{ 24 + 36, 200 }, /* severity */
		{ 24 + 60, 255 }, /* n_details */
		{ 24 + 61, 255 },
		{ 24 + 64, 't' }, /* type of the first detail: of another length */
		{ 24 + 64 + 1, 2 }, /* its flags */
		{ 24 + 64 + 8, 'W' }, /* its key */
		{ 24 + 64 + 13, 255 }, /* its text, not UTF-8 */
		{ 24 + 64 + 13, 0 },
	};
	uint8_t file[4096], copy[4096];
	struct record_reader reader;
	struct record record;
	struct detail detail;
	size_t ends[2], length, n;

	length = make_file(file, sizeof(file), 2, ends);
	memcpy(copy, file, length);
	seal(copy, ends[0]);
	assert_memory_equal(copy, file, length);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(copy, file, length);
		copy[cases[i].offset] = cases[i].byte;
		seal(copy, ends[0]);
		assert_int_equal(read_all(copy, length, &reader), 1);
		assert_int_equal(reader.n_foreign, 1);
		assert_int_equal(reader.n_damaged, 0);
		assert_int_equal(reader.n_whole, length);
	}

	/* A detail of a later version: the event without it, also in a stream. */
	memcpy(copy, file, length);
	copy[24 + 64] = '?';
	seal(copy, ends[0]);
	assert_int_equal(read_all(copy, length, &reader), 2);
	reader = (struct record_reader){ .data = copy, .n_data = length };
	assert_true(record_reader_next(&reader, &record));
	assert_false(details_find(&record.event.details, "where", &detail));
	assert_true(details_find(&record.event.details, "level", &detail));
	n = record_put_event(copy + length, sizeof(copy) - length, &record.event, false);
	assert_true(n > 0);
	assert_null(memmem(copy + length, n, "where", 5));
	assert_null(memmem(copy + length, n, "path", 4));
	assert_non_null(memmem(copy + length, n, "level", 5));

	/* id 0 */
	memcpy(copy, file, length);
	copy[24 + 8] = 0;
	seal(copy, ends[0]);
	assert_int_equal(read_all(copy, length, &reader), 1);
	assert_int_equal(reader.n_foreign, 1);
}

/* A later minor version may lengthen the fixed part. */
static void test_longer_header(void **state)
{
	_cleanup_(event_deinit) struct event event = make(2);
	struct record_reader reader = {};
	uint8_t file[1024] = {};
	struct record record;
	uint32_t size;
	uint16_t header;
	size_t n;

	n = record_frame_event(file, sizeof(file), &event);
	memmove(file + 24 + 64 + 16, file + 24 + 64, n - 24 - 64);
	memset(file + 24 + 64, 0xee, 16);
	header = 64 + 16;
	memcpy(file + 28, &header, 2);
	size = (uint32_t)(n - 24 + 16);
	memcpy(file + 24, &size, 4);
	memcpy(file + 8, &size, 4);
	seal(file, n + 16);

	reader.data = file;
	reader.n_data = n + 16;
	assert_true(record_reader_next(&reader, &record));
	expect_equal(&record.event, &event);
}

static void test_random_bytes(void **state)
{
	uint8_t file[2048];
	struct record_reader reader;

	srand(2);
	for (unsigned int i = 0; i < 300; i++) {
		for (size_t k = 0; k < sizeof(file); k++)
			file[k] = (uint8_t)rand();
		assert_int_equal(read_all(file, sizeof(file), &reader), 0);
		assert_int_equal(reader.n_damaged, sizeof(file));
	}

	assert_int_equal(read_all(NULL, 0, &reader), 0);
}

static void test_stream_event(void **state)
{
	_cleanup_(event_deinit) struct event event = make(3);
	_Alignas(8) uint8_t data[RECORD_MAX];
	const struct fsevents_event *fixed = (const struct fsevents_event *)data;
	size_t n, n_private;

	memset(data, 0xee, sizeof(data));
	n_private = record_put_event(data, sizeof(data), &event, true);
	assert_int_equal(fixed->n_details, event.details.n_data);
	assert_non_null(memmem(data, n_private, "path", 4));

	memset(data, 0xee, sizeof(data));
	n = record_put_event(data, sizeof(data), &event, false);
	assert_true(n > 0 && n < n_private);
	assert_int_equal(fixed->record.size, n);
	assert_int_equal(fixed->record.header_size, sizeof(*fixed));
	assert_int_equal(fixed->record.kind, FSEVENTS_KIND_EVENT);
	assert_int_equal(fixed->id, 3);
	assert_int_equal(fixed->realtime_usec, 1234567);
	assert_int_equal(fixed->code, FSEVENTS_CODE_CORRUPTED);
	assert_int_equal(fixed->severity, FSEVENTS_SEVERITY_CRITICAL);
	assert_int_equal(fixed->dev_major, 8);
	assert_int_equal(fixed->dev_minor, 1);
	assert_int_equal(fixed->dev_n, UINT32_MAX);
	assert_int_equal(fixed->pid, 77);
	assert_true(fixed->data == UINT64_MAX);
	assert_int_equal(fixed->flags, FSEVENTS_EVENT_TEST);
	assert_null(memmem(data, n, "path", 4));
	assert_null(memmem(data, n, "writers", 7));
	assert_non_null(memmem(data, n, "level", 5));
	assert_int_equal(details_validate(data + sizeof(*fixed), fixed->n_details), 0);
	for (size_t i = sizeof(*fixed) + fixed->n_details; i < n; i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(data[n], 0xee);

	for (size_t room = 0; room < n; room++) {
		uint8_t byte = data[0];

		assert_int_equal(record_put_event(data, room, &event, false), 0);
		assert_int_equal(data[0], byte);
	}
	assert_int_equal(record_put_event(data, n, &event, false), n);
}

static void test_largest(void **state)
{
	_cleanup_(event_deinit) struct event event = { .id = 1 };
	static char text[DETAILS_MAX];
	uint8_t data[RECORD_FRAME_MAX];
	struct record_reader reader = { .data = data };
	struct record record;

	memset(text, 'x', DETAILS_MAX - 9);
	assert_int_equal(details_add_string(&event.details, "k", text, 0), 0);
	reader.n_data = record_frame_event(data, sizeof(data), &event);
	assert_true(reader.n_data > 0);
	assert_true(record_reader_next(&reader, &record));
	expect_equal(&record.event, &event);
	assert_true(record_put_event(data, RECORD_MAX, &event, true) > 0);
}

static void test_other_stream_records(void **state)
{
	struct record_hello hello = {
		.since_id = 1,
		.oldest_id = 2,
		.newest_id = 3,
		.reset = true,
		.epoch = "0123456789abcdef0123456789abcdef and more than fits",
	};
	_Alignas(8) uint8_t data[256];
	const struct fsevents_hello *h = (const struct fsevents_hello *)data;
	const struct fsevents_lost *l = (const struct fsevents_lost *)data;
	const struct fsevents_amend *a = (const struct fsevents_amend *)data;

	assert_int_equal(record_put_hello(data, sizeof(*h) - 1, &hello), 0);
	assert_int_equal(record_put_hello(data, sizeof(data), &hello), sizeof(*h));
	assert_int_equal(h->record.kind, FSEVENTS_KIND_HELLO);
	assert_int_equal(h->record.size, sizeof(*h));
	assert_int_equal(h->since_id, 1);
	assert_int_equal(h->oldest_id, 2);
	assert_int_equal(h->newest_id, 3);
	assert_int_equal(h->flags, FSEVENTS_HELLO_RESET);
	assert_string_equal(h->epoch, "0123456789abcdef0123456789abcdef and mo");

	assert_int_equal(record_put_lost(data, 31, 5, 9, 0), 0);
	assert_int_equal(record_put_lost(data, sizeof(data), 5, 9, FSEVENTS_LOST_AMENDS),
			 sizeof(*l));
	assert_int_equal(l->record.kind, FSEVENTS_KIND_LOST);
	assert_int_equal(l->first_id, 5);
	assert_int_equal(l->last_id, 9);
	assert_int_equal(l->flags, FSEVENTS_LOST_AMENDS);

	assert_int_equal(record_put_amend(data, 31, 4, (const uint8_t *)"b\0\1\0\1\0\0\0k\1", 10),
			 0);
	assert_int_equal(record_put_amend(data, sizeof(data), 4,
					  (const uint8_t *)"b\0\1\0\1\0\0\0k\1", 10),
			 40);
	assert_int_equal(a->record.kind, FSEVENTS_KIND_AMEND);
	assert_int_equal(a->record.size, 40);
	assert_int_equal(a->n_details, 10);
	assert_int_equal(details_validate(data + 24, 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_round_trip),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_any_byte_damaged),
		cmocka_unit_test(test_torn_in_the_middle),
		cmocka_unit_test(test_sealed_nonsense),
		cmocka_unit_test(test_longer_header),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_stream_event),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_other_stream_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
