/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The state file's decoder. Checksums stop a fuzzer at the first bit, so the
 * input is used twice: as a file, and cut into records that are put into
 * sealed frames: u16 length, then as many bytes. What comes out must survive
 * being written and read again.
 */

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/record.h"
#include "tests/fuzz/input.h"

#define FILE_MAX (1 << 18)

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

static void check_event(const struct record *record)
{
	static uint8_t again[RECORD_FRAME_MAX];
	struct record_reader reader = { .data = again };
	struct event public;
	struct detail detail;
	size_t offset = 0;
	struct record second;

	assert(record->id > 0 && record->event.id == record->id);
	assert((unsigned int)record->event.code < _EVENT_CODE_N);
	assert((unsigned int)record->event.severity < _SEVERITY_N);
	assert(details_validate(record->event.details.data, record->event.details.n_data) == 0);

	reader.n_data = record_frame_event(again, sizeof(again), &record->event);
	assert(reader.n_data > 0);
	assert(record_reader_next(&reader, &second));
	assert(second.event.details.n_data == record->event.details.n_data);
	assert(second.event.cause_uid == record->event.cause_uid);

	assert(event_copy(&public, &record->event, false) == 0);
	while (details_next(public.details.data, public.details.n_data, &offset, &detail) > 0)
		assert(!(detail.flags & DETAIL_PRIVATE));
	event_deinit(&public);
}

static unsigned int read_file(const uint8_t *data, size_t n)
{
	struct record_reader reader = { .data = data, .n_data = n };
	unsigned int n_records = 0;
	struct record record;
	uint8_t *copy = input_copy(data, n);

	reader.data = copy;

	while (record_reader_next(&reader, &record)) {
		if (record.kind == RECORD_EVENT)
			check_event(&record);
		else
			assert(details_validate(record.more.data, record.more.n_data) == 0);
		n_records++;
	}

	assert(reader.offset == n && reader.n_whole <= n && reader.n_damaged <= n);
	free(copy);
	return n_records;
}

/* One sealed frame around @record. Return: its length. */
static size_t put_frame(uint8_t *ret, const uint8_t *record, size_t n_record)
{
	static const uint32_t magic = 0x00ce5346;
	static const uint16_t version = 1;
	uint32_t n = (uint32_t)((n_record + 7) & ~(size_t)7), crc;

	memset(ret, 0, 24 + n);
	memcpy(ret, &magic, 4);
	memcpy(ret + 4, &version, 2);
	memcpy(ret + 8, &n, 4);
	memcpy(ret + 24, record, n_record);
	if (n_record >= 4)
		/* a size that fits, so that the fuzzer gets past it */
		memcpy(ret + 24, &n, 4);
	crc = crc32(ret, 24 + n);
	memcpy(ret + 12, &crc, 4);
	return 24 + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[FILE_MAX];
	size_t n_file = 0;

	read_file(data, size);

	while (size >= 2) {
		uint16_t n;

		memcpy(&n, data, 2);
		data += 2;
		size -= 2;
		if (n > size)
			n = (uint16_t)size;
		if (24 + (size_t)n + 8 > FILE_MAX - n_file || n > 16000)
			break;
		n_file += put_frame(file + n_file, data, n);
		data += n;
		size -= n;
	}

	read_file(file, n_file);
	return 0;
}
