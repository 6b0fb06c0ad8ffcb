/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Files, lines and numbers of things at and past what is allowed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config-fixture.h"

static void test_bad_files(void **state)
{
	char *huge = malloc(CONFIG_FILE_MAX + 1);
	struct config_text file = { .name = "f", .error = "is not owned by root" };
	struct config_problems problems;

	parse_bad(&file, &problems);
	assert_int_equal(problems.n_items, 1);
	assert_int_equal(problems.items[0].line, 0);
	assert_null(problems.items[0].key);
	assert_string_equal(problems.items[0].message, "is not owned by root");
	config_problems_deinit(&problems);

	file = (struct config_text){ .name = "f" };
	parse_bad(&file, &problems);
	assert_string_equal(problems.items[0].message, "the file could not be read");
	config_problems_deinit(&problems);

	/* a NUL anywhere makes the whole file void, also what stands before it */
	file = (struct config_text){ .name = "f",
				     .text = "[limits]\nwatches = 1\n\0\n",
				     .n_text = 23 };
	parse_bad(&file, &problems);
	assert_int_equal(problems.n_items, 1);
	assert_int_equal(problems.items[0].line, 3);
	assert_non_null(strstr(problems.items[0].message, "NUL"));
	config_problems_deinit(&problems);

	memset(huge, '\n', CONFIG_FILE_MAX + 1);
	file = (struct config_text){ .name = "f", .text = huge, .n_text = CONFIG_FILE_MAX + 1 };
	parse_bad(&file, &problems);
	assert_int_equal(problems.n_items, 1);
	assert_non_null(strstr(problems.items[0].message, "1 MiB"));
	config_problems_deinit(&problems);
	file.n_text--;
	parse_bad(&file, &problems);
	assert_int_equal(problems.n_items, 0);
	free(huge);
}

/* "[limits]\n", then a line of @n bytes that begins with @prefix, then a good one. */
static void check_long_line(const char *prefix, size_t n, const char *end, const char *key)
{
	struct config_problems problems;
	struct config_text file;
	char text[8192];

	snprintf(text, sizeof(text), "[limits]\n%s", prefix);
	for (size_t i = strlen(prefix); i < n; i++)
		strcat(text, "x");
	strcat(text, end);
	strcat(text, "watches = 5\n");
	file = text_of("f", text);
	parse_bad(&file, &problems);
	assert_int_equal(problems.n_items, 1);
	assert_int_equal(problems.items[0].line, 2);
	if (key)
		assert_string_equal(problems.items[0].key, key);
	assert_non_null(
		strstr(problems.items[0].message,
		       n > 4200 ? "too long: allowed are at most 4200" : "is not a number"));
	config_problems_deinit(&problems);
}

static void test_long_lines(void **state)
{
	check_long_line("groups = ", 4200, "\n", "[limits] groups");
	check_long_line("groups = ", 4200, "\r\n", "[limits] groups");
	check_long_line("groups = ", 4201, "\n", "[limits]");
	check_long_line("groups = ", 4201, "\r\n", "[limits]");
}

/* A header that is too long ends the section before it, which stays good. */
static void test_long_header(void **state)
{
	struct config_problems problems = {};
	struct config_text file;
	struct config *config;
	char text[8192];

	snprintf(text, sizeof(text),
		 "[limits]\nrelays = 5\n[filesystem /%0*d]\nrelays = 6\nfoo = 1\n"
		 "[daemon]\nhistory-size = 300\n",
		 4200, 0);
	file = text_of("f", text);
	assert_int_equal(config_parse(&config, &file, 1, &problems), 0);
	assert_int_equal(problems.n_items, 1);
	assert_int_equal(problems.items[0].line, 3);
	assert_null(problems.items[0].key);
	assert_int_equal(config_limits(config)->relays, 5);
	assert_int_equal(config_daemon(config)->history_size, 300);
	config_problems_deinit(&problems);
	config_free(config);
}

static void test_threshold_bound(void **state)
{
	char text[65 * 32] = "[filesystem *]\n";
	struct config_problems problems = {};
	struct config_settings settings;
	struct config_text file;
	struct config *config;

	for (int i = 0; i < THRESHOLDS_MAX; i++)
		sprintf(text + strlen(text), "threshold = t%d space %d\n", i, i);
	config = parse_one(text);
	resolve(config, "/", "ext4", &settings);
	assert_int_equal(settings.n_thresholds, THRESHOLDS_MAX);
	assert_string_equal(settings.thresholds[63].name, "t63");
	config_free(config);

	strcat(text, "threshold = more space 1\n");
	file = text_of("f", text);
	parse_bad(&file, &problems);
	assert_int_equal(problems.n_items, 1);
	assert_int_equal(problems.items[0].line, 66);
	assert_non_null(strstr(problems.items[0].message, "at most 64 a section"));
	config_problems_deinit(&problems);
}

static void test_section_bounds(void **state)
{
	struct config_text texts[5];
	struct config_problems problems = {};
	struct config_settings settings;
	struct config *config;
	char name[8];

	for (size_t f = 0; f < N(texts); f++) {
		size_t n_text = (CONFIG_SECTIONS_MAX + 1) * 48;
		char *text = calloc(1, n_text), *p = text;

		for (int i = 0; i < CONFIG_SECTIONS_MAX + (f == 0); i++)
			p += snprintf(p, n_text - (size_t)(p - text),
				      "[filesystem /%zu/%d]\nevents = none\n", f, i);
		texts[f] =
			(struct config_text){ .name = "f", .text = text, .n_text = strlen(text) };
	}
	assert_int_equal(config_parse(&config, texts, N(texts), &problems), 0);
	/* the 1025th of the first file, then all of the fifth file: 4096 are had */
	assert_int_equal(problems.n_items, CONFIG_PROBLEMS_MAX);
	assert_int_equal(problems.n_items + problems.n_more, 1 + CONFIG_SECTIONS_MAX);
	assert_string_equal(problems.items[0].key, "[filesystem /0/1024]");
	assert_non_null(strstr(problems.items[0].message, "at most 1024 a file, and the rest"));
	assert_non_null(strstr(problems.items[1].message, "at most 4096"));
	snprintf(name, sizeof(name), "/3/1023");
	resolve(config, name, "ext4", &settings);
	assert_int_equal(settings.events, 0);
	config_problems_deinit(&problems);
	config_free(config);
	for (size_t f = 0; f < N(texts); f++)
		free((char *)texts[f].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_files),      cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_header),    cmocka_unit_test(test_threshold_bound),
		cmocka_unit_test(test_section_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
