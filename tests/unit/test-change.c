/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/change.h"
#include "include/fsevents_stream.h"

static void test_names(void **state)
{
	assert_int_equal(watch_mask_from_name("access"), FSEVENTS_ACCESS);
	assert_int_equal(watch_mask_from_name("modify"), FSEVENTS_MODIFY);
	assert_int_equal(watch_mask_from_name("attrib"), FSEVENTS_ATTRIB);
	assert_int_equal(watch_mask_from_name("close-write"), FSEVENTS_CLOSE_WRITE);
	assert_int_equal(watch_mask_from_name("open"), FSEVENTS_OPEN);
	assert_int_equal(watch_mask_from_name("create"), FSEVENTS_CREATE);
	assert_int_equal(watch_mask_from_name("delete"), FSEVENTS_DELETE);
	assert_int_equal(watch_mask_from_name("delete-self"), FSEVENTS_DELETE_SELF);
	assert_int_equal(watch_mask_from_name("move-self"), FSEVENTS_MOVE_SELF);
	assert_int_equal(watch_mask_from_name("mount"), FSEVENTS_MOUNT);
	assert_int_equal(watch_mask_from_name("unmount"), FSEVENTS_UNMOUNT);
	assert_int_equal(watch_mask_from_name("move"), FSEVENTS_MOVE);

	assert_int_equal(watch_mask_from_name(""), 0);
	assert_int_equal(watch_mask_from_name("Create"), 0);
	assert_int_equal(watch_mask_from_name("creat"), 0);
	assert_int_equal(watch_mask_from_name("create "), 0);
	assert_int_equal(watch_mask_from_name("directory"), 0);
}

/* Each bit that may be asked for comes once, and leads back to itself. */
static void test_round(void **state)
{
	uint32_t seen = 0;
	unsigned int bit = 0;
	const char *name;

	while ((name = watch_mask_next(UINT32_MAX, &bit))) {
		uint32_t one = watch_mask_from_name(name);

		assert_int_equal(one, 1U << (bit - 1));
		assert_int_equal(seen & one, 0);
		seen |= one;
	}
	assert_int_equal(seen, WATCH_MASK_ALL);
}

static void test_next(void **state)
{
	uint32_t mask = FSEVENTS_MOVE | FSEVENTS_CREATE | FSEVENTS_MERGED | FSEVENTS_DIRECTORY;
	unsigned int bit = 0;

	assert_string_equal(watch_mask_next(mask, &bit), "create");
	assert_string_equal(watch_mask_next(mask, &bit), "move");
	assert_null(watch_mask_next(mask, &bit));
	assert_null(watch_mask_next(mask, &bit));

	bit = 0;
	assert_null(watch_mask_next(0, &bit));
	bit = 32;
	assert_null(watch_mask_next(UINT32_MAX, &bit));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
