/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "daemon/core/wire-attribute.h"
#include "daemon/core/wire-records.h"

/* Of the same layout for every program; each field is where its width puts it. */
_Static_assert(sizeof(struct fs_event_record) == 16, "layout");
_Static_assert(sizeof(struct fs_event_file) == 80, "layout");
_Static_assert(sizeof(struct fs_event_process) == 80, "layout");
_Static_assert(sizeof(struct fs_event_handle) == 8, "layout");

/* One record: all of it, and its fixed part, which may be longer than what is known of it. */
struct view {
	const uint8_t *data;
	size_t size, n_fixed;
};

static bool is_pid(uint32_t pid)
{
	return pid > 0 && pid <= INT32_MAX;
}

static uint32_t pid_or_none(uint32_t pid)
{
	return is_pid(pid) ? pid : 0;
}

/* Of what follows the fixed part. Return: whether it is there. */
static bool view_name(const struct view *view, size_t at, size_t n, struct wire_name *ret)
{
	const char *bytes;

	if (at > view->size - view->n_fixed || n > view->size - view->n_fixed - at)
		return false;
	bytes = (const char *)view->data + view->n_fixed + at;
	if (memchr(bytes, '\0', n))
		return false;
	*ret = (struct wire_name){ .bytes = bytes, .n = n };
	return true;
}

static bool is_file_name(const struct wire_name *name)
{
	return name->n <= FS_EVENT_NAME_MAX && !memchr(name->bytes, '/', name->n) &&
	       !(name->n == 1 && name->bytes[0] == '.') &&
	       !(name->n == 2 && memcmp(name->bytes, "..", 2) == 0);
}

