/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <linux/fanotify.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/wire-fanotify.h"

/* Events as the kernel writes them, one behind the other. */
struct buffer {
	uint8_t data[4096];
	size_t n;
	size_t event; /* where the one that is being written begins */
};

static void put(struct buffer *buffer, const void *data, size_t n)
{
	assert_true(n <= sizeof(buffer->data) - buffer->n);
	memcpy(buffer->data + buffer->n, data, n);
	buffer->n += n;
}

static void event_begin(struct buffer *buffer, uint64_t mask, int32_t pid)
{
	struct fanotify_event_metadata metadata = {
		.vers = FANOTIFY_METADATA_VERSION,
		.metadata_len = sizeof(metadata),
		.mask = mask,
		.fd = FAN_NOFD,
		.pid = pid,
	};

	buffer->event = buffer->n;
	put(buffer, &metadata, sizeof(metadata));
}

static void event_end(struct buffer *buffer)
{
	uint32_t length = (uint32_t)(buffer->n - buffer->event);

	memcpy(buffer->data + buffer->event, &length, sizeof(length));
}

static void put_error(struct buffer *buffer, int32_t error, uint32_t count)
{
	struct fanotify_event_info_error info = {
		.hdr = { .info_type = FAN_EVENT_INFO_TYPE_ERROR, .len = sizeof(info) },
		.error = error,
		.error_count = count,
	};

	put(buffer, &info, sizeof(info));
}

static void put_fid(struct buffer *buffer, int32_t type, const void *handle, uint32_t n_handle)
{
	struct fanotify_event_info_fid fid = {
		.hdr = { .info_type = FAN_EVENT_INFO_TYPE_FID,
			 .len = (uint16_t)(sizeof(fid) + 8 + ((n_handle + 3) & ~3U)) },
		.fsid = { { 0x11223344, 0x55667788 } },
	};
	static const uint8_t padding[4];

	put(buffer, &fid, sizeof(fid));
	put(buffer, &n_handle, sizeof(n_handle));
	put(buffer, &type, sizeof(type));
	put(buffer, handle, n_handle);
	put(buffer, padding, (4 - n_handle % 4) % 4);
}

static void put_ext4(struct buffer *buffer, int32_t pid, uint32_t inode, uint32_t count)
{
	const uint32_t handle[] = { inode, 0xdeadbeef };

	event_begin(buffer, FAN_FS_ERROR, pid);
	put_error(buffer, 117, count);
	put_fid(buffer, 1, handle, sizeof(handle));
	event_end(buffer);
}

/* From a copy of the exact size, so that a read one byte too far is seen. */
static int next(const void *data, size_t n_data, size_t *offset, struct fanotify_error *ret)
{
	uint8_t *copy = malloc(n_data ?: 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, data, n_data);
	r = fanotify_error_next(copy, n_data, offset, ret);
	free(copy);
	return r;
}

static void test_ext4(void **state)
{
	struct buffer buffer = {};
	struct fanotify_error error;
	size_t offset = 0;

	put_ext4(&buffer, 4711, 12, 3);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 1);
	assert_false(error.overflow);
	assert_int_equal(error.error, 117);
	assert_int_equal(error.count, 3);
	assert_int_equal(error.pid, 4711);
	assert_true(error.fsid == 0x5566778811223344);
	assert_true(error.has_handle);
	assert_int_equal(error.handle_type, 1);
	assert_int_equal(error.n_handle, 8);
	assert_true(error.has_inode);
	assert_int_equal(error.inode, 12);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 0);
	assert_int_equal(offset, buffer.n);
}

static void test_superblock(void **state)
{
	struct buffer buffer = {};
	struct fanotify_error error;
	size_t offset = 0;

	event_begin(&buffer, FAN_FS_ERROR, 0);
	put_error(&buffer, -5, 0);
	put_fid(&buffer, 0xff, "", 0);
	event_end(&buffer);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 1);
	assert_int_equal(error.error, 5);
	assert_int_equal(error.count, 1);
	assert_int_equal(error.pid, 0);
	assert_false(error.has_handle);
	assert_false(error.has_inode);
	assert_true(error.fsid == 0x5566778811223344);
}

