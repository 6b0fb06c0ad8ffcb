/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/details.h"

static void expect(const struct details *details, const char *key, enum detail_type type,
		   unsigned int flags, const void *value, size_t n_value)
{
	struct detail detail;

	assert_true(details_find(details, key, &detail));
	assert_int_equal(detail.type, type);
	assert_int_equal(detail.flags, flags);
	assert_int_equal(detail.n_key, strlen(key));
	assert_int_equal(detail.n_value, n_value);
	if (n_value > 0)
		assert_memory_equal(detail.value, value, n_value);
}

static void test_all_types(void **state)
{
	static const struct detail_writer writers[] = {
		{ .pid = 7, .bytes = UINT64_MAX, .comm = "dd" },
		{ .pid = UINT32_MAX, .bytes = 0, .comm = "" },
	};
	_cleanup_(details_deinit) struct details details = {};
	struct detail_writer writer;
	struct detail detail;
	size_t offset = 0;

	assert_int_equal(details_add_string(&details, "where", "/mnt/\303\244", 0), 0);
	assert_int_equal(details_add_string(&details, "empty", "", 0), 0);
	assert_int_equal(details_add_bytes(&details, "path", "\377\n", 2, DETAIL_PRIVATE), 0);
	assert_int_equal(details_add_bytes(&details, "nothing", NULL, 0, 0), 0);
	assert_int_equal(details_add_u32(&details, "u", UINT32_MAX, 0), 0);
	assert_int_equal(details_add_u64(&details, "t", UINT64_MAX, 0), 0);
	assert_int_equal(details_add_i32(&details, "i", INT32_MIN, 0), 0);
	assert_int_equal(details_add_bool(&details, "yes", true, 0), 0);
	assert_int_equal(details_add_bool(&details, "no", false, 0), 0);
	assert_int_equal(details_add_writers(&details, "writers", writers, 2, DETAIL_PRIVATE), 0);

	expect(&details, "where", DETAIL_STRING, 0, "/mnt/\303\244", 7);
	expect(&details, "empty", DETAIL_STRING, 0, "", 0);
	expect(&details, "path", DETAIL_BYTES, DETAIL_PRIVATE, "\377\n", 2);
	expect(&details, "nothing", DETAIL_BYTES, 0, "", 0);
	expect(&details, "i", DETAIL_I32, 0, &(int32_t){ INT32_MIN }, 4);
	expect(&details, "yes", DETAIL_BOOL, 0, "\1", 1);
	expect(&details, "no", DETAIL_BOOL, 0, "\0", 1);

	assert_true(details_find(&details, "u", &detail));
	assert_int_equal(detail_u32(&detail), UINT32_MAX);
	assert_true(details_find(&details, "t", &detail));
	assert_true(detail_u64(&detail) == UINT64_MAX);
	assert_false(details_find(&details, "wher", &detail));
	assert_false(details_find(&details, "where-", &detail));

	assert_true(details_find(&details, "writers", &detail));
	assert_int_equal(detail_writer_next(&detail, &offset, &writer), 1);
	assert_int_equal(writer.pid, 7);
	assert_true(writer.bytes == UINT64_MAX);
	assert_string_equal(writer.comm, "dd");
	assert_int_equal(detail_writer_next(&detail, &offset, &writer), 1);
	assert_int_equal(writer.pid, UINT32_MAX);
	assert_string_equal(writer.comm, "");
	assert_int_equal(detail_writer_next(&detail, &offset, &writer), 0);

	assert_int_equal(details_validate(details.data, details.n_data), 0);
}

static void test_bound(void **state)
{
	_cleanup_(details_deinit) struct details details = {};
	static char text[DETAILS_MAX + 1];
	size_t n;

	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(details_add_string(&details, "x", text, 0), -E2BIG);
	assert_int_equal(details.n_data, 0);

	/* exactly full: 8 bytes of header, 1 of key */
	text[DETAILS_MAX - 9] = '\0';
	assert_int_equal(details_add_string(&details, "x", text, 0), 0);
	assert_int_equal(details.n_data, DETAILS_MAX);
	assert_int_equal(details_validate(details.data, details.n_data), 0);

	n = details.n_data;
	assert_int_equal(details_add_bool(&details, "y", true, 0), -E2BIG);
	assert_int_equal(details_append(&details, details.data, 10, true), 0); /* no whole pair */
	assert_int_equal(details.n_data, n);
}

