/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/ctl/table.h"

static void expect(const char *align, bool colour, const char *const *cells, const char *expected)
{
	struct table *table;
	size_t n_text;
	char *text;
	FILE *file;

	file = open_memstream(&text, &n_text);
	assert_non_null(file);
	assert_int_equal(table_new(&table, align, colour), 0);
	for (; *cells; cells++)
		table_add(table, *cells, **cells == 'R' ? TABLE_RED : TABLE_PLAIN);
	assert_int_equal(table_print(table, file), 0);
	table_free(table);
	assert_int_equal(fclose(file), 0);
	assert_string_equal(text, expected);
	free(text);
}

static void test_alignment(void **state)
{
	expect("lrl", false, (const char *const[]){ "a", "1", "x", "bbb", "222", "yyy", NULL },
	       "a      1  x\n"
	       "bbb  222  yyy\n");
}

static void test_no_space_at_the_end(void **state)
{
	expect("lll", false,
	       (const char *const[]){ "a", "bbb", "c", "a", "b", "", "a", "", "", NULL },
	       "a  bbb  c\n"
	       "a  b\n"
	       "a\n");
}

static void test_wide(void **state)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	/* Two cells each; a combining mark has none. */
	expect("ll", false,
	       (const char *const[]){ "\xe6\xbc\xa2\xe5\xad\x97", "x", "abcd", "x",
				      "e\xcc\x81"
				      "bcd",
				      "x", NULL },
	       "\xe6\xbc\xa2\xe5\xad\x97  x\n"
	       "abcd  x\n"
	       "e\xcc\x81"
	       "bcd  x\n");
	setlocale(LC_CTYPE, "C");
}

static void test_broken_text(void **state)
{
	expect("ll", false, (const char *const[]){ "\xff\xfe", "x", "abcd", "x", NULL },
	       "\xff\xfe    x\n"
	       "abcd  x\n");
}

static void test_long(void **state)
{
	char longest[201], expected[512];

	memset(longest, 'l', 200);
	longest[200] = '\0';
	snprintf(expected, sizeof(expected), "%s  x\nab  x\na   x\n", longest);
	expect("ll", false, (const char *const[]){ longest, "x", "ab", "x", "a", "x", NULL },
	       expected);
}

static void test_colour(void **state)
{
	expect("ll", true, (const char *const[]){ "R", "x", "ab", "R", NULL },
	       "\033[1;31mR\033[0m   x\n"
	       "ab  \033[1;31mR\033[0m\n");
	assert_string_equal(table_colour_start(false, TABLE_RED), "");
	assert_string_equal(table_colour_end(false), "");
}

static void test_bar(void **state)
{
	static const struct {
		double share;
		const char *bar;
	} bars[] = {
		{ 0, "[--------------------]   0%" },  { 0.5, "[##########----------]  50%" },
		{ 1, "[####################] 100%" },  { 7, "[####################] 100%" },
		{ -1, "[--------------------]   0%" }, { NAN, "[--------------------]   0%" },
	};
	char bar[TABLE_BAR_MAX];

	for (size_t i = 0; i < sizeof(bars) / sizeof(bars[0]); i++) {
		table_bar(bar, bars[i].share);
		assert_string_equal(bar, bars[i].bar);
	}

	setlocale(LC_CTYPE, "C.UTF-8");
	table_bar(bar, 1);
	assert_int_equal(strlen(bar), strlen("[] 100%") + 20 * 3);
	setlocale(LC_CTYPE, "C");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alignment), cmocka_unit_test(test_no_space_at_the_end),
		cmocka_unit_test(test_wide),	  cmocka_unit_test(test_broken_text),
		cmocka_unit_test(test_long),	  cmocka_unit_test(test_colour),
		cmocka_unit_test(test_bar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