static void test_handles(void **state)
{
	static const uint8_t bytes[20] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 };
	const struct {
		int type;
		uint32_t n;
		uint64_t inode; /* 0: not told */
	} cases[] = {
		{ 0x01, 8, 0x04030201 },
		{ 0x01, 12, 0x0c0b0a0908070605 }, /* tmpfs: the generation comes first */
		{ 0x01, 20, 0 },
		{ 0x02, 16, 0x04030201 },
		{ 0x81, 12, 0x0807060504030201 },
		{ 0x81, 4, 0 },
		{ 0x4d, 20, 0x0807060504030201 },
		{ 0x33, 20, 0 },
		{ -1, 20, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer buffer = {};
		struct fanotify_error error;
		size_t offset = 0;

		event_begin(&buffer, FAN_FS_ERROR, 1);
		put_fid(&buffer, cases[i].type, bytes, cases[i].n);
		put_error(&buffer, 117, 1);
		event_end(&buffer);
		assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 1);
		assert_true(error.has_handle);
		assert_int_equal(error.n_handle, cases[i].n);
		assert_memory_equal(error.handle, bytes, cases[i].n);
		assert_int_equal(error.has_inode, cases[i].inode != 0);
		assert_true(error.inode == cases[i].inode);
	}
}

static void test_walk(void **state)
{
	struct buffer buffer = {};
	struct fanotify_error error;
	size_t offset = 0;

	put_ext4(&buffer, 1, 12, 1);
	/* no error, and no record of whose it is: skipped */
	event_begin(&buffer, FAN_CREATE, 1);
	put_fid(&buffer, 1, "12345678", 8);
	event_end(&buffer);
	event_begin(&buffer, FAN_FS_ERROR, 1);
	put_error(&buffer, 5, 1);
	event_end(&buffer);
	event_begin(&buffer, FAN_Q_OVERFLOW, 0);
	event_end(&buffer);
	put_ext4(&buffer, 1, 13, 1);

	assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 1);
	assert_int_equal(error.inode, 12);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 1);
	assert_true(error.overflow);
	assert_int_equal(error.count, 0);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 1);
	assert_int_equal(error.inode, 13);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &error), 0);
}

static void test_malformed(void **state)
{
	const struct {
		size_t at;
		uint32_t value;
		unsigned int width;
	} cases[] = {
		{ 0, 0, 4 }, /* length of the event: none, less than its head, more than there is */
		{ 0, 23, 4 },	       { 0, UINT32_MAX, 4 }, { 4, 2, 1 }, /* version */
		{ 6, 23, 2 }, /* length of the head: too short, longer than the event */
		{ 6, 65535, 2 },       { 26, 0, 2 }, /* length of a record: none, less than its head, too long */
		{ 26, 3, 2 },	       { 26, 11, 2 },	     { 26, 65535, 2 },
		{ 38, 19, 2 }, /* of the record with the handle */
		{ 48, 9, 4 }, /* bytes of the handle */
		{ 48, UINT32_MAX, 4 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fanotify_error error = { .inode = 77 };
		struct buffer buffer = {};
		size_t offset = 0;

		put_ext4(&buffer, 1, 12, 1);
		memcpy(buffer.data + cases[i].at, &cases[i].value, cases[i].width);
		assert_int_equal(next(buffer.data, buffer.n, &offset, &error), -EBADMSG);
		assert_int_equal(error.inode, 77);
	}
}

static void test_cut(void **state)
{
	struct fanotify_error error;
	struct buffer buffer = {};
	size_t offset;

	put_ext4(&buffer, 1, 12, 1);
	for (size_t n = 1; n < buffer.n; n++) {
		offset = 0;
		assert_int_equal(next(buffer.data, n, &offset, &error), -EBADMSG);
	}
	offset = 0;
	assert_int_equal(next(buffer.data, 0, &offset, &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ext4),	  cmocka_unit_test(test_superblock),
		cmocka_unit_test(test_handles),	  cmocka_unit_test(test_walk),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
