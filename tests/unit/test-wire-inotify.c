/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <linux/fanotify.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/inotify.h>

#include <cmocka.h>

#include "daemon/core/wire-inotify.h"

/* Events as the kernel writes them, one behind the other. */
struct buffer {
	uint8_t data[4096];
	size_t n, offset;
};

static void put(struct buffer *buffer, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
	size_t n_name = name ? (strlen(name) + 16) / 16 * 16 : 0;
	struct inotify_event event = {
		.wd = wd, .mask = mask, .cookie = cookie, .len = (uint32_t)n_name
	};

	assert_true(sizeof(event) + n_name <= sizeof(buffer->data) - buffer->n);
	memcpy(buffer->data + buffer->n, &event, sizeof(event));
	if (name)
		memcpy(buffer->data + buffer->n + sizeof(event), name, strlen(name));
	buffer->n += sizeof(event) + n_name;
}

static struct file_event next(struct buffer *buffer)
{
	struct file_event event;

	assert_int_equal(inotify_event_next(buffer->data, buffer->n, &buffer->offset, &event), 1);
	return event;
}

static void check_end(struct buffer *buffer)
{
	struct file_event event;

	assert_int_equal(inotify_event_next(buffer->data, buffer->n, &buffer->offset, &event), 0);
	assert_int_equal(buffer->offset, buffer->n);
}

static void check_name(const struct file_name *name, int32_t wd, const char *text)
{
	assert_int_equal(inotify_watch(&name->dir), wd);
	assert_int_equal(name->n_name, strlen(text));
	assert_string_equal(name->name, text);
}

static void test_names(void **state)
{
	struct buffer buffer = {};
	struct file_event event;

	put(&buffer, 7, IN_CREATE | IN_ISDIR, 0, "dir");
	put(&buffer, 7, IN_ATTRIB | IN_ISDIR, 0, NULL);
	put(&buffer, 8, IN_CLOSE_WRITE, 0, "sixteen-letters!");
	event = next(&buffer);
	assert_int_equal(event.mask, FAN_CREATE | FAN_ONDIR);
	check_name(&event.at, 7, "dir");
	assert_int_equal(event.to.dir.n + event.target.n, 0);
	assert_int_equal(event.pid, 0);
	event = next(&buffer);
	assert_int_equal(event.mask, FAN_ATTRIB | FAN_ONDIR);
	check_name(&event.at, 7, "");
	event = next(&buffer);
	assert_int_equal(event.mask, FAN_CLOSE_WRITE);
	check_name(&event.at, 8, "sixteen-letters!");
	check_end(&buffer);
}

static void test_renames(void **state)
{
	struct buffer buffer = {};
	struct file_event event;

	put(&buffer, 1, IN_MOVED_FROM, 5, "old");
	put(&buffer, 2, IN_MOVED_TO, 5, "new");
	/* Nothing belongs together that does not follow each other. */
	put(&buffer, 1, IN_MOVED_FROM, 6, "out");
	put(&buffer, 2, IN_MOVED_TO, 7, "in");
	put(&buffer, 1, IN_MOVED_FROM | IN_ISDIR, 8, "last");
	event = next(&buffer);
	assert_int_equal(event.mask, FAN_RENAME);
	check_name(&event.at, 1, "old");
	check_name(&event.to, 2, "new");
	event = next(&buffer);
	check_name(&event.at, 1, "out");
	assert_int_equal(event.to.dir.n, 0);
	event = next(&buffer);
	assert_int_equal(event.mask, FAN_RENAME);
	check_name(&event.to, 2, "in");
	assert_int_equal(event.at.dir.n, 0);
	event = next(&buffer);
	assert_int_equal(event.mask, FAN_RENAME | FAN_ONDIR);
	check_name(&event.at, 1, "last");
	check_end(&buffer);
}

static void test_what_is_no_file(void **state)
{
	struct buffer buffer = {};

	put(&buffer, 1, IN_IGNORED, 0, NULL);
	put(&buffer, -1, IN_Q_OVERFLOW, 0, NULL);
	put(&buffer, 1, IN_UNMOUNT, 0, NULL);
	assert_true(next(&buffer).overflow);
	check_end(&buffer);
}

static void check_refused(const struct buffer *buffer)
{
	struct file_event event;
	size_t offset = 0;

	assert_int_equal(inotify_event_next(buffer->data, buffer->n, &offset, &event), -EBADMSG);
	assert_int_equal(offset, 0);
}

static void test_malformed(void **state)
{
	static const char *const names[] = { ".", "..", "a/b" };
	struct buffer buffer = {};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buffer.n = 0;
		put(&buffer, 1, IN_CREATE, 0, names[i]);
		check_refused(&buffer);
	}
	buffer.n = 0;
	put(&buffer, 1, IN_CREATE, 0, "name");
	for (size_t n = buffer.n; --n > 0;) {
		buffer.n = n;
		check_refused(&buffer);
	}
	buffer.n = sizeof(struct inotify_event) + 16;
	memset(buffer.data + sizeof(struct inotify_event), 'x', 16);
	check_refused(&buffer);
}

static void test_handles(void **state)
{
	const struct handle handle = inotify_handle(77);
	struct handle_view view = handle_view(&handle);

	assert_int_equal(inotify_watch(&view), 77);
	view.type = 1;
	assert_int_equal(inotify_watch(&view), -1);
	view = (struct handle_view){ .type = INOTIFY_HANDLE_TYPE };
	assert_int_equal(inotify_watch(&view), -1);
	assert_int_equal(inotify_mask(FAN_RENAME | FAN_CREATE | FAN_ONDIR | FAN_EVENT_ON_CHILD),
			 IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE);
	assert_int_equal(inotify_mask(FAN_ATTRIB | FAN_DELETE_SELF | FAN_MOVE_SELF),
			 IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_renames),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_what_is_no_file),
		cmocka_unit_test(test_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
