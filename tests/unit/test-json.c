/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/ctl/json.h"

static char *text;
static size_t n_text;

static struct json begin(void)
{
	struct json json = { .file = open_memstream(&text, &n_text) };

	assert_non_null(json.file);
	json_open(&json, NULL, '{');
	return json;
}

static void end(struct json *json, const char *expected)
{
	json_close(json, '}');
	json_end_line(json);
	assert_int_equal(fclose(json->file), 0);
	assert_string_equal(text, expected);
	free(text);
}

static void test_values(void **state)
{
	struct json json = begin();

	json_u32(&json, "u", UINT32_MAX);
	json_i32(&json, "i", INT32_MIN);
	json_u64(&json, "t", UINT64_MAX);
	json_bool(&json, "yes", true);
	json_bool(&json, "no", false);
	json_string(&json, "none", NULL);
	end(&json, "{\"u\":4294967295,\"i\":-2147483648,\"t\":\"18446744073709551615\","
		   "\"yes\":true,\"no\":false,\"none\":\"\"}\n");
}

static void test_nesting(void **state)
{
	char *list[] = { (char *)"a", (char *)"b", NULL };
	struct json json = begin();

	json_strv(&json, "list", list);
	json_strv(&json, "empty", NULL);
	json_open(&json, "inner", '{');
	json_close(&json, '}');
	json_open(&json, "objects", '[');
	json_open(&json, NULL, '{');
	json_u32(&json, "a", 1);
	json_close(&json, '}');
	json_open(&json, NULL, '{');
	json_close(&json, '}');
	json_close(&json, ']');
	json_u32(&json, "last", 2);
	end(&json, "{\"list\":[\"a\",\"b\"],\"empty\":[],\"inner\":{},\"objects\":[{\"a\":1},{}],"
		   "\"last\":2}\n");
}

static void test_strings(void **state)
{
	struct json json = begin();

	json_string(&json, "quote\"key", "a\"b\\c");
	json_string(&json, "control", "\n\t\x01\x7f");
	json_string(&json, "wide", "\xe6\xbc\xa2");
	json_string(&json, "broken", "a\xff\n");
	end(&json, "{\"quote\\\"key\":\"a\\\"b\\\\c\",\"control\":\"\\u000a\\u0009\\u0001\\u007f\","
		   "\"wide\":\"\xe6\xbc\xa2\",\"broken\":\"a\\\\377\\\\012\"}\n");
}

static void test_bytes(void **state)
{
	struct json json = begin();

	json_bytes(&json, "plain", "/srv", 4);
	json_bytes(&json, "escaped", "/a\n\\", 4);
	json_bytes(&json, "empty", "", 0);
	json_bytes(&json, "one", "\xff", 1);
	json_bytes(&json, "two", "\xff\xfe", 2);
	json_bytes(&json, "three", "\xff\xfe\xfd", 3);
	json_bytes(&json, "four", "\xff\xfe\xfd\xfb", 4);
	end(&json, "{\"plain\":\"/srv\",\"escaped\":\"/a\\\\012\\\\134\",\"empty\":\"\","
		   "\"one\":\"\\\\377\",\"one-base64\":\"/w==\","
		   "\"two\":\"\\\\377\\\\376\",\"two-base64\":\"//4=\","
		   "\"three\":\"\\\\377\\\\376\\\\375\",\"three-base64\":\"//79\","
		   "\"four\":\"\\\\377\\\\376\\\\375\\\\373\",\"four-base64\":\"//79+w==\"}\n");
}

static void test_details(void **state)
{
	const struct detail_writer writers[] = {
		{ .pid = 7, .bytes = 1ULL << 60, .comm = "dd" },
		{ .pid = 8, .bytes = 1, .comm = "a\"b" },
	};
	struct details details = {};
	struct json json = begin();

	assert_int_equal(details_add_string(&details, "s", "text", 0), 0);
	assert_int_equal(details_add_bytes(&details, "y", "\xff", 1, 0), 0);
	assert_int_equal(details_add_u32(&details, "u", 1, 0), 0);
	assert_int_equal(details_add_u64(&details, "t", 2, 0), 0);
	assert_int_equal(details_add_i32(&details, "i", -3, 0), 0);
	assert_int_equal(details_add_bool(&details, "b", true, 0), 0);
	assert_int_equal(details_add_writers(&details, "writers", writers, 2, DETAIL_PRIVATE), 0);
	json_pairs(&json, &details);
	end(&json,
	    "{\"s\":\"text\",\"y\":\"\\\\377\",\"y-base64\":\"/w==\",\"u\":1,\"t\":\"2\",\"i\":-3,"
	    "\"b\":true,\"writers\":[{\"pid\":7,\"bytes\":\"1152921504606846976\",\"comm\":\"dd\"},"
	    "{\"pid\":8,\"bytes\":\"1\",\"comm\":\"a\\\"b\"}]}\n");
	details_deinit(&details);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_strings), cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_details),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
