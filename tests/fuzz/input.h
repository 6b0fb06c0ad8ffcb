/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The input of a fuzzer; include after #undef NDEBUG.
 */

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of exactly its size, so that a read one byte too far is seen. To be freed. */
static inline void *input_copy(const uint8_t *data, size_t size)
{
	void *copy = malloc(size ?: 1);

	assert(copy);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

/* Decodes what is next in a buffer, and checks it. */
typedef int (*input_next_fn)(const uint8_t *buffer, size_t n_buffer, size_t *offset);

/* As what one read() gave: one after the other, to the end or to what is malformed. */
static inline void input_read(const uint8_t *data, size_t size, input_next_fn next)
{
	uint8_t *copy = input_copy(data, size);
	size_t offset = 0, before;
	int r;

	do {
		before = offset;
		r = next(copy, size, &offset);
		assert(r == 1 || r == 0 || r == -EBADMSG);
		assert(offset >= before && offset <= size);
		assert(r != 1 || offset > before);
	} while (r == 1);
	assert(r != 0 || offset == size);

	free(copy);
}
