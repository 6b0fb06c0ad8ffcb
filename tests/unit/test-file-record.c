/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <linux/fanotify.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/file-record.h"

static const uint32_t inode[] = { 12, 0xd1 }, dir[] = { 2, 0 }, other[] = { 13, 0xd2 };

/* A batch of one record that is put together here. */
struct batch {
	_Alignas(8) uint8_t bytes[1024];
	size_t n;
};

static void put_handle(struct batch *batch, enum fs_event_handle_of of, const uint32_t handle[2])
{
	struct fs_event_handle head = {
		.size = sizeof(head) + 8, .of = (uint8_t)of, .n_bytes = 8, .type = 1
	};

	memcpy(batch->bytes + batch->n, &head, sizeof(head));
	memcpy(batch->bytes + batch->n + sizeof(head), handle, 8);
	batch->n += head.size;
}

/* @with: bits 1 << enum fs_event_handle_of */
static void put(struct batch *batch, uint32_t events, const char *name, const char *new_name,
		unsigned int with)
{
	static const uint32_t *const handles[] = {
		[FS_HANDLE_INODE] = inode, [FS_HANDLE_DIR] = dir, [FS_HANDLE_NEW_DIR] = other
	};
	struct fs_event_file file = {
		.record = { .header_size = sizeof(file), .kind = FS_RECORD_FILE },
		.inode = 12,
		.dir_inode = *name ? 2 : 0,
		.new_dir_inode = *new_name ? 13 : 0,
		.fs_id = 7,
		.events = events,
		.pid = 44,
		.name_size = (uint16_t)strlen(name),
		.new_name_size = (uint16_t)strlen(new_name),
	};
	size_t at;

	*batch = (struct batch){ .n = sizeof(file) };
	memcpy(batch->bytes + batch->n, name, strlen(name));
	memcpy(batch->bytes + batch->n + strlen(name), new_name, strlen(new_name));
	batch->n = (batch->n + strlen(name) + strlen(new_name) + 7) / 8 * 8;
	at = batch->n;
	for (unsigned int of = FS_HANDLE_INODE; of <= FS_HANDLE_NEW_DIR; of++)
		if (with & 1U << of)
			put_handle(batch, (enum fs_event_handle_of)of, handles[of]);
	file.handles_size = (uint32_t)(batch->n - at);
	file.record.size = (uint32_t)batch->n;
	memcpy(batch->bytes, &file, sizeof(file));
}

static int decode(const struct batch *batch, struct wire_record *ret)
{
	struct wire_records records = {
		.seq = 1, .n = 1, .data = batch->bytes, .n_data = batch->n, .n_left = 1
	};

	return wire_record_next(&records, ret);
}

/* @watched: by a watch of that; NULL: by the filesystem's request */
static bool convert(const struct batch *batch, const uint32_t watched[2],
		    struct file_record_names *names, struct file_event *ret)
{
	const struct handle_view handle = { 1, 8, (const uint8_t *)watched };
	struct wire_record record;

	assert_int_equal(decode(batch, &record), 1);
	return file_record_event(&record.file, watched ? &handle : NULL, names, ret);
}

static void check_handle(const struct handle_view *handle, const uint32_t expected[2])
{
	assert_int_equal(handle->type, 1);
	assert_int_equal(handle->n, 8);
	assert_memory_equal(handle->bytes, expected, 8);
}

static void check_name(const struct file_name *name, const uint32_t expected[2], const char *text)
{
	check_handle(&name->dir, expected);
	assert_string_equal(name->name, text);
	assert_int_equal(name->n_name, strlen(text));
}

#define INODE (1U << FS_HANDLE_INODE)
#define DIR (1U << FS_HANDLE_DIR)
#define NEW_DIR (1U << FS_HANDLE_NEW_DIR)

static void test_names(void **state)
{
	struct file_record_names names;
	struct file_event event;
	struct batch batch;

	put(&batch, FS_FILE_CREATE | FS_FILE_DIRECTORY, "made", "", INODE | DIR);
	assert_true(convert(&batch, NULL, &names, &event));
	assert_int_equal(event.mask, FAN_CREATE | FAN_ONDIR);
	assert_int_equal(event.pid, 44);
	check_name(&event.at, dir, "made");
	check_handle(&event.target, inode);
	assert_int_equal(event.to.dir.n, 0);

	put(&batch, FS_FILE_RENAME, "old", "new", INODE | DIR | NEW_DIR);
	assert_true(convert(&batch, NULL, &names, &event));
	assert_int_equal(event.mask, FAN_RENAME);
	check_name(&event.at, dir, "old");
	check_name(&event.to, other, "new");
	check_handle(&event.target, inode);
}

