/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The decoder of fanotify's errors: the input is what one read() gave. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-fanotify.h"
#include "tests/fuzz/input.h"

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

static int next(const uint8_t *buffer, size_t n_buffer, size_t *offset)
{
	struct fanotify_error error;
	int r;

	r = fanotify_error_next(buffer, n_buffer, offset, &error);
	if (r == 1)
		check_error(&error);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input_read(data, size, next);
	return 0;
}