static void test_append(void **state)
{
	_cleanup_(details_deinit) struct details all = {}, some = {}, none = {};
	struct detail detail;

	assert_int_equal(details_add_string(&all, "where", "/", 0), 0);
	assert_int_equal(details_add_bytes(&all, "path", "/secret", 7, DETAIL_PRIVATE), 0);
	assert_int_equal(details_add_u64(&all, "level", 5, 0), 0);
	assert_int_equal(details_add_u64(&all, "inode", 6, DETAIL_PRIVATE), 0);

	assert_int_equal(details_append(&some, all.data, all.n_data, false), 0);
	assert_true(details_find(&some, "where", &detail));
	assert_true(details_find(&some, "level", &detail));
	assert_false(details_find(&some, "path", &detail));
	assert_false(details_find(&some, "inode", &detail));
	assert_null(memmem(some.data, some.n_data, "secret", 6));

	assert_int_equal(details_append(&none, NULL, 0, true), 0);
	assert_null(none.data);

	assert_int_equal(details_append(&none, all.data, all.n_data, true), 0);
	assert_int_equal(none.n_data, all.n_data);
	assert_memory_equal(none.data, all.data, all.n_data);
}

/* Every truncation, and every single byte replaced, is walked without harm and without lies. */
static void test_hostile_bytes(void **state)
{
	_cleanup_(details_deinit) struct details details = {};
	struct detail_writer writer = { .pid = 1, .bytes = 2, .comm = "x" };
	size_t whole[8] = {}, n_whole = 0, offset = 0;
	struct detail detail;

	details_add_string(&details, "a", "b", 0);
	details_add_u32(&details, "c", 1, 0);
	details_add_bool(&details, "d", true, DETAIL_PRIVATE);
	details_add_writers(&details, "w", &writer, 1, 0);
	while (details_next(details.data, details.n_data, &offset, &detail) > 0)
		whole[n_whole++] = offset;
	assert_int_equal(n_whole, 4);

	for (size_t n = 0; n < details.n_data; n++) {
		uint8_t *copy = malloc(n ?: 1);
		bool at_end = n == 0;

		memcpy(copy, details.data, n);
		for (size_t i = 0; i < n_whole; i++)
			at_end |= whole[i] == n;
		assert_int_equal(details_validate(copy, n), at_end ? 0 : -EBADMSG);
		free(copy);
	}

	for (size_t i = 0; i < details.n_data; i++) {
		for (unsigned int byte = 0; byte < 256; byte++) {
			uint8_t *copy = malloc(details.n_data);

			memcpy(copy, details.data, details.n_data);
			copy[i] = (uint8_t)byte;
			offset = 0;
			while (details_next(copy, details.n_data, &offset, &detail) > 0)
				assert_true(detail.value + detail.n_value <= copy + details.n_data);
			(void)details_validate(copy, details.n_data);
			free(copy);
		}
	}
}

static int validate_text(const char *text, size_t n)
{
	uint8_t data[64] = { 's', 0, 1, 0, (uint8_t)n, 0, 0, 0, 'k' };

	memcpy(data + 9, text, n);
	return details_validate(data, 9 + n);
}

