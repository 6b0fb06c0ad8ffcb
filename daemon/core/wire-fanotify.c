/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/fanotify.h>
#include <string.h>

#include "daemon/core/wire-fanotify.h"
#include "daemon/core/wire-file.h"

/* Type and length of a handle, before its bytes: struct file_handle of the kernel. */
struct handle_header {
	uint32_t n_bytes;
	int32_t type;
};

/* FILEID_INVALID of the kernel's exportfs.h: the superblock as a whole. */
#define HANDLE_INVALID 0xff

/* Records of one event. */
struct records {
	bool has_error, has_fid;
	struct fanotify_error error;
};

static void decode_inode(struct fanotify_error *error)
{
	const struct handle_view handle = {
		.type = error->handle_type,
		.n = error->n_handle,
		.bytes = error->handle,
	};

	error->inode = handle_inode(&handle);
	error->has_inode = error->inode != 0;
}

static int decode_fid(const uint8_t *record, size_t n_record, struct fanotify_error *error)
{
	struct fanotify_event_info_fid fid;
	struct handle_header header;
	size_t n_before = sizeof(fid) + sizeof(header);
	uint32_t words[2];

	if (n_record < n_before)
		return -EBADMSG;
	memcpy(&fid, record, sizeof(fid));
	memcpy(&header, record + sizeof(fid), sizeof(header));
	if (header.n_bytes > n_record - n_before || header.n_bytes > FANOTIFY_HANDLE_MAX)
		return -EBADMSG;

	memcpy(words, &fid.fsid, sizeof(words));
	error->fsid = (uint64_t)words[1] << 32 | words[0];
	error->handle_type = header.type;
	error->n_handle = header.n_bytes;
	memcpy(error->handle, record + n_before, header.n_bytes);
	error->has_handle = header.n_bytes > 0 && header.type != HANDLE_INVALID;
	if (error->has_handle)
		decode_inode(error);
	return 0;
}

static int decode_error(const uint8_t *record, size_t n_record, struct fanotify_error *error)
{
	struct fanotify_event_info_error info;

	if (n_record < sizeof(info))
		return -EBADMSG;
	memcpy(&info, record, sizeof(info));
	if (info.error == INT_MIN)
		return -EBADMSG;

	error->error = info.error < 0 ? -info.error : info.error;
	error->count = info.error_count > 0 ? info.error_count : 1;
	return 0;
}

static int decode_records(const uint8_t *data, size_t n_data, struct records *records)
{
	struct fanotify_event_info_header header;
	int r = 0;

	for (size_t offset = 0; offset < n_data; offset += header.len) {
		if (n_data - offset < sizeof(header))
			return -EBADMSG;
		memcpy(&header, data + offset, sizeof(header));
		if (header.len < sizeof(header) || header.len > n_data - offset)
			return -EBADMSG;

		if (header.info_type == FAN_EVENT_INFO_TYPE_ERROR) {
			r = decode_error(data + offset, header.len, &records->error);
			records->has_error = true;
		} else if (header.info_type == FAN_EVENT_INFO_TYPE_FID) {
			r = decode_fid(data + offset, header.len, &records->error);
			records->has_fid = true;
		}
		if (r < 0)
			return r;
	}

	return 0;
}

/* Return: 1 with an error or an overflow, 0 for any other event, -EBADMSG. */
static int decode_event(const uint8_t *data, const struct fanotify_event_metadata *metadata,
			struct fanotify_error *ret)
{
	struct records records = {};
	int r;

	if (metadata->mask & FAN_Q_OVERFLOW) {
		*ret = (struct fanotify_error){ .overflow = true };
		return 1;
	}

	r = decode_records(data + metadata->metadata_len,
			   metadata->event_len - metadata->metadata_len, &records);
	if (r < 0)
		return r;
	if (!(metadata->mask & FAN_FS_ERROR) || !records.has_error || !records.has_fid)
		return 0;

	records.error.pid = metadata->pid > 0 ? metadata->pid : 0;
	*ret = records.error;
	return 1;
}

int fanotify_error_next(const void *buffer, size_t n_buffer, size_t *offset,
			struct fanotify_error *ret)
{
	struct fanotify_event_metadata metadata;
	const uint8_t *data = buffer;
	int r = 0;

	assert(buffer || n_buffer == 0);
	assert(offset && *offset <= n_buffer);
	assert(ret);

	while (r == 0 && *offset < n_buffer) {
		const uint8_t *event = data + *offset;

		if (n_buffer - *offset < sizeof(metadata))
			return -EBADMSG;
		memcpy(&metadata, event, sizeof(metadata));
		if (metadata.vers != FANOTIFY_METADATA_VERSION ||
		    metadata.metadata_len < sizeof(metadata) ||
		    metadata.event_len < metadata.metadata_len ||
		    metadata.event_len > n_buffer - *offset)
			return -EBADMSG;

		r = decode_event(event, &metadata, ret);
		if (r >= 0)
			*offset += metadata.event_len;
	}

	return r;
}
