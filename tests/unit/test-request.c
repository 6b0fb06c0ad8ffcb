/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/escape.h"
#include "daemon/core/grammar.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

struct refusal_row {
	const char *text;
	const char *said; /* what is wrong */
	const char *allowed;
};

static void test_line_accepted(void **state)
{
	struct request_list list = {};
	struct grammar_error error;

	assert_int_equal(grammar_parse_line("/srv G T 710000 500000", &list, &error), 0);
	assert_int_equal(list.n_items, 1);
	assert_int_equal(list.items[0].kind, REQUEST_SET);
	assert_string_equal(list.items[0].where, "/srv");
	assert_true(list.items[0].generic && list.items[0].has_thresholds);
	assert_int_equal(list.items[0].n_levels, 2);
	assert_int_equal(list.items[0].levels[0], 710000);
	assert_int_equal(list.items[0].levels[1], 500000);
	assert_int_equal(list.items[0].events, 0);
	request_list_deinit(&list);

	assert_int_equal(
		grammar_parse_line(" /a\\040b\tT G;/c E enospc,corrupted E io-error ;!/d;!/e T\n",
				   &list, &error),
		0);
	assert_int_equal(list.n_items, 4);
	assert_string_equal(list.items[0].where, "/a b");
	assert_true(list.items[0].has_thresholds && list.items[0].generic);
	assert_int_equal(list.items[0].n_levels, 0);
	assert_int_equal(list.items[1].events,
			 1U << EVENT_ENOSPC | 1U << EVENT_CORRUPTED | 1U << EVENT_IO_ERROR);
	assert_false(list.items[1].generic);
	assert_int_equal(list.items[2].kind, REQUEST_REMOVE);
	assert_string_equal(list.items[2].where, "/d");
	assert_false(list.items[2].has_thresholds);
	assert_int_equal(list.items[3].kind, REQUEST_REMOVE);
	assert_true(list.items[3].has_thresholds);
	request_list_deinit(&list);
	assert_null(list.items);

	/* equal levels do not increase */
	assert_int_equal(grammar_parse_line("/ T 5 5 0", &list, &error), 0);
	assert_int_equal(list.items[0].n_levels, 3);
	request_list_deinit(&list);
}

static void test_line_remove_all(void **state)
{
	static const char *const empty[] = { "", " ", "\n", " \t\r\n" };

	for (size_t i = 0; i < N(empty); i++) {
		struct request_list list = {};
		struct grammar_error error;

		assert_int_equal(grammar_parse_line(empty[i], &list, &error), 0);
		assert_int_equal(list.n_items, 1);
		assert_int_equal(list.items[0].kind, REQUEST_REMOVE_ALL);
		assert_null(list.items[0].where);
		request_list_deinit(&list);
	}
}

static void test_line_refused(void **state)
{
	static const struct refusal_row rows[] = {
		{ ";", "is empty", "[!]MOUNT" },
		{ "/a G;", "is empty", "[!]MOUNT" },
		{ ";/a G", "is empty", "[!]MOUNT" },
		{ "/a G;;/b G", "is empty", "[!]MOUNT" },
		{ "a G", "'a' is not a mount point", "begins with '/'" },
		{ "!", "'!' is not a mount point", "begins with '/'" },
		{ "! /a", "'!' is not a mount point", "begins with '/'" },
		{ "!!/a", "'!!/a' is not a mount point", "begins with '/'" },
		{ "G /a", "'G' is not a mount point", "begins with '/'" },
		{ "/a", "nothing is asked for", "G, T and E" },
		{ "/a g", "'g' is not expected", "G | T" },
		{ "/a b G", "'b' is not expected", "G | T" },
		{ "/a G 5", "'5' is not expected", "G | T" },
		{ "/a T 5 6", "'6' is more than the level before", "must not increase" },
		{ "/a T 5 T 4", "T is given twice", "one T" },
		{ "/a T 5K", "'5K' is not a level", "numbers of blocks" },
		{ "/a T 5%", "'5%' is not a level", "numbers of blocks" },
		{ "/a T -5", "'-5' is not a level", "numbers of blocks" },
		{ "/a T 18446744073709551616", "is not a level", "64 bits" },
		{ "!/a T 5", "'5' is not expected", "takes no levels" },
		{ "/a E", "'' is not an event code", "enospc" },
		{ "/a E enospc, corrupted", "'' is not an event code", "enospc" },
		{ "/a E oops", "'oops' is not an event code", "corrupted" },
		{ "/a E none", "'none' cannot be asked for", "CODE[,CODE]" },
		{ "!/a E none", "'none' cannot be asked for", "CODE[,CODE]" },
		{ "/a\\ G", "starts nothing", "\\ooo" },
		{ "/a\\000 G", "starts nothing", "\\001 to \\377" },
		{ "/a\\8 G", "starts nothing", "\\ooo" },
		{ "/a\x01 G", "control character", "\\001" },
		{ "/a\x7f G", "control character", "\\177" },
		/* all or nothing: the second of two is wrong */
		{ "/a G;b G", "'b' is not a mount point", "begins with '/'" },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct request_list list = { NULL, 4711 };
		struct grammar_error error = {};

		assert_int_equal(grammar_parse_line(rows[i].text, &list, &error), -EINVAL);
		assert_int_equal(list.n_items, 4711);
		if (!strstr(error.text, rows[i].said) || !strstr(error.text, rows[i].allowed))
			fail_msg("'%s': %s", rows[i].text, error.text);
	}
}

