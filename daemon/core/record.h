/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Records
 *
 * An event as flat bytes. In a stream it is a record of fsevents_stream.h; in
 * the state file the same record stands inside a frame with a checksum, and
 * with what only the daemon needs to know of it:
 *
 *	u32 magic, u16 version, u16 flags, u32 n_record, u32 crc,
 *	u32 cause_uid, u32 reserved, then the record
 *
 * all of it a multiple of 8 bytes long, in native endianness. The CRC-32 is
 * over everything but itself. A file is any number of frames; it may end
 * anywhere and have damage anywhere, and what is whole is still found.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"

/* Room that always suffices for one record, and for one frame. */
#define RECORD_MAX (128 + DETAILS_MAX)
#define RECORD_FRAME_MAX (24 + RECORD_MAX)

struct record_hello {
	uint64_t since_id, oldest_id, newest_id;
	bool reset;
	const char *epoch; /* at most 39 bytes count */
};

/*
 * Stream records. Written to @ret if they fit into @n_ret bytes.
 * Return: bytes written, a multiple of 8, or 0: no room, nothing was written.
 */
size_t record_put_hello(void *ret, size_t n_ret, const struct record_hello *hello);
/* @private: with the private details */
size_t record_put_event(void *ret, size_t n_ret, const struct event *event, bool private);
size_t record_put_amend(void *ret, size_t n_ret, uint64_t id, const uint8_t *details,
			size_t n_details);
/* @flags: FSEVENTS_LOST_... */
size_t record_put_lost(void *ret, size_t n_ret, uint64_t first_id, uint64_t last_id,
		       uint32_t flags);

/*
 * The same as frames of the state file, always with private details.
 * Return: as above.
 */
size_t record_frame_event(void *ret, size_t n_ret, const struct event *event);
size_t record_frame_amend(void *ret, size_t n_ret, uint64_t id, const uint8_t *details,
			  size_t n_details);

enum record_kind {
	RECORD_EVENT,
	RECORD_AMEND,
};

/* One frame decoded; checked in every respect, details_validate() included. */
struct record {
	enum record_kind kind;
	uint64_t id;
	struct event event; /* RECORD_EVENT; ->details is borrowed from the file's
				 * bytes: event_copy() it, never event_deinit() it.
				 * ->fs names what it named in the run that wrote it. */
	struct details more; /* RECORD_AMEND; borrowed likewise */
};

/* Walks the bytes of a state file; start with { .data = ..., .n_data = ... }. */
struct record_reader {
	const uint8_t *data;
	size_t n_data;
	size_t offset;
	size_t n_whole; /* bytes up to the end of the last whole frame: append there */
	uint64_t n_damaged; /* bytes that are part of no whole frame, so far */
	uint64_t n_foreign; /* whole frames of a later version, or that make no sense */
};

/**
 * record_reader_next() - the next good frame
 *
 * Return: true with @ret, false at the end.
 */
bool record_reader_next(struct record_reader *reader, struct record *ret);
