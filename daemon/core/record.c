/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/record.h"
#include "include/fsevents_stream.h"

/* A NUL among its bytes: no name that somebody chose can look like a frame. */
#define FRAME_MAGIC 0x00ce5346U
#define FRAME_VERSION 1

/* Later versions may have longer records, not frames of any length. */
#define FRAME_RECORD_MAX 16384U

#define FRAME_USER_MOUNT 1

struct frame {
	uint32_t magic;
	uint16_t version;
	uint16_t flags;
	uint32_t n_record;
	uint32_t crc;
	uint32_t cause_uid;
	uint32_t reserved;
};

#define IS(_a, _b) static_assert((unsigned int)(_a) == (unsigned int)(_b), #_a " is " #_b)

IS(sizeof(struct frame), 24);
IS(RECORD_MAX, sizeof(struct fsevents_event) + DETAILS_MAX + 64);
IS(RECORD_FRAME_MAX, sizeof(struct frame) + RECORD_MAX);
static_assert(RECORD_MAX <= FRAME_RECORD_MAX, "every record can be stored");
static_assert(RECORD_MAX <= FSEVENTS_PACKET_MAX, "every record can be sent");

/* The specification has structs without holes, alike on all machines. */
IS(sizeof(struct fsevents_record), 8);
IS(sizeof(struct fsevents_hello), 80);
IS(sizeof(struct fsevents_event), 64);
IS(sizeof(struct fsevents_amend), 24);
IS(sizeof(struct fsevents_lost), 32);
IS(sizeof(struct fsevents_detail), 8);

/* What is sent and stored as it is. */
IS(FSEVENTS_CODE_ENOSPC, EVENT_ENOSPC);
IS(FSEVENTS_CODE_ENOSPC_METADATA, EVENT_ENOSPC_METADATA);
IS(FSEVENTS_CODE_ENOSPC_INODES, EVENT_ENOSPC_INODES);
IS(FSEVENTS_CODE_THRESHOLD_BELOW, EVENT_THRESHOLD_BELOW);
IS(FSEVENTS_CODE_THRESHOLD_ABOVE, EVENT_THRESHOLD_ABOVE);
IS(FSEVENTS_CODE_READ_ONLY, EVENT_READ_ONLY);
IS(FSEVENTS_CODE_READ_WRITE, EVENT_READ_WRITE);
IS(FSEVENTS_CODE_CORRUPTED, EVENT_CORRUPTED);
IS(FSEVENTS_CODE_IO_ERROR, EVENT_IO_ERROR);
IS(FSEVENTS_CODE_WRITEBACK_ERROR, EVENT_WRITEBACK_ERROR);
IS(FSEVENTS_CODE_SHUTDOWN, EVENT_SHUTDOWN);
IS(FSEVENTS_CODE_FROZEN, EVENT_FROZEN);
IS(FSEVENTS_CODE_THAWED, EVENT_THAWED);
IS(FSEVENTS_CODE_MOUNTED, EVENT_MOUNTED);
IS(FSEVENTS_CODE_UNMOUNTED, EVENT_UNMOUNTED);
IS(FSEVENTS_CODE_STALLED, EVENT_STALLED);
IS(FSEVENTS_CODE_RESPONDING, EVENT_RESPONDING);
IS(FSEVENTS_SEVERITY_INFO, SEVERITY_INFO);
IS(FSEVENTS_SEVERITY_CRITICAL, SEVERITY_CRITICAL);
IS(FSEVENTS_SEVERITY_NOTICE, SEVERITY_NOTICE);
IS(FSEVENTS_SEVERITY_WARNING, SEVERITY_WARNING);
IS(FSEVENTS_DETAIL_PRIVATE, DETAIL_PRIVATE);
IS(_EVENT_CODE_N, FSEVENTS_CODE_RESPONDING + 1);

/* The usual CRC-32 (polynomial 0xedb88320), four bits at a time. */
static uint32_t crc32_add(uint32_t crc, const void *data, size_t n)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const uint8_t *p = data;

	crc = ~crc;
	while (n-- > 0) {
		crc ^= *p++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}

	return ~crc;
}

static size_t align8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static struct fsevents_record record_head(enum fsevents_kind kind, size_t n_fixed, size_t n)
{
	return (struct fsevents_record){
		.size = (uint32_t)align8(n),
		.header_size = (uint16_t)n_fixed,
		.kind = (uint16_t)kind,
	};
}

static size_t record_put(void *ret, size_t n_ret, const void *fixed, size_t n_fixed)
{
	assert(ret);

	if (n_ret < n_fixed)
		return 0;

	memcpy(ret, fixed, n_fixed);
	return n_fixed;
}

