/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/details.h"

#define DETAIL_HEADER 8 /* type, flags, n_key, n_value */
#define WRITER_HEADER 14 /* pid, bytes, n */

void details_deinit(struct details *details)
{
	assert(details);

	free(details->data);
	*details = (struct details){};
}

static int details_reserve(struct details *details, size_t n)
{
	uint8_t *data;

	if (n > DETAILS_MAX - details->n_data)
		return -E2BIG;

	/* Exact: there are thousands of them in the history, and few additions to each. */
	data = realloc(details->data, details->n_data + n);
	if (!data)
		return -ENOMEM;

	details->data = data;
	return 0;
}

/* Room for one pair, its header and key written; the value is for the caller to fill. */
static int details_add(struct details *details, uint8_t **ret_value, enum detail_type type,
		       unsigned int flags, const char *key, size_t n_value)
{
	uint8_t type_byte = (uint8_t)type, flags_byte = (uint8_t)flags;
	size_t n_key = strlen(key);
	uint16_t n_key_field = (uint16_t)n_key;
	uint32_t n_value_field = (uint32_t)n_value;
	uint8_t *p;
	int r;

	assert(details);
	assert(n_key > 0 && n_key <= DETAIL_KEY_MAX);
	assert(!(flags & ~(unsigned int)DETAIL_PRIVATE));

	if (n_value > DETAILS_MAX)
		return -E2BIG;

	r = details_reserve(details, DETAIL_HEADER + n_key + n_value);
	if (r < 0)
		return r;

	p = details->data + details->n_data;
	memcpy(p, &type_byte, 1);
	memcpy(p + 1, &flags_byte, 1);
	memcpy(p + 2, &n_key_field, 2);
	memcpy(p + 4, &n_value_field, 4);
	memcpy(p + DETAIL_HEADER, key, n_key);

	details->n_data += DETAIL_HEADER + n_key + n_value;
	*ret_value = p + DETAIL_HEADER + n_key;
	return 0;
}

static int details_add_value(struct details *details, enum detail_type type, unsigned int flags,
			     const char *key, const void *value, size_t n_value)
{
	uint8_t *p;
	int r;

	r = details_add(details, &p, type, flags, key, n_value);
	if (r < 0)
		return r;

	if (n_value > 0)
		memcpy(p, value, n_value);

	return 0;
}

int details_add_string(struct details *details, const char *key, const char *value,
		       unsigned int flags)
{
	assert(value);

	return details_add_value(details, DETAIL_STRING, flags, key, value, strlen(value));
}

int details_add_bytes(struct details *details, const char *key, const void *value, size_t n_value,
		      unsigned int flags)
{
	assert(value || n_value == 0);

	return details_add_value(details, DETAIL_BYTES, flags, key, value, n_value);
}

int details_add_u32(struct details *details, const char *key, uint32_t value, unsigned int flags)
{
	return details_add_value(details, DETAIL_U32, flags, key, &value, sizeof(value));
}

int details_add_u64(struct details *details, const char *key, uint64_t value, unsigned int flags)
{
	return details_add_value(details, DETAIL_U64, flags, key, &value, sizeof(value));
}

int details_add_i32(struct details *details, const char *key, int32_t value, unsigned int flags)
{
	return details_add_value(details, DETAIL_I32, flags, key, &value, sizeof(value));
}

int details_add_bool(struct details *details, const char *key, bool value, unsigned int flags)
{
	uint8_t byte = value;

	return details_add_value(details, DETAIL_BOOL, flags, key, &byte, sizeof(byte));
}

int details_add_writers(struct details *details, const char *key,
			const struct detail_writer *writers, size_t n_writers, unsigned int flags)
{
	size_t n = 0;
	uint8_t *p;
	int r;

	assert(writers || n_writers == 0);

	for (size_t i = 0; i < n_writers && n <= DETAILS_MAX; i++)
		n += WRITER_HEADER + strnlen(writers[i].comm, sizeof(writers[i].comm) - 1);

	r = details_add(details, &p, DETAIL_WRITERS, flags, key, n);
	if (r < 0)
		return r;

	for (size_t i = 0; i < n_writers; i++) {
		uint16_t n_comm = (uint16_t)strnlen(writers[i].comm, sizeof(writers[i].comm) - 1);

		memcpy(p, &writers[i].pid, 4);
		memcpy(p + 4, &writers[i].bytes, 8);
		memcpy(p + 12, &n_comm, 2);
		memcpy(p + WRITER_HEADER, writers[i].comm, n_comm);
		p += WRITER_HEADER + n_comm;
	}

	return 0;
}

