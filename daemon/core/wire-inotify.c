/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <linux/inotify.h>
#include <string.h>

#include "daemon/core/wire-inotify.h"

/* Bits that have one value in both. */
enum {
	SAME = IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_OPEN | IN_CREATE |
	       IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
};

#define MOVES (IN_MOVED_FROM | IN_MOVED_TO)

_Static_assert(SAME == (FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_OPEN |
			FAN_CREATE | FAN_DELETE | FAN_DELETE_SELF | FAN_MOVE_SELF),
	       "they are those of fanotify");
_Static_assert(IN_ISDIR == FAN_ONDIR, "likewise");

struct record {
	const uint8_t *watch; /* in the buffer */
	const char *name; /* likewise; "": none */
	size_t n_name;
	size_t n; /* of all of it */
	struct inotify_event head; /* a copy: the buffer may lie anywhere */
};

/* Return: 1, 0 at the end, or -EBADMSG. */
static int record_get(const uint8_t *data, size_t n_data, struct record *ret)
{
	struct record record = { .name = "" };
	const char *end;

	if (n_data == 0)
		return 0;
	if (n_data < sizeof(record.head))
		return -EBADMSG;
	memcpy(&record.head, data, sizeof(record.head));
	if (record.head.len > n_data - sizeof(record.head))
		return -EBADMSG;

	record.watch = data + offsetof(struct inotify_event, wd);
	record.n = sizeof(record.head) + record.head.len;
	if (record.head.len > 0) {
		record.name = (const char *)data + sizeof(record.head);
		end = memchr(record.name, '\0', record.head.len);
		if (!end || memchr(record.name, '/', (size_t)(end - record.name)) ||
		    strcmp(record.name, ".") == 0 || strcmp(record.name, "..") == 0)
			return -EBADMSG;
		record.n_name = (size_t)(end - record.name);
	}

	*ret = record;
	return 1;
}

static struct file_name name_of(const struct record *record)
{
	return (struct file_name){
		.dir = { .type = INOTIFY_HANDLE_TYPE,
			 .n = sizeof(record->head.wd),
			 .bytes = record->watch },
		.name = record->name,
		.n_name = record->n_name,
	};
}

/* Return: whether the second half was there. */
static bool event_pair(const struct record *from, const uint8_t *data, size_t n_data,
		       struct record *ret)
{
	return record_get(data, n_data, ret) > 0 && ret->head.mask & IN_MOVED_TO &&
	       ret->head.cookie == from->head.cookie;
}

int inotify_event_next(const void *buffer, size_t n_buffer, size_t *offset, struct file_event *ret)
{
	const uint8_t *data = buffer;
	struct record record, second;
	size_t at;
	int r;

	assert(buffer || n_buffer == 0);
	assert(offset && *offset <= n_buffer);
	assert(ret);

	at = *offset;
	while ((r = record_get(data + at, n_buffer - at, &record)) > 0) {
		at += record.n;
		if (record.head.mask & (SAME | MOVES | IN_Q_OVERFLOW))
			break;
	}
	if (r < 0)
		return r;
	*offset = at;
	if (r == 0)
		return 0;

	*ret = (struct file_event){ .at.name = "", .to.name = "" };
	if (record.head.mask & IN_Q_OVERFLOW) {
		ret->overflow = true;
		return 1;
	}
	ret->mask = record.head.mask & (SAME | IN_ISDIR);
	if (record.head.mask & MOVES)
		ret->mask |= FAN_RENAME;
	if (!(record.head.mask & IN_MOVED_TO))
		ret->at = name_of(&record);
	else
		ret->to = name_of(&record);
	if (record.head.mask & IN_MOVED_FROM &&
	    event_pair(&record, data + at, n_buffer - at, &second)) {
		ret->to = name_of(&second);
		*offset += second.n;
	}
	return 1;
}

struct handle inotify_handle(int32_t watch)
{
	struct handle handle = { .type = INOTIFY_HANDLE_TYPE, .n = sizeof(watch) };

	memcpy(handle.bytes, &watch, sizeof(watch));
	return handle;
}

int32_t inotify_watch(const struct handle_view *handle)
{
	int32_t watch;

	assert(handle);

	if (handle->type != INOTIFY_HANDLE_TYPE || handle->n != sizeof(watch))
		return -1;
	memcpy(&watch, handle->bytes, sizeof(watch));
	return watch;
}

uint32_t inotify_mask(uint64_t mask)
{
	return (uint32_t)(mask & SAME) | (mask & FAN_RENAME ? MOVES : 0);
}
