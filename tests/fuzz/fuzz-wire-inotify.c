/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The decoder of inotify: the input is what one read() gave. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-inotify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void check_handle(const struct handle_view *handle, const uint8_t *begin, const uint8_t *end)
{
	assert(handle->n <= HANDLE_MAX);
	if (handle->n == 0)
		return;
	assert(handle->bytes >= begin && handle->bytes <= end);
	assert(handle->n <= (size_t)(end - handle->bytes));
	sink = handle_inode(handle) + handle_hash(handle);
}

static void check_name(const struct file_name *name)
{
	assert(name->name);
	assert(strlen(name->name) == name->n_name);
	assert(!strchr(name->name, '/'));
	assert(strcmp(name->name, ".") != 0 && strcmp(name->name, "..") != 0);
}

static void check_event(const struct file_event *event, const uint8_t *begin, const uint8_t *end)
{
	check_name(&event->at);
	check_name(&event->to);
	check_handle(&event->at.dir, begin, end);
	check_handle(&event->to.dir, begin, end);
	check_handle(&event->target, begin, end);
	assert(event->pid >= 0);
	assert(!event->overflow || (event->mask == 0 && event->at.dir.n == 0 &&
				    event->to.dir.n == 0 && event->target.n == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ?: 1);
	struct file_event event;
	size_t offset = 0, before;
	int r;

	/* An exact-size copy, so that a read one byte too far is seen. */
	assert(copy);
	memcpy(copy, data, size);

	do {
		before = offset;
		r = inotify_event_next(copy, size, &offset, &event);
		assert(r == 1 || r == 0 || r == -EBADMSG);
		assert(offset <= size);
		assert(r == 1 ? offset > before : r == 0 || offset == before);
		if (r == 1)
			check_event(&event, copy, copy + size);
	} while (r == 1);
	assert(r != 0 || offset == size);

	free(copy);
	return 0;
}