static bool type_is_known(uint8_t type)
{
	switch ((enum detail_type)type) {
	case DETAIL_STRING:
	case DETAIL_BYTES:
	case DETAIL_WRITERS:
	case DETAIL_U32:
	case DETAIL_I32:
	case DETAIL_U64:
	case DETAIL_BOOL:
		return true;
	}

	return false;
}

static bool detail_type_fits(enum detail_type type, const uint8_t *value, size_t n_value)
{
	switch (type) {
	case DETAIL_STRING:
	case DETAIL_BYTES:
	case DETAIL_WRITERS:
		return true;
	case DETAIL_U32:
	case DETAIL_I32:
		return n_value == 4;
	case DETAIL_U64:
		return n_value == 8;
	case DETAIL_BOOL:
		return n_value == 1 && value[0] <= 1;
	}

	return false;
}

/* As details_next(), of any type. @p has a byte at least. */
static int detail_read(const uint8_t *p, size_t n, struct detail *ret)
{
	uint32_t n_value;
	uint16_t n_key;

	if (n < DETAIL_HEADER)
		return -EBADMSG;

	memcpy(&n_key, p + 2, 2);
	memcpy(&n_value, p + 4, 4);
	if (n_key == 0 || n_key > DETAIL_KEY_MAX || n_key > n - DETAIL_HEADER)
		return -EBADMSG;
	if (n_value > n - DETAIL_HEADER - n_key)
		return -EBADMSG;

	*ret = (struct detail){
		.type = (enum detail_type)p[0],
		.flags = p[1],
		.key = (const char *)p + DETAIL_HEADER,
		.n_key = n_key,
		.value = p + DETAIL_HEADER + n_key,
		.n_value = n_value,
	};
	return 0;
}

int details_next(const uint8_t *data, size_t n_data, size_t *offset, struct detail *ret)
{
	struct detail detail;
	size_t at;

	assert(data || n_data == 0);
	assert(offset);
	assert(ret);

	for (at = *offset; at < n_data; at += detail_length(&detail)) {
		if (detail_read(data + at, n_data - at, &detail) < 0)
			return -EBADMSG;
		if (!type_is_known((uint8_t)detail.type))
			continue;
		if (!detail_type_fits(detail.type, detail.value, detail.n_value))
			return -EBADMSG;

		*offset = at + detail_length(&detail);
		*ret = detail;
		return 1;
	}

	*offset = at;
	return 0;
}

const uint8_t *detail_start(const struct detail *detail)
{
	assert(detail);

	return (const uint8_t *)detail->key - DETAIL_HEADER;
}

size_t detail_length(const struct detail *detail)
{
	assert(detail);

	return DETAIL_HEADER + detail->n_key + detail->n_value;
}

/*
 * One character of UTF-8 as libsystemd accepts it: no NUL, no overlong form, no
 * surrogate, nothing past U+10FFFF, no noncharacter. Return: its bytes, 0 for none.
 */
static size_t utf8_character(const uint8_t *p, size_t n)
{
	static const uint32_t smallest[] = { 0, 1, 0x80, 0x800, 0x10000 };
	uint32_t c;
	size_t n_bytes;

	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] < 0xc0 || p[0] >= 0xf8)
		return 0;

	n_bytes = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (n_bytes > n)
		return 0;

	c = p[0] & (0x7fU >> n_bytes);
	for (size_t i = 1; i < n_bytes; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}

	if (c < smallest[n_bytes] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	if ((c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe)
		return 0;

	return n_bytes;
}

static bool utf8_is_valid(const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t n_bytes = utf8_character(p, n);

		if (n_bytes == 0)
			return false;
		p += n_bytes;
		n -= n_bytes;
	}

	return true;
}

static bool key_is_valid(const char *key, size_t n_key)
{
	for (size_t i = 0; i < n_key; i++) {
		bool letter = key[i] >= 'a' && key[i] <= 'z';
		bool digit = key[i] >= '0' && key[i] <= '9';

		if (!letter && !digit && key[i] != '-')
			return false;
	}

	return true;
}