/* As fanotify tells it: a directory by itself, what has no name by its inode. */
static void test_selves(void **state)
{
	struct file_record_names names;
	struct file_event event;
	struct batch batch;

	put(&batch, FS_FILE_ATTRIB | FS_FILE_DIRECTORY, "child", "", INODE | DIR);
	assert_true(convert(&batch, NULL, &names, &event));
	check_name(&event.at, inode, "");
	assert_int_equal(event.target.n, 0);

	put(&batch, FS_FILE_ATTRIB, "", "", INODE);
	assert_true(convert(&batch, NULL, &names, &event));
	assert_int_equal(event.at.dir.n, 0);
	check_handle(&event.target, inode);

	put(&batch, FS_FILE_CREATE, "file", "", 0);
	assert_false(convert(&batch, NULL, &names, &event));
}

/* Each watch tells its own: the names in its directory, or what it is on. */
static void test_watches(void **state)
{
	static const uint32_t nobody[] = { 99, 0 };
	struct file_record_names names;
	struct file_event event;
	struct batch batch;

	put(&batch, FS_FILE_MODIFY, "file", "", INODE | DIR);
	assert_true(convert(&batch, dir, &names, &event));
	assert_int_equal(event.of, FILE_EVENT_OF_NAMES);
	check_name(&event.at, dir, "file");
	check_handle(&event.target, inode);
	assert_true(convert(&batch, inode, &names, &event));
	assert_int_equal(event.of, FILE_EVENT_OF_TARGET);
	check_handle(&event.target, inode);
	assert_false(convert(&batch, nobody, &names, &event));

	put(&batch, FS_FILE_RENAME, "old", "new", INODE | DIR | NEW_DIR);
	assert_true(convert(&batch, dir, &names, &event));
	assert_int_equal(event.of, FILE_EVENT_OF_NAMES);
	check_name(&event.at, dir, "old");
	assert_int_equal(event.to.dir.n, 0);
	assert_true(convert(&batch, other, &names, &event));
	assert_int_equal(event.at.dir.n, 0);
	check_name(&event.to, other, "new");
	check_handle(&event.target, inode);

	/* Whatever has no name there is not to be found by who watches it. */
	put(&batch, FS_FILE_MODIFY, "", "", INODE | DIR);
	assert_false(convert(&batch, dir, &names, &event));

	/* Of a directory in it, by its own handle, too. */
	put(&batch, FS_FILE_ATTRIB | FS_FILE_DIRECTORY, "child", "", INODE | DIR);
	assert_true(convert(&batch, inode, &names, &event));
	assert_int_equal(event.of, FILE_EVENT_OF_TARGET);
	check_name(&event.at, inode, "");
	assert_true(convert(&batch, dir, &names, &event));
	assert_int_equal(event.of, FILE_EVENT_OF_NAMES);
	check_name(&event.at, inode, "");
	assert_false(convert(&batch, nobody, &names, &event));

	put(&batch, FS_FILE_DELETE_SELF, "", "", INODE);
	assert_true(convert(&batch, inode, &names, &event));
	assert_int_equal(event.of, FILE_EVENT_OF_TARGET);
	assert_int_equal(event.at.dir.n, 0);
}

static void test_malformed(void **state)
{
	struct fs_event_handle *handle;
	struct fs_event_file *file;
	struct wire_record record;
	struct batch batch;

	put(&batch, FS_FILE_CREATE, "name", "", INODE | DIR);
	file = (struct fs_event_file *)batch.bytes;
	handle = (struct fs_event_handle *)(batch.bytes + sizeof(*file) + 8);
	assert_int_equal(decode(&batch, &record), 1);
	handle->n_bytes = 9;
	assert_int_equal(decode(&batch, &record), -EBADMSG);
	handle->n_bytes = 8;
	handle->size = 12;
	assert_int_equal(decode(&batch, &record), -EBADMSG);
	handle->size = 0;
	assert_int_equal(decode(&batch, &record), -EBADMSG);
	handle->size = 16;
	handle->of = 77;
	assert_int_equal(decode(&batch, &record), 1);
	assert_int_equal(record.file.handle.n, 0);
	check_handle(&record.file.dir_handle, dir);
	file->handles_size += 8;
	assert_int_equal(decode(&batch, &record), -EBADMSG);
	file->handles_size = UINT32_MAX;
	assert_int_equal(decode(&batch, &record), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_selves),
		cmocka_unit_test(test_watches),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