size_t record_put_hello(void *ret, size_t n_ret, const struct record_hello *hello)
{
	struct fsevents_hello fixed = {
		.record = record_head(FSEVENTS_KIND_HELLO, sizeof(fixed), sizeof(fixed)),
		.since_id = hello->since_id,
		.oldest_id = hello->oldest_id,
		.newest_id = hello->newest_id,
		.flags = hello->reset ? FSEVENTS_HELLO_RESET : 0,
	};

	if (hello->epoch)
		memcpy(fixed.epoch, hello->epoch, strnlen(hello->epoch, sizeof(fixed.epoch) - 1));

	return record_put(ret, n_ret, &fixed, sizeof(fixed));
}

size_t record_put_lost(void *ret, size_t n_ret, uint64_t first_id, uint64_t last_id, uint32_t flags)
{
	const struct fsevents_lost fixed = {
		.record = record_head(FSEVENTS_KIND_LOST, sizeof(fixed), sizeof(fixed)),
		.first_id = first_id,
		.last_id = last_id,
		.flags = flags,
	};

	return record_put(ret, n_ret, &fixed, sizeof(fixed));
}

static size_t details_length(const struct details *details, bool private)
{
	struct detail detail;
	size_t offset = 0, n = 0;

	if (private)
		return details->n_data;

	while (details_next(details->data, details->n_data, &offset, &detail) > 0)
		if (!(detail.flags & DETAIL_PRIVATE))
			n += detail_length(&detail);

	return n;
}

static void details_put(uint8_t *p, const struct details *details, bool private)
{
	struct detail detail;
	size_t offset = 0;

	if (private) {
		if (details->n_data > 0)
			memcpy(p, details->data, details->n_data);
		return;
	}

	while (details_next(details->data, details->n_data, &offset, &detail) > 0) {
		if (detail.flags & DETAIL_PRIVATE)
			continue;
		memcpy(p, detail_start(&detail), detail_length(&detail));
		p += detail_length(&detail);
	}
}

size_t record_put_event(void *ret, size_t n_ret, const struct event *event, bool private)
{
	size_t n_details = details_length(&event->details, private);
	const struct fsevents_event fixed = {
		.record =
			record_head(FSEVENTS_KIND_EVENT, sizeof(fixed), sizeof(fixed) + n_details),
		.id = event->id,
		.realtime_usec = event->realtime_us,
		.data = event->data,
		.code = event->code,
		.severity = event->severity,
		.dev_major = event->fs.major,
		.dev_minor = event->fs.minor,
		.dev_n = event->fs.n,
		.pid = event->pid,
		.flags = event->test ? FSEVENTS_EVENT_TEST : 0,
		.n_details = (uint32_t)n_details,
	};
	size_t n = fixed.record.size;

	assert(ret);

	if (n_ret < n)
		return 0;

	memset((uint8_t *)ret + n - 8, 0, 8);
	memcpy(ret, &fixed, sizeof(fixed));
	details_put((uint8_t *)ret + sizeof(fixed), &event->details, private);
	return n;
}

size_t record_put_amend(void *ret, size_t n_ret, uint64_t id, const uint8_t *details,
			size_t n_details)
{
	const struct fsevents_amend fixed = {
		.record =
			record_head(FSEVENTS_KIND_AMEND, sizeof(fixed), sizeof(fixed) + n_details),
		.id = id,
		.n_details = (uint32_t)n_details,
	};
	size_t n = fixed.record.size;

	assert(ret);
	assert(n_details <= DETAILS_MAX);

	if (n_ret < n)
		return 0;

	memset((uint8_t *)ret + n - 8, 0, 8);
	memcpy(ret, &fixed, sizeof(fixed));
	if (n_details > 0)
		memcpy((uint8_t *)ret + sizeof(fixed), details, n_details);
	return n;
}

/* ----------------------------------------------------------- state file */

static uint32_t frame_crc(const struct frame *frame, const uint8_t *record)
{
	struct frame without = *frame;
	uint32_t crc;

	without.crc = 0;
	crc = crc32_add(0, &without, sizeof(without));
	return crc32_add(crc, record, frame->n_record);
}

/* The record is in place behind the room for its frame. */
static size_t frame_seal(uint8_t *ret, size_t n_record, struct frame frame)
{
	if (n_record == 0)
		return 0;

	frame.magic = FRAME_MAGIC;
	frame.version = FRAME_VERSION;
	frame.n_record = (uint32_t)n_record;
	frame.crc = frame_crc(&frame, ret + sizeof(frame));
	memcpy(ret, &frame, sizeof(frame));
	return sizeof(frame) + n_record;
}