static bool writers_are_valid(const struct detail *detail)
{
	struct detail_writer writer;
	size_t offset = 0;
	int r;

	/* detail_writer_next() checks the text too: it copies it. */
	do
		r = detail_writer_next(detail, &offset, &writer);
	while (r > 0);

	return r == 0;
}

static bool detail_is_valid(const struct detail *detail)
{
	if (detail->flags & ~(unsigned int)DETAIL_PRIVATE ||
	    !key_is_valid(detail->key, detail->n_key))
		return false;

	switch (detail->type) {
	case DETAIL_STRING:
		return utf8_is_valid(detail->value, detail->n_value);
	case DETAIL_BYTES:
		/* ay with a NUL at its end only. */
		return !memchr(detail->value, 0, detail->n_value);
	case DETAIL_WRITERS:
		return writers_are_valid(detail);
	case DETAIL_U32:
	case DETAIL_U64:
	case DETAIL_I32:
	case DETAIL_BOOL:
		return true;
	}

	return false;
}

int details_validate(const uint8_t *data, size_t n_data)
{
	struct detail detail;
	size_t offset = 0;
	int r;

	if (n_data > DETAILS_MAX)
		return -EBADMSG;

	while ((r = details_next(data, n_data, &offset, &detail)) > 0)
		if (!detail_is_valid(&detail))
			return -EBADMSG;

	return r;
}

int details_append(struct details *details, const uint8_t *data, size_t n_data, bool private)
{
	size_t offset = 0, n = 0;
	struct detail detail;
	uint8_t *p;
	int r;

	assert(details);

	while (details_next(data, n_data, &offset, &detail) > 0)
		if (private || !(detail.flags & DETAIL_PRIVATE))
			n += detail_length(&detail);

	if (n == 0)
		return 0;

	r = details_reserve(details, n);
	if (r < 0)
		return r;

	p = details->data + details->n_data;
	for (offset = 0; details_next(data, n_data, &offset, &detail) > 0;) {
		if (!private && (detail.flags & DETAIL_PRIVATE))
			continue;
		memcpy(p, detail_start(&detail), detail_length(&detail));
		p += detail_length(&detail);
	}

	details->n_data += n;
	return 0;
}

bool detail_is(const struct detail *detail, const char *key)
{
	size_t n_key = strlen(key);

	assert(detail);

	return detail->n_key == n_key && memcmp(detail->key, key, n_key) == 0;
}

bool details_find(const struct details *details, const char *key, struct detail *ret)
{
	struct detail detail;
	size_t offset = 0;

	assert(details);
	assert(key);
	assert(ret);

	while (details_next(details->data, details->n_data, &offset, &detail) > 0) {
		if (!detail_is(&detail, key))
			continue;
		*ret = detail;
		return true;
	}

	return false;
}

uint32_t detail_u32(const struct detail *detail)
{
	uint32_t value;

	assert(detail);
	assert(detail->n_value == sizeof(value));

	memcpy(&value, detail->value, sizeof(value));
	return value;
}

uint64_t detail_u64(const struct detail *detail)
{
	uint64_t value;

	assert(detail);
	assert(detail->n_value == sizeof(value));

	memcpy(&value, detail->value, sizeof(value));
	return value;
}

int detail_writer_next(const struct detail *detail, size_t *offset, struct detail_writer *ret)
{
	struct detail_writer writer = {};
	const uint8_t *p;
	uint16_t n_comm;
	size_t n;

	assert(detail);
	assert(detail->type == DETAIL_WRITERS);
	assert(offset);
	assert(ret);

	if (*offset >= detail->n_value)
		return 0;

	p = detail->value + *offset;
	n = detail->n_value - *offset;
	if (n < WRITER_HEADER)
		return -EBADMSG;

	memcpy(&writer.pid, p, 4);
	memcpy(&writer.bytes, p + 4, 8);
	memcpy(&n_comm, p + 12, 2);
	if (n_comm >= sizeof(writer.comm) || n_comm > n - WRITER_HEADER)
		return -EBADMSG;
	if (!utf8_is_valid(p + WRITER_HEADER, n_comm))
		return -EBADMSG;

	memcpy(writer.comm, p + WRITER_HEADER, n_comm);
	*ret = writer;
	*offset += WRITER_HEADER + n_comm;
	return 1;
}
