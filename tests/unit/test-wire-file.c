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

#include "daemon/core/wire-file.h"

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

static const uint32_t directory[] = { 12, 0xd1 }, other[] = { 13, 0xd2 }, child[] = { 14, 0xd3 };

/* An ext4 handle; @name NULL: none. */
static void put_record(struct buffer *buffer, uint8_t type, const uint32_t *handle,
		       const char *name)
{
	size_t n_name = name ? strlen(name) + 1 : 0, n_pad = (4 - n_name % 4) % 4;
	struct fanotify_event_info_fid fid = {
		.hdr = { .info_type = type, .len = (uint16_t)(sizeof(fid) + 16 + n_name + n_pad) },
	};
	const uint32_t header[] = { 8, 1 };
	static const uint8_t padding[4];

	put(buffer, &fid, sizeof(fid));
	put(buffer, header, sizeof(header));
	put(buffer, handle, 8);
	put(buffer, name ?: "", n_name);
	put(buffer, padding, n_pad);
}

static void put_create(struct buffer *buffer, const char *name)
{
	event_begin(buffer, FAN_CREATE, 4711);
	put_record(buffer, FAN_EVENT_INFO_TYPE_DFID_NAME, directory, name);
	put_record(buffer, FAN_EVENT_INFO_TYPE_FID, child, NULL);
	event_end(buffer);
}

/* A copy of the exact size, so that a read one byte too far is seen; the test frees it. */
static uint8_t *copied;

static int next(const void *data, size_t n_data, size_t *offset, struct file_event *ret)
{
	free(copied);
	copied = malloc(n_data ?: 1);
	assert_non_null(copied);
	memcpy(copied, data, n_data);
	return file_event_next(copied, n_data, offset, ret);
}

static int teardown(void **state)
{
	free(copied);
	copied = NULL;
	return 0;
}

static void check_handle(const struct handle_view *handle, const uint32_t *expected)
{
	if (!expected) {
		assert_int_equal(handle->n, 0);
		return;
	}
	assert_int_equal(handle->type, 1);
	assert_int_equal(handle->n, 8);
	assert_memory_equal(handle->bytes, expected, 8);
}

static void check_name(const struct file_name *name, const uint32_t *dir, const char *expected)
{
	check_handle(&name->dir, dir);
	assert_string_equal(name->name, expected);
	assert_int_equal(name->n_name, strlen(expected));
}

static void test_create(void **state)
{
	struct buffer buffer = {};
	struct file_event event;
	size_t offset = 0;

	put_create(&buffer, "name");
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	assert_false(event.overflow);
	assert_int_equal(event.mask, FAN_CREATE);
	assert_int_equal(event.pid, 4711);
	check_name(&event.at, directory, "name");
	check_name(&event.to, NULL, "");
	check_handle(&event.target, child);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 0);
	assert_int_equal(offset, buffer.n);
}

static void test_rename(void **state)
{
	struct buffer buffer = {};
	struct file_event event;
	size_t offset = 0;

	event_begin(&buffer, FAN_RENAME | FAN_ONDIR, 1);
	put_record(&buffer, FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, directory, "old");
	put_record(&buffer, FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, other, "new name");
	put_record(&buffer, FAN_EVENT_INFO_TYPE_FID, child, NULL);
	event_end(&buffer);
	/* a mark of one of the two directories tells one side */
	event_begin(&buffer, FAN_RENAME, 1);
	put_record(&buffer, FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, other, "in");
	event_end(&buffer);

	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	assert_int_equal(event.mask, FAN_RENAME | FAN_ONDIR);
	check_name(&event.at, directory, "old");
	check_name(&event.to, other, "new name");
	check_handle(&event.target, child);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	check_name(&event.at, NULL, "");
	check_name(&event.to, other, "in");
	check_handle(&event.target, NULL);
}

/* The directory itself, with the kernel's name for that and without any, and an inode alone. */
static void test_itself(void **state)
{
	struct buffer buffer = {};
	struct file_event event;
	size_t offset = 0;

	event_begin(&buffer, FAN_ATTRIB | FAN_ONDIR, -1);
	put_record(&buffer, FAN_EVENT_INFO_TYPE_DFID_NAME, directory, ".");
	event_end(&buffer);
	event_begin(&buffer, FAN_ATTRIB | FAN_ONDIR, 0);
	put_record(&buffer, FAN_EVENT_INFO_TYPE_DFID, other, NULL);
	event_end(&buffer);
	event_begin(&buffer, FAN_ATTRIB, 1);
	put_record(&buffer, FAN_EVENT_INFO_TYPE_FID, child, NULL);
	event_end(&buffer);

	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	check_name(&event.at, directory, "");
	check_handle(&event.target, NULL);
	assert_int_equal(event.pid, 0);
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	check_name(&event.at, other, "");
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	check_name(&event.at, NULL, "");
	check_handle(&event.target, child);
}

