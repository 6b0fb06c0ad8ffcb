/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Flat buffers
 *
 * Numbers and byte strings one after the other, in native endianness and
 * unaligned: what a job's request and reply are made of. The writer notes a
 * failure and goes on without effect, so that it is asked about once, at the
 * end; the reader trusts no length, gives views into the buffer, and after
 * the first fault gives nothing but zeros.
 *
 * A string is a u32 length and that many bytes; the length FLAT_NULL stands
 * for no string at all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLAT_NULL UINT32_MAX

struct flat_writer {
	uint8_t *data; /* owned until flat_writer_finish() */
	size_t n, size;
	bool failed; /* no memory, or a string too long for a u32 */
};

void flat_writer_deinit(struct flat_writer *writer);
void flat_put_u32(struct flat_writer *writer, uint32_t value);
void flat_put_u64(struct flat_writer *writer, uint64_t value);
void flat_put_bytes(struct flat_writer *writer, const void *bytes, size_t n); /* NULL: FLAT_NULL */
void flat_put_raw(struct flat_writer *writer, const void *bytes, size_t n); /* without a length */
void flat_put_string(struct flat_writer *writer, const char *text); /* without its NUL */

/** flat_writer_finish() - hand the buffer over, to be freed; Return: 0 or -ENOMEM */
int flat_writer_finish(struct flat_writer *writer, void **ret, size_t *ret_n);

struct flat_reader {
	const uint8_t *p;
	size_t n; /* what is left */
	bool failed;
};

uint32_t flat_get_u32(struct flat_reader *reader);
uint64_t flat_get_u64(struct flat_reader *reader);

/**
 * flat_get_bytes() - a string as a view
 * @ret_n:	its length; 0 for none
 *
 * Return: its bytes, NULL for none or after a fault.
 */
const uint8_t *flat_get_bytes(struct flat_reader *reader, size_t *ret_n);

/**
 * flat_get_string() - a string as a new NUL-terminated copy
 * @ret:	NULL for none
 *
 * Return: 0, -EBADMSG (also for a NUL within), -ENOMEM.
 */
int flat_get_string(struct flat_reader *reader, char **ret);

/**
 * flat_get_count() - the number of items that follow
 * @n_item:	bytes of the smallest item; a number that cannot fit into what
 *		is left is a fault, so that memory may be taken for it
 */
size_t flat_get_count(struct flat_reader *reader, size_t n_item);

/** flat_reader_done() - all was well, and nothing is left */
bool flat_reader_done(const struct flat_reader *reader);
