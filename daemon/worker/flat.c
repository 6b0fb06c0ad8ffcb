/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/flat.h"

void flat_writer_deinit(struct flat_writer *writer)
{
	free(writer->data);
	*writer = (struct flat_writer){};
}

static void put(struct flat_writer *writer, const void *bytes, size_t n)
{
	size_t size = writer->size ? writer->size : 256;
	uint8_t *data;

	if (writer->failed || n > SIZE_MAX / 4 - writer->n) {
		writer->failed = true;
		return;
	}

	while (size < writer->n + n)
		size *= 2;
	if (size > writer->size) {
		data = realloc(writer->data, size);
		if (!data) {
			writer->failed = true;
			return;
		}
		writer->data = data;
		writer->size = size;
	}

	if (n > 0)
		memcpy(writer->data + writer->n, bytes, n);
	writer->n += n;
}

void flat_put_u32(struct flat_writer *writer, uint32_t value)
{
	assert(writer);

	put(writer, &value, sizeof(value));
}

void flat_put_u64(struct flat_writer *writer, uint64_t value)
{
	assert(writer);

	put(writer, &value, sizeof(value));
}

void flat_put_bytes(struct flat_writer *writer, const void *bytes, size_t n)
{
	assert(writer);

	if (!bytes) {
		flat_put_u32(writer, FLAT_NULL);
		return;
	}
	if (n >= FLAT_NULL) {
		writer->failed = true;
		return;
	}

	flat_put_u32(writer, (uint32_t)n);
	put(writer, bytes, n);
}

void flat_put_raw(struct flat_writer *writer, const void *bytes, size_t n)
{
	assert(writer);

	put(writer, bytes, n);
}

void flat_put_string(struct flat_writer *writer, const char *text)
{
	flat_put_bytes(writer, text, text ? strlen(text) : 0);
}

int flat_writer_finish(struct flat_writer *writer, void **ret, size_t *ret_n)
{
	assert(writer && ret && ret_n);

	/* an empty message is a buffer too */
	put(writer, NULL, 0);
	if (writer->failed)
		return -ENOMEM;

	*ret_n = writer->n;
	*ret = TAKE_PTR(writer->data);
	*writer = (struct flat_writer){};
	return 0;
}

static const uint8_t *get(struct flat_reader *reader, size_t n)
{
	const uint8_t *p = reader->p;

	if (reader->failed || n > reader->n) {
		reader->failed = true;
		return NULL;
	}

	reader->p += n;
	reader->n -= n;
	return p;
}

uint32_t flat_get_u32(struct flat_reader *reader)
{
	const uint8_t *p;
	uint32_t value;

	assert(reader);

	p = get(reader, sizeof(value));
	if (!p)
		return 0;

	memcpy(&value, p, sizeof(value));
	return value;
}

uint64_t flat_get_u64(struct flat_reader *reader)
{
	const uint8_t *p;
	uint64_t value;

	assert(reader);

	p = get(reader, sizeof(value));
	if (!p)
		return 0;

	memcpy(&value, p, sizeof(value));
	return value;
}

const uint8_t *flat_get_bytes(struct flat_reader *reader, size_t *ret_n)
{
	const uint8_t *p;
	uint32_t n;

	assert(ret_n);

	*ret_n = 0;
	n = flat_get_u32(reader);
	if (reader->failed || n == FLAT_NULL)
		return NULL;

	p = get(reader, n);
	if (p)
		*ret_n = n;
	return p;
}

int flat_get_string(struct flat_reader *reader, char **ret)
{
	const uint8_t *bytes;
	char *text;
	size_t n;

	assert(ret);

	bytes = flat_get_bytes(reader, &n);
	if (!bytes) {
		if (reader->failed)
			return -EBADMSG;
		*ret = NULL;
		return 0;
	}
	if (n > 0 && memchr(bytes, '\0', n)) {
		reader->failed = true;
		return -EBADMSG;
	}

	text = malloc(n + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, bytes, n);
	text[n] = '\0';
	*ret = text;
	return 0;
}

size_t flat_get_count(struct flat_reader *reader, size_t n_item)
{
	uint32_t n;

	assert(n_item > 0);

	n = flat_get_u32(reader);
	if (n > reader->n / n_item) {
		reader->failed = true;
		return 0;
	}

	return n;
}

bool flat_reader_done(const struct flat_reader *reader)
{
	assert(reader);

	return !reader->failed && reader->n == 0;
}
