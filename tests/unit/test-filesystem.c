/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/core/filesystem.h"

static struct filesystem filesystem_of(uint64_t available)
{
	return (struct filesystem){
		.usage = { .block_size = 4096,
			   .blocks = 1000,
			   .free = 500,
			   .available = available },
		.usage_known = true,
	};
}

static void cross(struct filesystem *fs, enum event_severity severity)
{
	struct threshold_spec spec = { .name = "x",
				       .level = { LEVEL_BLOCKS, 0, 1000 },
				       .severity = severity };
	struct crossing crossings[1];

	assert_int_equal(threshold_set_replace(&fs->thresholds, &spec, 1), 0);
	threshold_set_update(&fs->thresholds, &fs->usage, crossings);
	assert_int_equal(threshold_set_severity(&fs->thresholds), severity);
}

/* Each condition on top of all the milder ones. */
static void test_order(void **state)
{
	struct filesystem fs = filesystem_of(500);

	assert_int_equal(filesystem_state(&fs), FS_STATE_OK);
	cross(&fs, SEVERITY_INFO);
	assert_int_equal(filesystem_state(&fs), FS_STATE_OK);
	cross(&fs, SEVERITY_NOTICE);
	assert_int_equal(filesystem_state(&fs), FS_STATE_OK);
	fs.usage_known = false;
	assert_int_equal(filesystem_state(&fs), FS_STATE_UNKNOWN);
	cross(&fs, SEVERITY_WARNING);
	assert_int_equal(filesystem_state(&fs), FS_STATE_WARNING);
	cross(&fs, SEVERITY_CRITICAL);
	assert_int_equal(filesystem_state(&fs), FS_STATE_CRITICAL);
	fs.usage_known = true;
	fs.full = true;
	assert_int_equal(filesystem_state(&fs), FS_STATE_FULL);
	fs.frozen = true;
	assert_int_equal(filesystem_state(&fs), FS_STATE_FROZEN);
	fs.read_only = READ_ONLY_SHUTDOWN;
	assert_int_equal(filesystem_state(&fs), FS_STATE_READ_ONLY);
	fs.failed = true;
	assert_int_equal(filesystem_state(&fs), FS_STATE_ERROR);
	fs.stalled = true;
	assert_int_equal(filesystem_state(&fs), FS_STATE_STALLED);
	filesystem_deinit(&fs);
}

static void test_enum_order(void **state)
{
	static const char *const names[] = { "ok",     "unknown",   "warning", "critical", "full",
					     "frozen", "read-only", "error",   "stalled" };

	for (unsigned int i = 0; i <= FS_STATE_STALLED; i++)
		assert_string_equal(fs_state_name((enum fs_state)i), names[i]);
}

static void test_read_only(void **state)
{
	static const struct {
		enum read_only_reason reason;
		const char *name;
		enum fs_state state;
	} cases[] = {
		{ READ_ONLY_NO, "", FS_STATE_OK },
		{ READ_ONLY_ADMIN, "admin", FS_STATE_OK },
		{ READ_ONLY_ERROR, "error", FS_STATE_READ_ONLY },
		{ READ_ONLY_SHUTDOWN, "shutdown", FS_STATE_READ_ONLY },
		{ READ_ONLY_DEVICE, "device", FS_STATE_READ_ONLY },
		{ READ_ONLY_EMERGENCY, "emergency", FS_STATE_READ_ONLY },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filesystem fs = filesystem_of(500);

		fs.read_only = cases[i].reason;
		assert_int_equal(filesystem_state(&fs), cases[i].state);
		assert_string_equal(read_only_reason_name(cases[i].reason), cases[i].name);
		filesystem_deinit(&fs);
	}
}

/* Root may still have its reserve; what is read-only offers nothing and is not full. */
static void test_full(void **state)
{
	struct filesystem fs = filesystem_of(0);

	assert_int_equal(filesystem_state(&fs), FS_STATE_OK);
	fs.full = true;
	assert_int_equal(filesystem_state(&fs), FS_STATE_FULL);
	fs.read_only = READ_ONLY_ADMIN;
	assert_int_equal(filesystem_state(&fs), FS_STATE_OK);
	fs.read_only = READ_ONLY_NO;
	fs.usage.read_only = true;
	assert_int_equal(filesystem_state(&fs), FS_STATE_OK);
	fs.usage.read_only = false;
	fs.usage_known = false;
	assert_int_equal(filesystem_state(&fs), FS_STATE_UNKNOWN);
	fs.usage_known = true;
	assert_int_equal(filesystem_state(&fs), FS_STATE_FULL);
	fs.full = false;
	assert_int_equal(filesystem_state(&fs), FS_STATE_OK);
	filesystem_deinit(&fs);
	filesystem_deinit(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_enum_order),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
