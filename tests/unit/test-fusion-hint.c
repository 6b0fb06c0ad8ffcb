/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/fusion-hint.h"

static void test_error(void **state)
{
	const struct fanotify_error error = {
		.error = EUCLEAN,
		.count = 3,
		.pid = 4711,
		.has_inode = true,
		.inode = 12,
	};
	struct fusion_hint hint;

	fusion_hint_from_error(&hint, &error, true);
	assert_int_equal(hint.kind, FUSION_HINT_CORRUPTED);
	assert_int_equal(hint.source, FUSION_SOURCE_FANOTIFY);
	assert_int_equal(hint.error, EUCLEAN);
	assert_int_equal(hint.pid, 4711);
	assert_int_equal(hint.count, 3);
	assert_true(hint.has_inode);
	assert_int_equal(hint.inode, 12);
}

/* A thread of the kernel that reports for others did nothing wrong. */
static void test_culprit(void **state)
{
	struct fanotify_error error = { .error = EIO, .count = 0, .pid = 4711 };
	struct fusion_hint hint;

	fusion_hint_from_error(&hint, &error, false);
	assert_int_equal(hint.kind, FUSION_HINT_IO_ERROR);
	assert_int_equal(hint.pid, 0);
	assert_int_equal(hint.count, 1);
	assert_false(hint.has_inode);

	error.pid = -1;
	fusion_hint_from_error(&hint, &error, true);
	assert_int_equal(hint.pid, 0);
}

static void test_event(void **state)
{
	const struct wire_event event = {
		.id = FS_ERR_CORRUPTED,
		.pid = 179,
		.error = EBADMSG,
		.count = 3,
		.has_inode = true,
		.inode = 74,
	};
	struct fusion_hint hint;

	assert_true(fusion_hint_from_event(&hint, &event));
	assert_int_equal(hint.kind, FUSION_HINT_CORRUPTED);
	assert_int_equal(hint.source, FUSION_SOURCE_MODULE);
	assert_int_equal(hint.error, EBADMSG);
	assert_int_equal(hint.pid, 179);
	assert_int_equal(hint.count, 3);
	assert_true(hint.has_inode);
	assert_int_equal(hint.inode, 74);
}

static void test_event_kinds(void **state)
{
	static const int kinds[FS_EVENT_ID_MAX + 2] = {
		[FS_WARN_ENOSPC] = FUSION_HINT_NO_SPACE,
		[FS_WARN_ENOSPC_META] = FUSION_HINT_NO_METADATA,
		[FS_EVENT_ENOSPC_INODES] = FUSION_HINT_NO_INODES,
		[FS_ERR_REMOUNT_RO] = FUSION_HINT_LOOK,
		[FS_EVENT_READ_WRITE] = FUSION_HINT_LOOK,
		[FS_ERR_CORRUPTED] = FUSION_HINT_CORRUPTED,
		[FS_EVENT_IO_ERROR] = FUSION_HINT_IO_ERROR,
		[FS_EVENT_WRITEBACK_ERROR] = FUSION_HINT_WRITEBACK_ERROR,
		[FS_EVENT_SHUTDOWN] = FUSION_HINT_SHUTDOWN,
		[FS_EVENT_FROZEN] = FUSION_HINT_FROZEN,
		[FS_EVENT_THAWED] = FUSION_HINT_THAWED,
	};
	unsigned int n_known = 0;

	for (uint32_t id = 0; id < sizeof(kinds) / sizeof(kinds[0]); id++) {
		struct fusion_hint hint = { .kind = FUSION_HINT_REMOUNTED };

		if (fusion_hint_from_event(&hint, &(struct wire_event){ .id = id, .count = 1 })) {
			assert_int_equal(hint.kind, kinds[id]);
			n_known++;
		} else {
			/* levels, unmounted, and what is not known */
			assert_int_equal(hint.kind, FUSION_HINT_REMOUNTED);
		}
	}
	assert_int_equal(n_known, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_culprit),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_event_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
