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

#include "daemon/core/grammar.h"

#define K UINT64_C(1024)
#define G (K * K * K)
#define N(_array) (sizeof(_array) / sizeof(*(_array)))

struct level_row {
	const char *text;
	enum threshold_resource resource;
	struct level level;
};

static const struct level_row level_rows[] = {
	{ "10%", RESOURCE_SPACE, { LEVEL_PERCENT, 10, 0 } },
	{ "0%", RESOURCE_SPACE, { LEVEL_PERCENT, 0, 0 } },
	{ "100%", RESOURCE_INODES, { LEVEL_PERCENT, 100, 0 } },
	{ "10%/10G", RESOURCE_SPACE, { LEVEL_PERCENT_OR_SIZE, 10, 10 * G } },
	{ "3%/2048", RESOURCE_SPACE, { LEVEL_PERCENT_OR_SIZE, 3, 2048 } },
	{ "5%/1000", RESOURCE_INODES, { LEVEL_PERCENT_OR_SIZE, 5, 1000 } },
	{ "500M", RESOURCE_SPACE, { LEVEL_BYTES, 0, 500 * K *K } },
	{ "1K", RESOURCE_SPACE, { LEVEL_BYTES, 0, K } },
	{ "2T", RESOURCE_SPACE, { LEVEL_BYTES, 0, 2 * G *K } },
	{ "0", RESOURCE_SPACE, { LEVEL_BYTES, 0, 0 } },
	{ "18446744073709551615", RESOURCE_SPACE, { LEVEL_BYTES, 0, UINT64_MAX } },
	{ "16777215T", RESOURCE_SPACE, { LEVEL_BYTES, 0, 16777215 * G *K } },
	{ "500blocks", RESOURCE_SPACE, { LEVEL_BLOCKS, 0, 500 } },
	{ "500", RESOURCE_INODES, { LEVEL_INODES, 0, 500 } },
	{ "  7% ", RESOURCE_SPACE, { LEVEL_PERCENT, 7, 0 } },
};

static void test_level_accepted(void **state)
{
	for (size_t i = 0; i < N(level_rows); i++) {
		const struct level_row *row = &level_rows[i];
		char text[GRAMMAR_LEVEL_MAX];
		struct grammar_error error;
		struct level level, again;

		assert_int_equal(grammar_parse_level(row->text, row->resource, &level, &error), 0);
		assert_int_equal(level.kind, row->level.kind);
		assert_int_equal(level.percent, row->level.percent);
		assert_true(level.value == row->level.value);

		grammar_format_level(&level, text);
		assert_int_equal(grammar_parse_level(text, row->resource, &again, &error), 0);
		assert_memory_equal(&again, &level, sizeof(level));
	}
}

static void test_level_format(void **state)
{
	char text[GRAMMAR_LEVEL_MAX];

	grammar_format_level(&(struct level){ LEVEL_BYTES, 0, 10 * G }, text);
	assert_string_equal(text, "10G");
	grammar_format_level(&(struct level){ LEVEL_BYTES, 0, 1536 }, text);
	assert_string_equal(text, "1536");
	grammar_format_level(&(struct level){ LEVEL_BYTES, 0, 0 }, text);
	assert_string_equal(text, "0");
	grammar_format_level(&(struct level){ LEVEL_NONE, 0, 0 }, text);
	assert_string_equal(text, "");
	grammar_format_level(&(struct level){ LEVEL_PERCENT_OR_SIZE, 100, UINT64_MAX }, text);
	assert_string_equal(text, "100%/18446744073709551615");
}

struct refusal_row {
	const char *text;
	enum threshold_resource resource;
	const char *said; /* what is wrong */
	const char *allowed;
};