/* A name made to look like further requests stays one name. */
static void test_line_hostile_mount(void **state)
{
	static const char mount[] = "/home/u/x;!/";
	struct request_list list = {};
	struct grammar_error error;
	char *escaped, *line = NULL;

	escaped = escape_new(mount, strlen(mount), ESCAPE_GRAMMAR);
	assert_true(asprintf(&line, "%s G", escaped) > 0);
	assert_string_equal(line, "/home/u/x\\073!/ G");
	assert_int_equal(grammar_parse_line(line, &list, &error), 0);
	assert_int_equal(list.n_items, 1);
	assert_string_equal(list.items[0].where, mount);
	request_list_deinit(&list);
	free(escaped);
	free(line);
}

static void test_line_every_byte(void **state)
{
	char mount[257] = "/", *escaped, *line = NULL;
	struct request_list list = {};
	struct grammar_error error;

	for (unsigned int i = 1; i < 256; i++)
		mount[i] = (char)i;
	escaped = escape_new(mount, strlen(mount), ESCAPE_GRAMMAR);
	assert_true(asprintf(&line, "!%s;%s T 1", escaped, escaped) > 0);
	assert_int_equal(grammar_parse_line(line, &list, &error), 0);
	assert_int_equal(list.n_items, 2);
	assert_string_equal(list.items[0].where, mount);
	assert_string_equal(list.items[1].where, mount);
	request_list_deinit(&list);
	free(escaped);
	free(line);
}

static void test_line_bounds(void **state)
{
	char *line = calloc(1, REQUEST_LINE_MAX + 2);
	struct request_list list = {};
	struct grammar_error error;

	for (int i = 0; i < REQUESTS_MAX; i++)
		strcat(line, i ? ";/a G" : "/a G");
	assert_int_equal(grammar_parse_line(line, &list, &error), 0);
	assert_int_equal(list.n_items, REQUESTS_MAX);
	request_list_deinit(&list);
	strcat(line, ";/a G");
	assert_int_equal(grammar_parse_line(line, &list, &error), -EINVAL);
	assert_non_null(strstr(error.text, "at most 1024 a line"));

	snprintf(line, REQUEST_LINE_MAX, "/a T");
	for (int i = 0; i < THRESHOLDS_MAX; i++)
		strcat(line, " 9");
	assert_int_equal(grammar_parse_line(line, &list, &error), 0);
	assert_int_equal(list.items[0].n_levels, THRESHOLDS_MAX);
	request_list_deinit(&list);
	strcat(line, " 9");
	assert_int_equal(grammar_parse_line(line, &list, &error), -EINVAL);
	assert_non_null(strstr(error.text, "at most 64"));

	memset(line, 'a', REQUEST_LINE_MAX + 1);
	line[0] = '/';
	assert_int_equal(grammar_parse_line(line, &list, &error), -EINVAL);
	assert_non_null(strstr(error.text, "line is too long: at most 65536"));
	strcpy(line + REQUEST_WHERE_MAX, " G");
	assert_int_equal(grammar_parse_line(line, &list, &error), 0);
	request_list_deinit(&list);
	strcpy(line + REQUEST_WHERE_MAX, "a G");
	assert_int_equal(grammar_parse_line(line, &list, &error), -EINVAL);
	assert_non_null(strstr(error.text, "at most 4095 bytes"));
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_accepted),	cmocka_unit_test(test_line_remove_all),
		cmocka_unit_test(test_line_refused),	cmocka_unit_test(test_line_hostile_mount),
		cmocka_unit_test(test_line_every_byte), cmocka_unit_test(test_line_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
