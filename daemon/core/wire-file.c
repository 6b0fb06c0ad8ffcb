/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <string.h>

#include "daemon/core/wire-file.h"

/* Type and length of a handle, before its bytes: struct file_handle of the kernel. */
struct handle_header {
	uint32_t n_bytes;
	int32_t type;
};

/*
 * Types of handles that hold the number of the inode (enum fid_type of the
 * kernel's exportfs.h, and XFS_FILEID_TYPE_64FLAG).
 */
enum handle_type {
	HANDLE_INO32 = 0x01, /* ext4, f2fs: with the generation; tmpfs: behind the generation */
	HANDLE_INO32_PARENT = 0x02,
	HANDLE_BTRFS = 0x4d, /* the object, then its subvolume */
	HANDLE_BTRFS_PARENT = 0x4e,
	HANDLE_BTRFS_PARENT_ROOT = 0x4f,
	HANDLE_INO64 = 0x81, /* xfs */
	HANDLE_INO64_PARENT = 0x82,
};

static uint64_t word(const struct handle_view *handle, size_t i)
{
	uint32_t value;

	memcpy(&value, handle->bytes + i * sizeof(value), sizeof(value));
	return value;
}

uint64_t handle_inode(const struct handle_view *handle)
{
	assert(handle);

	switch (handle->type) {
	case HANDLE_INO32:
		if (handle->n == 8)
			return word(handle, 0);
		/* tmpfs: the generation, then the number */
		return handle->n == 12 ? word(handle, 1) | word(handle, 2) << 32 : 0;
	case HANDLE_INO32_PARENT:
		return handle->n == 16 ? word(handle, 0) : 0;
	case HANDLE_BTRFS:
	case HANDLE_BTRFS_PARENT:
	case HANDLE_BTRFS_PARENT_ROOT:
	case HANDLE_INO64:
	case HANDLE_INO64_PARENT:
		return handle->n >= 8 ? word(handle, 0) | word(handle, 1) << 32 : 0;
	default:
		return 0;
	}
}

/* Return: 0 with what is behind the handle, or -EBADMSG. */
static int decode_handle(const uint8_t *record, size_t n_record, struct handle_view *ret,
			 size_t *ret_end)
{
	size_t n_before = sizeof(struct fanotify_event_info_fid) + sizeof(struct handle_header);
	struct handle_header header;

	if (n_record < n_before)
		return -EBADMSG;
	memcpy(&header, record + sizeof(struct fanotify_event_info_fid), sizeof(header));
	if (header.n_bytes > n_record - n_before || header.n_bytes > HANDLE_MAX)
		return -EBADMSG;

	*ret = (struct handle_view){
		.type = header.type,
		.n = header.n_bytes,
		.bytes = record + n_before,
	};
	*ret_end = n_before + header.n_bytes;
	return 0;
}

/* The name is NUL-terminated and padded with more of them. */
static int decode_name(const uint8_t *record, size_t n_record, bool named, struct file_name *ret)
{
	struct file_name name = { .name = "" };
	const char *text, *end;
	size_t n_before;
	int r;

	r = decode_handle(record, n_record, &name.dir, &n_before);
	if (r < 0)
		return r;

	if (named) {
		text = (const char *)record + n_before;
		end = memchr(text, '\0', n_record - n_before);
		if (!end || memchr(text, '/', (size_t)(end - text)) || strcmp(text, "..") == 0)
			return -EBADMSG;
		if (strcmp(text, ".") != 0) {
			name.name = text;
			name.n_name = (size_t)(end - text);
		}
	}

	*ret = name;
	return 0;
}

static int decode_record(const uint8_t *record, const struct fanotify_event_info_header *header,
			 struct file_event *event)
{
	size_t end;

	switch (header->info_type) {
	case FAN_EVENT_INFO_TYPE_FID:
		return decode_handle(record, header->len, &event->target, &end);
	case FAN_EVENT_INFO_TYPE_DFID:
		return decode_name(record, header->len, false, &event->at);
	case FAN_EVENT_INFO_TYPE_DFID_NAME:
	case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		return decode_name(record, header->len, true, &event->at);
	case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		return decode_name(record, header->len, true, &event->to);
	default:
		return 0;
	}
}

static int decode_records(const uint8_t *data, size_t n_data, struct file_event *event)
{
	struct fanotify_event_info_header header;
	int r = 0;

	for (size_t offset = 0; r == 0 && offset < n_data; offset += header.len) {
		if (n_data - offset < sizeof(header))
			return -EBADMSG;
		memcpy(&header, data + offset, sizeof(header));
		if (header.len < sizeof(header) || header.len > n_data - offset)
			return -EBADMSG;
		r = decode_record(data + offset, &header, event);
	}

	return r;
}

int file_event_next(const void *buffer, size_t n_buffer, size_t *offset, struct file_event *ret)
{
	struct file_event event = { .at.name = "", .to.name = "" };
	struct fanotify_event_metadata metadata;
	const uint8_t *data = buffer;
	int r;

	assert(buffer || n_buffer == 0);
	assert(offset && *offset <= n_buffer);
	assert(ret);

	if (*offset == n_buffer)
		return 0;

	data += *offset;
	if (n_buffer - *offset < sizeof(metadata))
		return -EBADMSG;
	memcpy(&metadata, data, sizeof(metadata));
	if (metadata.vers != FANOTIFY_METADATA_VERSION ||
	    metadata.metadata_len < sizeof(metadata) ||
	    metadata.event_len < metadata.metadata_len || metadata.event_len > n_buffer - *offset)
		return -EBADMSG;

	event.overflow = metadata.mask & FAN_Q_OVERFLOW;
	if (!event.overflow) {
		/* All bits that a group of this kind can have are in the lower half. */
		event.mask = (uint32_t)metadata.mask;
		event.pid = metadata.pid > 0 ? metadata.pid : 0;
		r = decode_records(data + metadata.metadata_len,
				   metadata.event_len - metadata.metadata_len, &event);
		if (r < 0)
			return r;
	}

	*offset += metadata.event_len;
	*ret = event;
	return 1;
}