static void test_text(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		int r;
	} cases[] = {
		{ "", 0, 0 },
		{ "abc\177\n", 5, 0 },
		{ "a\0b", 3, -EBADMSG },
		{ "\303\244", 2, 0 },
		{ "\303", 1, -EBADMSG },
		{ "\244", 1, -EBADMSG },
		{ "\300\200", 2, -EBADMSG }, /* overlong NUL */
		{ "\301\277", 2, -EBADMSG }, /* overlong DEL */
		{ "\302\200", 2, 0 },
		{ "\340\237\277", 3, -EBADMSG }, /* overlong */
		{ "\340\240\200", 3, 0 },
		{ "\355\237\277", 3, 0 },
		{ "\355\240\200", 3, -EBADMSG }, /* surrogate */
		{ "\357\277\275", 3, 0 }, /* U+FFFD */
		{ "\357\277\276", 3, -EBADMSG }, /* U+FFFE */
		{ "\357\267\220", 3, -EBADMSG }, /* U+FDD0 */
		{ "\360\217\277\277", 4, -EBADMSG }, /* overlong */
		{ "\360\220\200\200", 4, 0 },
		{ "\364\217\277\275", 4, 0 }, /* U+10FFFD */
		{ "\364\217\277\277", 4, -EBADMSG }, /* U+10FFFF */
		{ "\364\220\200\200", 4, -EBADMSG }, /* past the end */
		{ "\370\210\200\200\200", 5, -EBADMSG },
		{ "\360\220\200", 3, -EBADMSG },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(validate_text(cases[i].text, cases[i].n), cases[i].r);
}

static void test_refused_lists(void **state)
{
	static const struct {
		const char *data;
		size_t n;
	} cases[] = {
		{ "x\0\1\0\1\0\0\0k", 9 }, /* unknown type, longer than the list */
		{ "x\0\0\0\0\0\0\0", 8 }, /* ... without a key */
		{ "s\2\1\0\0\0\0\0k", 9 }, /* unknown flag */
		{ "s\0\0\0\0\0\0\0", 8 }, /* no key */
		{ "s\0\1\0\0\0\0\0K", 9 }, /* letter not allowed */
		{ "s\0\1\0\377\377\377\377k", 9 }, /* longer than the list */
		{ "s\0\377\377\0\0\0\0k", 9 },
		{ "u\0\1\0\3\0\0\0kabc", 12 }, /* wrong width */
		{ "b\0\1\0\1\0\0\0k\2", 10 }, /* neither true nor false */
		{ "y\0\1\0\1\0\0\0k\0", 10 }, /* bytes with NUL */
		{ "w\0\1\0\1\0\0\0k\0", 10 }, /* half a writer */
		{ "w\0\1\0\16\0\0\0k\1\0\0\0\1\0\0\0\0\0\0\0\1\0", 23 }, /* comm past the end */
		{ "w\0\1\0\17\0\0\0k\1\0\0\0\1\0\0\0\0\0\0\0\1\0\377", 24 }, /* comm not UTF-8 */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(details_validate((const uint8_t *)cases[i].data, cases[i].n),
				 -EBADMSG);
}

/* Of a later version: passed over by their lengths, copied nowhere, private or not. */
static void test_unknown_types(void **state)
{
	static const char list[] = "x\1\1\0\5\0\0\0ptoken" /* private */
				   "b\0\1\0\1\0\0\0k\1"
				   "?\0\1\0\5\0\0\0qtoken";
	const uint8_t *data = (const uint8_t *)list;
	struct detail detail;
	size_t offset = 0;

	assert_int_equal(details_validate(data, sizeof(list) - 1), 0);
	assert_int_equal(details_next(data, sizeof(list) - 1, &offset, &detail), 1);
	assert_int_equal(detail.type, DETAIL_BOOL);
	assert_int_equal(detail_length(&detail), 10);
	assert_ptr_equal(detail_start(&detail), data + 14);
	assert_int_equal(details_next(data, sizeof(list) - 1, &offset, &detail), 0);
	assert_int_equal(offset, sizeof(list) - 1);

	for (unsigned int private = 0; private < 2; private ++) {
		_cleanup_(details_deinit) struct details copy = {};

		assert_int_equal(details_append(&copy, data, sizeof(list) - 1, private), 0);
		assert_int_equal(copy.n_data, 10);
		assert_memory_equal(copy.data, data + 14, 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_types),     cmocka_unit_test(test_bound),
		cmocka_unit_test(test_append),	      cmocka_unit_test(test_hostile_bytes),
		cmocka_unit_test(test_text),	      cmocka_unit_test(test_refused_lists),
		cmocka_unit_test(test_unknown_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
