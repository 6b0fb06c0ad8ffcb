/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What holds for every event of a file, whoever told it; include <assert.h> before.
 */

#include <string.h>

#include "daemon/core/wire-file.h"

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

/* The handles lie in what it was read from. */
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