size_t record_frame_event(void *ret, size_t n_ret, const struct event *event)
{
	const struct frame frame = {
		.flags = event->user_mount ? FRAME_USER_MOUNT : 0,
		.cause_uid = event->cause_uid,
	};
	uint8_t *p = ret;

	assert(ret);

	if (n_ret < sizeof(frame))
		return 0;

	return frame_seal(
		p, record_put_event(p + sizeof(frame), n_ret - sizeof(frame), event, true), frame);
}

size_t record_frame_amend(void *ret, size_t n_ret, uint64_t id, const uint8_t *details,
			  size_t n_details)
{
	const struct frame frame = {};
	uint8_t *p = ret;

	assert(ret);

	if (n_ret < sizeof(frame))
		return 0;

	return frame_seal(p,
			  record_put_amend(p + sizeof(frame), n_ret - sizeof(frame), id, details,
					   n_details),
			  frame);
}

/* Borrowed: nobody writes through it. */
static bool details_borrow(struct details *ret, const uint8_t *record,
			   const struct fsevents_record *head, uint32_t n_details)
{
	const uint8_t *data = record + head->header_size;

	if (n_details > head->size - head->header_size)
		return false;
	if (details_validate(data, n_details) < 0)
		return false;

	*ret = (struct details){ .data = (uint8_t *)(uintptr_t)data, .n_data = n_details };
	return true;
}

static bool decode_event(struct record *ret, const uint8_t *record,
			 const struct fsevents_record *head, const struct frame *frame)
{
	struct fsevents_event fixed;

	if (head->header_size < sizeof(fixed))
		return false;

	memcpy(&fixed, record, sizeof(fixed));
	if (fixed.id == 0 || fixed.code >= _EVENT_CODE_N || fixed.severity >= _SEVERITY_N)
		return false;

	*ret = (struct record){
		.kind = RECORD_EVENT,
		.id = fixed.id,
		.event = {
			.id = fixed.id,
			.realtime_us = fixed.realtime_usec,
			.code = (enum event_code)fixed.code,
			.severity = (enum event_severity)fixed.severity,
			.fs = { fixed.dev_major, fixed.dev_minor, fixed.dev_n },
			.pid = fixed.pid,
			.data = fixed.data,
			.cause_uid = frame->cause_uid,
			.user_mount = frame->flags & FRAME_USER_MOUNT,
			.test = fixed.flags & FSEVENTS_EVENT_TEST,
		},
	};
	return details_borrow(&ret->event.details, record, head, fixed.n_details);
}

static bool decode_amend(struct record *ret, const uint8_t *record,
			 const struct fsevents_record *head)
{
	struct fsevents_amend fixed;

	if (head->header_size < sizeof(fixed))
		return false;

	memcpy(&fixed, record, sizeof(fixed));
	if (fixed.id == 0)
		return false;

	*ret = (struct record){ .kind = RECORD_AMEND, .id = fixed.id };
	return details_borrow(&ret->more, record, head, fixed.n_details);
}

/* A whole frame, to be made sense of. */
static bool frame_decode(struct record *ret, const struct frame *frame, const uint8_t *record)
{
	struct fsevents_record head;

	if (frame->version != FRAME_VERSION || frame->n_record < sizeof(head))
		return false;

	memcpy(&head, record, sizeof(head));
	if (head.size != frame->n_record || head.header_size > head.size)
		return false;

	if (head.kind == FSEVENTS_KIND_EVENT)
		return decode_event(ret, record, &head, frame);
	if (head.kind == FSEVENTS_KIND_AMEND)
		return decode_amend(ret, record, &head);

	return false;
}

/* Return: the length of the whole frame at @p, 0 where there is none. */
static size_t frame_length(const uint8_t *p, size_t n, struct frame *ret)
{
	if (n < sizeof(*ret))
		return 0;

	memcpy(ret, p, sizeof(*ret));
	if (ret->magic != FRAME_MAGIC || ret->n_record > FRAME_RECORD_MAX || ret->n_record % 8)
		return 0;
	if (ret->n_record > n - sizeof(*ret) || ret->crc != frame_crc(ret, p + sizeof(*ret)))
		return 0;

	return sizeof(*ret) + ret->n_record;
}

bool record_reader_next(struct record_reader *reader, struct record *ret)
{
	assert(reader);
	assert(reader->data || reader->n_data == 0);
	assert(ret);

	while (reader->offset < reader->n_data) {
		const uint8_t *p = reader->data + reader->offset;
		struct record record;
		struct frame frame;
		size_t n;

		n = frame_length(p, reader->n_data - reader->offset, &frame);
		if (n == 0) {
			/* By bytes: a file that was cut may have lost its alignment. */
			reader->offset++;
			reader->n_damaged++;
			continue;
		}

		reader->offset += n;
		reader->n_whole = reader->offset;
		if (frame_decode(&record, &frame, p + sizeof(frame))) {
			*ret = record;
			return true;
		}
		reader->n_foreign++;
	}

	return false;
}
