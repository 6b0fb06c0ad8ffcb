/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"

static void test_codes(void **state)
{
	static const struct {
		const char *name;
		enum event_severity severity;
	} codes[] = {
		{ "enospc", SEVERITY_CRITICAL },
		{ "enospc-metadata", SEVERITY_CRITICAL },
		{ "enospc-inodes", SEVERITY_WARNING },
		{ "threshold-below", SEVERITY_WARNING },
		{ "threshold-above", SEVERITY_NOTICE },
		{ "read-only", SEVERITY_CRITICAL },
		{ "read-write", SEVERITY_NOTICE },
		{ "corrupted", SEVERITY_CRITICAL },
		{ "io-error", SEVERITY_CRITICAL },
		{ "writeback-error", SEVERITY_CRITICAL },
		{ "shutdown", SEVERITY_CRITICAL },
		{ "frozen", SEVERITY_NOTICE },
		{ "thawed", SEVERITY_INFO },
		{ "mounted", SEVERITY_INFO },
		{ "unmounted", SEVERITY_INFO },
		{ "stalled", SEVERITY_WARNING },
		{ "responding", SEVERITY_NOTICE },
	};

	assert_int_equal(sizeof(codes) / sizeof(codes[0]), _EVENT_CODE_N);
	for (unsigned int i = 0; i < _EVENT_CODE_N; i++) {
		enum event_code code = _EVENT_CODE_N;

		assert_string_equal(event_code_name(i), codes[i].name);
		assert_int_equal(event_code_severity(i), codes[i].severity);
		assert_int_equal(event_code_from_name(codes[i].name, &code), 0);
		assert_int_equal(code, i);
	}
}

static void test_unknown_names(void **state)
{
	enum event_severity severity = SEVERITY_NOTICE;
	enum event_code code = EVENT_FROZEN;

	assert_int_equal(event_code_from_name("", &code), -EINVAL);
	assert_int_equal(event_code_from_name("enosp", &code), -EINVAL);
	assert_int_equal(event_code_from_name("enospcx", &code), -EINVAL);
	assert_int_equal(event_code_from_name("ENOSPC", &code), -EINVAL);
	assert_int_equal(code, EVENT_FROZEN);

	assert_int_equal(event_severity_from_name("warn", &severity), -EINVAL);
	assert_int_equal(severity, SEVERITY_NOTICE);
	for (unsigned int i = 0; i < _SEVERITY_N; i++) {
		assert_int_equal(event_severity_from_name(event_severity_name(i), &severity), 0);
		assert_int_equal(severity, i);
	}
}

static void test_paths(void **state)
{
	static const struct fs_key keys[] = {
		{ 0, 0, 0 },
		{ 8, 1, 10 },
		{ UINT32_MAX, UINT32_MAX, UINT32_MAX },
	};
	char path[FS_PATH_MAX];
	struct fs_key key;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		fs_key_path(&keys[i], path);
		assert_int_equal(fs_key_parse(path, &key), 0);
		assert_true(fs_key_equal(&key, &keys[i]));
	}

	assert_string_equal(path, "/org/fsevents1/filesystem/4294967295_4294967295_4294967295");
}

static void test_bad_paths(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"/org/fsevents1/filesystem",
		"/org/fsevents1/filesystem/",
		"/org/fsevents1/filesystem/1_2",
		"/org/fsevents1/filesystem/1_2_",
		"/org/fsevents1/filesystem/1_2_3_",
		"/org/fsevents1/filesystem/1_2_3_4",
		"/org/fsevents1/filesystem/1_2_3/",
		"/org/fsevents1/filesystem/01_2_3",
		"/org/fsevents1/filesystem/+1_2_3",
		"/org/fsevents1/filesystem/ 1_2_3",
		"/org/fsevents1/filesystem/-1_2_3",
		"/org/fsevents1/filesystem/1__3",
		"/org/fsevents1/filesystem/1_2_4294967296",
		"/org/fsevents1/filesystem/1_2_99999999999999999999999",
		"/org/fsevents1/watch/1_2_3",
		"x/org/fsevents1/filesystem/1_2_3",
	};
	struct fs_key key = { 7, 8, 9 };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(fs_key_parse(paths[i], &key), -EINVAL);
	assert_true(fs_key_equal(&key, &(struct fs_key){ 7, 8, 9 }));
}

static void test_copy(void **state)
{
	_cleanup_(event_deinit) struct event event = { .id = 3, .code = EVENT_CORRUPTED }, all = {},
					     public = {};
	struct detail detail;

	assert_int_equal(details_add_string(&event.details, "where", "/", 0), 0);
	assert_int_equal(details_add_bytes(&event.details, "path", "/x", 2, DETAIL_PRIVATE), 0);

	assert_int_equal(event_copy(&all, &event, true), 0);
	assert_int_equal(event_copy(&public, &event, false), 0);
	assert_int_equal(all.id, 3);
	assert_int_equal(public.code, EVENT_CORRUPTED);
	assert_ptr_not_equal(all.details.data, event.details.data);
	assert_true(details_find(&all.details, "path", &detail));
	assert_true(details_find(&public.details, "where", &detail));
	assert_false(details_find(&public.details, "path", &detail));

	event_deinit(&all);
	assert_null(all.details.data);
	assert_int_equal(all.id, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes), cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_paths), cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