static const struct refusal_row level_refusals[] = {
	{ "", RESOURCE_SPACE, "'' is not a level", "Nblocks" },
	{ "ten", RESOURCE_SPACE, "'ten' is not a level", "N%/SIZE" },
	{ "-1", RESOURCE_SPACE, "'-1' is not", "Nblocks" },
	{ "+1", RESOURCE_SPACE, "'+1' is not", "Nblocks" },
	{ "1.5G", RESOURCE_SPACE, "'1.5G' is not", "K, M, G or T" },
	{ "1k", RESOURCE_SPACE, "'1k' is not", "K, M, G or T" },
	{ "1KB", RESOURCE_SPACE, "'1KB' is not", "K, M, G or T" },
	{ "G", RESOURCE_SPACE, "'G' is not", "K, M, G or T" },
	{ "1 G", RESOURCE_SPACE, "'1 G' is not", "K, M, G or T" },
	{ "blocks", RESOURCE_SPACE, "'blocks' is not", "Nblocks" },
	{ "1Gblocks", RESOURCE_SPACE, "'1Gblocks' is not", "Nblocks" },
	{ "5 blocks", RESOURCE_SPACE, "'5 blocks' is not", "Nblocks" },
	{ "%", RESOURCE_SPACE, "'%' is not", "N%" },
	{ "101%", RESOURCE_SPACE, "is more than all", "0 to 100" },
	{ "4294967306%", RESOURCE_SPACE, "is more than all", "0 to 100" },
	{ "10%%", RESOURCE_SPACE, "'10%%' is not", "N%" },
	{ "10%/", RESOURCE_SPACE, "'10%/' is not", "N%/SIZE" },
	{ "10%/5%", RESOURCE_SPACE, "'10%/5%' is not", "N%/SIZE" },
	{ "10%/5G/6G", RESOURCE_SPACE, "is not a level", "N%/SIZE" },
	{ "10/5%", RESOURCE_SPACE, "is not a level", "N%/SIZE" },
	{ "10%/3blocks", RESOURCE_SPACE, "is not a level", "N%/SIZE" },
	{ "18446744073709551616", RESOURCE_SPACE, "is too large", "18446744073709551615 bytes" },
	{ "16777216T", RESOURCE_SPACE, "is too large", "18446744073709551615 bytes" },
	{ "99999999999999999999blocks", RESOURCE_SPACE, "is too large", "Nblocks" },
	{ "1%/99999999999T", RESOURCE_SPACE, "is too large", "N%/SIZE" },
	{ "99999999999999999999%", RESOURCE_SPACE, "is too large", "N%" },
	{ "5K", RESOURCE_INODES, "'5K' is not a level", "a number of inodes" },
	{ "5blocks", RESOURCE_INODES, "'5blocks' is not", "a number of inodes" },
	{ "5%/1K", RESOURCE_INODES, "'5%/1K' is not", "N%/N" },
	{ "18446744073709551616", RESOURCE_INODES, "is too large", "inodes" },
	{ "a\x1b[31m\xff", RESOURCE_SPACE, "'a\\033[31m\\377' is not", "Nblocks" },
};

static void test_level_refused(void **state)
{
	for (size_t i = 0; i < N(level_refusals); i++) {
		const struct refusal_row *row = &level_refusals[i];
		struct level level = { LEVEL_BLOCKS, 42, 42 };
		struct grammar_error error = {};

		assert_int_equal(grammar_parse_level(row->text, row->resource, &level, &error),
				 -EINVAL);
		assert_int_equal(level.value, 42);
		if (!strstr(error.text, row->said) || !strstr(error.text, row->allowed))
			fail_msg("'%s': %s", row->text, error.text);
	}
}

