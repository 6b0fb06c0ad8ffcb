/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The decoder of fanotify's errors: the input is what one read() gave. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-fanotify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct fanotify_error *error)
{
	if (error->overflow)
		return;

	assert(error->error >= 0);
	assert(error->count >= 1);
	assert(error->pid >= 0);
	assert(error->n_handle <= FANOTIFY_HANDLE_MAX);
	assert(!error->has_handle || error->n_handle > 0);
	assert(!error->has_inode || (error->has_handle && error->inode != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ?: 1);
	struct fanotify_error error;
	size_t offset = 0, before;
	int r;

	/* An exact-size copy, so that a read one byte too far is seen. */
	assert(copy);
	memcpy(copy, data, size);

	do {
		before = offset;
		r = fanotify_error_next(copy, size, &offset, &error);
		assert(r == 1 || r == 0 || r == -EBADMSG);
		assert(offset <= size);
		if (r == 1) {
			assert(offset > before);
			check_error(&error);
		}
	} while (r == 1);
	assert(r != 0 || offset == size);

	free(copy);
	return 0;
}
