/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The decoder of fanotify's file events: the input is what one read() gave. */

#undef NDEBUG
#include <assert.h>

#include "daemon/core/wire-file.h"
#include "tests/fuzz/file-event-check.h"
#include "tests/fuzz/input.h"

static int next(const uint8_t *buffer, size_t n_buffer, size_t *offset)
{
	size_t before = *offset;
	struct file_event event;
	int r;

	r = file_event_next(buffer, n_buffer, offset, &event);
	assert(r == 1 || *offset == before);
	if (r == 1)
		check_event(&event, buffer, buffer + n_buffer);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input_read(data, size, next);
	return 0;
}