static void test_level_refused_long(void **state)
{
	struct grammar_error error;
	char text[4096];
	struct level level;

	memset(text, '\x01', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(grammar_parse_level(text, RESOURCE_SPACE, &level, &error), -EINVAL);
	assert_non_null(strstr(error.text, "\\001...' is not a level"));
	assert_non_null(strstr(error.text, "Nblocks"));
}

static void test_threshold_accepted(void **state)
{
	struct grammar_error error;
	struct threshold_spec spec;

	assert_int_equal(grammar_parse_threshold("low space 10%/10G warning", &spec, &error), 0);
	assert_string_equal(spec.name, "low");
	assert_int_equal(spec.resource, RESOURCE_SPACE);
	assert_int_equal(spec.level.kind, LEVEL_PERCENT_OR_SIZE);
	assert_int_equal(spec.hysteresis.kind, LEVEL_NONE);
	assert_int_equal(spec.severity, SEVERITY_WARNING);

	assert_int_equal(grammar_parse_threshold("\ta-9  inodes\t500 critical hysteresis 5% ",
						 &spec, &error),
			 0);
	assert_string_equal(spec.name, "a-9");
	assert_int_equal(spec.resource, RESOURCE_INODES);
	assert_int_equal(spec.level.kind, LEVEL_INODES);
	assert_int_equal(spec.severity, SEVERITY_CRITICAL);
	assert_int_equal(spec.hysteresis.kind, LEVEL_PERCENT);
	assert_int_equal(spec.hysteresis.percent, 5);

	/* the severity may be left out with and without hysteresis */
	assert_int_equal(grammar_parse_threshold("x space 1G hysteresis 0", &spec, &error), 0);
	assert_int_equal(spec.severity, SEVERITY_WARNING);
	assert_int_equal(spec.hysteresis.kind, LEVEL_BYTES);
	assert_int_equal(grammar_parse_threshold("x space 1G info", &spec, &error), 0);
	assert_int_equal(spec.severity, SEVERITY_INFO);

	assert_int_equal(grammar_parse_threshold("abcdefghijklmnopqrstuvwxyz-01234 space 1", &spec,
						 &error),
			 0);
	assert_int_equal(strlen(spec.name), THRESHOLD_NAME_MAX);
}

static void test_threshold_refused(void **state)
{
	static const struct refusal_row rows[] = {
		{ "", 0, "'' is not a threshold's name", "1 to 32 of a-z" },
		{ "Low space 1G", 0, "'Low' is not a threshold's name", "1 to 32 of a-z" },
		{ "a_b space 1G", 0, "'a_b' is not", "1 to 32 of a-z" },
		{ "abcdefghijklmnopqrstuvwxyz-012345 space 1", 0, "is not a threshold's name",
		  "1 to 32" },
		{ "low", 0, "'' is not what a threshold counts", "space or inodes" },
		{ "low bytes 1G", 0, "'bytes' is not what", "space or inodes" },
		{ "low space", 0, "the level is missing", "LEVEL" },
		{ "low space warning", 0, "'warning' is not a level", "N%" },
		{ "low inodes 5G", 0, "'5G' is not a level", "a number of inodes" },
		{ "low space 1G fatal", 0, "'fatal' is not expected",
		  "info|notice|warning|critical" },
		{ "low space 1G warning hysteresis", 0, "after 'hysteresis' is missing", "LEVEL" },
		{ "low space 1G hysteresis x", 0, "'x' is not a level", "N%" },
		{ "low space 1G hysteresis 1M warning", 0, "'warning' is not expected",
		  "[hysteresis LEVEL]" },
		{ "low space 1G 2G", 0, "'2G' is not expected", "[hysteresis LEVEL]" },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct threshold_spec spec = { .name = "kept" };
		struct grammar_error error = {};

		assert_int_equal(grammar_parse_threshold(rows[i].text, &spec, &error), -EINVAL);
		assert_string_equal(spec.name, "kept");
		if (!strstr(error.text, rows[i].said) || !strstr(error.text, rows[i].allowed))
			fail_msg("'%s': %s", rows[i].text, error.text);
	}
}

static void test_events(void **state)
{
	struct grammar_error error;
	char text[GRAMMAR_EVENTS_MAX];
	uint32_t set;

	assert_int_equal(grammar_parse_events("all", &set, &error), 0);
	assert_int_equal(set, EVENT_CODES_ALL);
	assert_int_equal(grammar_parse_events(" none ", &set, &error), 0);
	assert_int_equal(set, 0);
	assert_int_equal(grammar_parse_events("enospc, io-error,enospc", &set, &error), 0);
	assert_int_equal(set, 1U << EVENT_ENOSPC | 1U << EVENT_IO_ERROR);

	/* every set with one code missing is the longest of its kind and comes back equal */
	for (unsigned int i = 0; i < _EVENT_CODE_N; i++) {
		uint32_t most = EVENT_CODES_ALL & ~(1U << i);

		grammar_format_events(most, text);
		assert_int_equal(grammar_parse_events(text, &set, &error), 0);
		assert_int_equal(set, most);
		grammar_format_events(1U << i, text);
		assert_string_equal(text, event_code_name((enum event_code)i));
	}
	grammar_format_events(EVENT_CODES_ALL, text);
	assert_string_equal(text, "all");
	grammar_format_events(0, text);
	assert_string_equal(text, "none");
}

static void test_events_refused(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		"enospc,",
		",enospc",
		"enospc,,io-error",
		"ENOSPC",
		"enospc io-error",
		"all,enospc",
		"none,enospc",
		"threshold",
	};

	for (size_t i = 0; i < N(bad); i++) {
		struct grammar_error error = {};
		uint32_t set = 4711;

		assert_int_equal(grammar_parse_events(bad[i], &set, &error), -EINVAL);
		assert_int_equal(set, 4711);
		/* the list of what is allowed is whole */
		assert_non_null(strstr(error.text, "is not an event code: allowed is all, none"));
		assert_non_null(strstr(error.text, "enospc, enospc-metadata"));
		assert_string_equal(error.text + strlen(error.text) - strlen("responding"),
				    "responding");
	}
}