static void test_walk(void **state)
{
	static const char *const names[] = { "a", "bb", "ccc", "dddd", ".e", "..f", "\n\xff" };
	struct buffer buffer = {};
	struct file_event event;
	size_t offset = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put_create(&buffer, names[i]);
	event_begin(&buffer, FAN_Q_OVERFLOW, 0);
	event_end(&buffer);
	/* a record of a kind that is not known is passed over */
	event_begin(&buffer, FAN_DELETE, 1);
	put_record(&buffer, 77, other, NULL);
	put_record(&buffer, FAN_EVENT_INFO_TYPE_DFID_NAME, directory, "last");
	event_end(&buffer);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
		check_name(&event.at, directory, names[i]);
	}
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	assert_true(event.overflow);
	assert_int_equal(event.mask, 0);
	check_name(&event.at, NULL, "");
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 1);
	assert_int_equal(event.mask, FAN_DELETE);
	check_name(&event.at, directory, "last");
	assert_int_equal(next(buffer.data, buffer.n, &offset, &event), 0);
}

static void test_names_refused(void **state)
{
	static const char *const names[] = { "..", "a/b", "/", "./" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct file_event event = { .mask = 77 };
		struct buffer buffer = {};
		size_t offset = 0;

		put_create(&buffer, names[i]);
		assert_int_equal(next(buffer.data, buffer.n, &offset, &event), -EBADMSG);
		assert_int_equal(event.mask, 77);
		assert_int_equal(offset, 0);
	}
}

static void test_malformed(void **state)
{
	const struct {
		size_t at;
		uint32_t value;
		unsigned int width;
	} cases[] = {
		/* length of the event: none, less than its head, more than there is */
		{ 0, 0, 4 },
		{ 0, 23, 4 },
		{ 0, UINT32_MAX, 4 },
		{ 4, 2, 1 }, /* version */
		/* length of the head: too short, longer than the event */
		{ 6, 23, 2 },
		{ 6, 65535, 2 },
		/* length of a record: none, less than its head, without a NUL, too long */
		{ 26, 0, 2 },
		{ 26, 3, 2 },
		{ 26, 11, 2 },
		{ 26, 19, 2 },
		{ 26, 32, 2 },
		{ 26, 65535, 2 },
		/* bytes of the handle */
		{ 36, 17, 4 },
		{ 36, UINT32_MAX, 4 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct file_event event = { .mask = 77 };
		struct buffer buffer = {};
		size_t offset = 0;

		put_create(&buffer, "name");
		memcpy(buffer.data + cases[i].at, &cases[i].value, cases[i].width);
		assert_int_equal(next(buffer.data, buffer.n, &offset, &event), -EBADMSG);
		assert_int_equal(event.mask, 77);
	}
}

static void test_cut(void **state)
{
	struct file_event event;
	struct buffer buffer = {};
	size_t offset;

	put_create(&buffer, "name");
	for (size_t n = 1; n < buffer.n; n++) {
		offset = 0;
		assert_int_equal(next(buffer.data, n, &offset, &event), -EBADMSG);
	}
	offset = 0;
	assert_int_equal(next(buffer.data, 0, &offset, &event), 0);
}

static void test_inode(void **state)
{
	static const uint8_t bytes[HANDLE_MAX] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 };
	const struct {
		int32_t type;
		uint32_t n;
		uint64_t inode; /* 0: not told */
	} cases[] = {
		{ 0x01, 8, 0x04030201 },
		{ 0x01, 12, 0x0c0b0a0908070605 }, /* tmpfs: the generation comes first */
		{ 0x01, 4, 0 },
		{ 0x01, 0, 0 },
		{ 0x02, 16, 0x04030201 },
		{ 0x02, 8, 0 },
		{ 0x4d, 20, 0x0807060504030201 },
		{ 0x4e, 32, 0x0807060504030201 },
		{ 0x4f, 40, 0x0807060504030201 },
		{ 0x81, 12, 0x0807060504030201 },
		{ 0x82, 24, 0x0807060504030201 },
		{ 0x81, 7, 0 },
		{ 0xff, 8, 0 },
		{ -1, 20, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct handle_view handle = { cases[i].type, cases[i].n, bytes };

		assert_true(handle_inode(&handle) == cases[i].inode);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_create, teardown),
		cmocka_unit_test_teardown(test_rename, teardown),
		cmocka_unit_test_teardown(test_itself, teardown),
		cmocka_unit_test_teardown(test_walk, teardown),
		cmocka_unit_test_teardown(test_names_refused, teardown),
		cmocka_unit_test_teardown(test_malformed, teardown),
		cmocka_unit_test_teardown(test_cut, teardown),
		cmocka_unit_test(test_inode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