/* @data: what is left of them. Return: bytes of the first one, or 0 where that cannot be. */
static size_t handle_take(const uint8_t *data, size_t n, struct wire_record_file *ret)
{
	struct fs_event_handle head;
	struct handle_view view;

	if (n < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	if (head.size > n || head.size % 8 != 0 || head.size < sizeof(head) ||
	    head.n_bytes > head.size - sizeof(head) || head.n_bytes > HANDLE_MAX)
		return 0;
	view = (struct handle_view){
		.type = head.type,
		.n = head.n_bytes,
		.bytes = data + sizeof(head),
	};
	if (head.of == FS_HANDLE_INODE)
		ret->handle = view;
	else if (head.of == FS_HANDLE_DIR)
		ret->dir_handle = view;
	else if (head.of == FS_HANDLE_NEW_DIR)
		ret->new_dir_handle = view;
	return head.size;
}

/* Behind the names. Return: whether they are as they must be. */
static bool handles_take(const struct view *view, size_t n_names, size_t n_handles,
			 struct wire_record_file *ret)
{
	size_t at = (view->n_fixed + n_names + 7) / 8 * 8, n;

	if (n_handles == 0)
		return true;
	if (at > view->size || n_handles > view->size - at)
		return false;
	for (size_t end = at + n_handles; at < end; at += n) {
		n = handle_take(view->data + at, end - at, ret);
		if (n == 0)
			return false;
	}
	return true;
}

/* Return: as wire_record_next(), but 0 for what is to be passed over. */
static int file_decode(const struct view *view, struct wire_record_file *ret)
{
	struct fs_event_file raw;

	if (view->n_fixed < sizeof(raw))
		return -EBADMSG;
	memcpy(&raw, view->data, sizeof(raw));
	*ret = (struct wire_record_file){
		.inode = raw.inode,
		.dir_inode = raw.dir_inode,
		.new_dir_inode = raw.new_dir_inode,
		.fs_id = raw.fs_id,
		.watch_id = raw.watch_id,
		.dev_major = raw.dev_major,
		.dev_minor = raw.dev_minor,
		.events = raw.events,
		.generation = raw.generation,
		.pid = pid_or_none(raw.pid),
		.tid = pid_or_none(raw.tid),
	};
	if (!view_name(view, 0, raw.name_size, &ret->name) ||
	    !view_name(view, raw.name_size, raw.new_name_size, &ret->new_name) ||
	    !is_file_name(&ret->name) || !is_file_name(&ret->new_name) ||
	    !handles_take(view, (size_t)raw.name_size + raw.new_name_size, raw.handles_size, ret))
		return -EBADMSG;

	/* Where nobody else has such names there is no place for them: it cannot be found. */
	if (ret->name.n > NAME_MAX || ret->new_name.n > NAME_MAX) {
		ret->handle.n = ret->dir_handle.n = ret->new_dir_handle.n = 0;
		ret->name.n = ret->new_name.n = 0;
	}
	/* A name is in a directory, or of no use. */
	if (ret->dir_inode == 0 || ret->name.n == 0) {
		ret->dir_inode = 0;
		ret->name.n = 0;
	}
	if (ret->new_dir_inode == 0 || ret->new_name.n == 0) {
		ret->new_dir_inode = 0;
		ret->new_name.n = 0;
	}
	return ret->events != 0;
}

static int process_decode(const struct view *view, struct wire_record_process *ret)
{
	struct fs_event_process raw;

	if (view->n_fixed < sizeof(raw))
		return -EBADMSG;
	memcpy(&raw, view->data, sizeof(raw));
	*ret = (struct wire_record_process){
		.pid = raw.pid,
		.tgid = raw.tgid,
		.by_pid = pid_or_none(raw.by_pid),
		.by_tgid = pid_or_none(raw.by_tgid),
		.parent = pid_or_none(raw.parent),
		.inner_pid = pid_or_none(raw.inner_pid),
		.pid_namespace = raw.pid_namespace,
		.uid = raw.uid,
		.status = raw.status,
		.flags = raw.flags,
		.inode = raw.inode,
		.dev_major = raw.dev_major,
		.dev_minor = raw.dev_minor,
	};
	if (!view_name(view, 0, raw.name_size, &ret->name))
		return -EBADMSG;

	return is_pid(ret->pid) && is_pid(ret->tgid);
}

static int record_decode(const struct view *view, const struct fs_event_record *head,
			 struct wire_record *ret)
{
	/* New kinds may come: a number of the module's, not an enum of ours. */
	switch (head->kind) {
	case FS_RECORD_FILE:
		return file_decode(view, &ret->file);
	case FS_RECORD_FORK:
	case FS_RECORD_EXEC:
	case FS_RECORD_EXIT:
	case FS_RECORD_UID:
		return process_decode(view, &ret->process);
	default:
		return 0;
	}
}

int wire_records_decode(const void *attributes, size_t n_attributes, struct wire_records *ret)
{
	struct wire_records records = {};
	struct wire_attribute attribute;
	bool good = true, has_n = false;
	size_t offset = 0;
	int r;

	assert(attributes || n_attributes == 0);
	assert(ret);

	while ((r = wire_attribute_next(attributes, n_attributes, &offset, &attribute)) > 0) {
		if (attribute.type == FS_NL_A_SEQ) {
			good = wire_attribute_u64(&attribute, &records.seq);
		} else if (attribute.type == FS_NL_A_N_RECORDS) {
			has_n = good = wire_attribute_u32(&attribute, &records.n);
		} else if (attribute.type == FS_NL_A_RECORDS) {
			records.data = attribute.data;
			records.n_data = attribute.n_data;
		}
		if (!good)
			return -EBADMSG;
	}
	if (r < 0)
		return r;
	if (records.seq == 0 || !has_n)
		return 0;

	records.n_left = records.n;
	*ret = records;
	return 1;
}

int wire_record_next(struct wire_records *records, struct wire_record *ret)
{
	struct wire_record record;
	int r = 0;

	assert(records);
	assert(ret);

	while (r == 0) {
		struct fs_event_record head;
		struct view view;

		if (records->n_left == 0)
			return records->n_data == 0 ? 0 : -EBADMSG;
		if (records->n_data < sizeof(head))
			return -EBADMSG;
		memcpy(&head, records->data, sizeof(head));
		if (head.size > records->n_data || head.size % 8 != 0 ||
		    head.header_size < sizeof(head) || head.header_size > head.size)
			return -EBADMSG;

		view = (struct view){
			.data = records->data,
			.size = head.size,
			.n_fixed = head.header_size,
		};
		records->data += head.size;
		records->n_data -= head.size;
		records->n_left--;
		record = (struct wire_record){ .kind = head.kind, .time_ns = head.time_ns };
		r = record_decode(&view, &head, &record);
	}

	if (r > 0)
		*ret = record;
	return r;
}