static void test_values(void **state)
{
	static const char *const yes[] = { "yes", "true", "on", "1", " yes\t" };
	static const char *const no[] = { "no", "false", "off", "0" };
	struct grammar_error error = {};
	uint64_t value = 0;
	bool flag = false;

	for (size_t i = 0; i < N(yes); i++) {
		assert_int_equal(grammar_parse_bool(yes[i], &flag, &error), 0);
		assert_true(flag);
	}
	for (size_t i = 0; i < N(no); i++) {
		assert_int_equal(grammar_parse_bool(no[i], &flag, &error), 0);
		assert_false(flag);
	}
	assert_int_equal(grammar_parse_bool("Yes", &flag, &error), -EINVAL);
	assert_non_null(strstr(error.text, "allowed is yes"));
	assert_int_equal(grammar_parse_bool("", &flag, &error), -EINVAL);

	assert_int_equal(grammar_parse_size("64K", &value, &error), 0);
	assert_int_equal(value, 65536);
	assert_int_equal(grammar_parse_size("64k", &value, &error), -EINVAL);
	assert_non_null(strstr(error.text, "K, M, G or T"));
	assert_int_equal(grammar_parse_size("18446744073709551615K", &value, &error), -EINVAL);
	assert_non_null(strstr(error.text, "too large"));
	assert_int_equal(value, 65536);

	assert_int_equal(grammar_parse_number("5", 5, 7, &value, &error), 0);
	assert_int_equal(value, 5);
	assert_int_equal(grammar_parse_number("7", 5, 7, &value, &error), 0);
	assert_int_equal(grammar_parse_number("8", 5, 7, &value, &error), -EINVAL);
	assert_non_null(strstr(error.text, "allowed is 5 to 7"));
	assert_int_equal(grammar_parse_number("4", 5, 7, &value, &error), -EINVAL);
	assert_int_equal(grammar_parse_number("99999999999999999999", 5, 7, &value, &error),
			 -EINVAL);
	assert_int_equal(grammar_parse_number("", 0, 7, &value, &error), -EINVAL);
	assert_int_equal(value, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level_accepted),
		cmocka_unit_test(test_level_format),
		cmocka_unit_test(test_level_refused),
		cmocka_unit_test(test_level_refused_long),
		cmocka_unit_test(test_threshold_accepted),
		cmocka_unit_test(test_threshold_refused),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_events_refused),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
