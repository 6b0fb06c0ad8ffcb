/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The sample file ($FSEVENTS_CONF): as it is installed it says nothing, and
 * with every line put in force it says the defaults and nothing wrong.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"

static char *read_sample(void)
{
	const char *path = getenv("FSEVENTS_CONF");
	char *text = calloc(1, CONFIG_FILE_MAX);
	FILE *file;

	assert_non_null(path);
	assert_non_null(text);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(text, 1, CONFIG_FILE_MAX - 1, file) > 1000);
	fclose(file);
	return text;
}

/* A "#" right before a section or a key is taken away. */
static void put_in_force(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (*from != '#' || (from != text && from[-1] != '\n') ||
		    !strchr("[abcdefghijklmnopqrstuvwxyz", from[1]))
			*to++ = *from;
	*to = '\0';
}

static struct config *parse(const char *text)
{
	const struct config_text file = { .name = "sample", .text = text, .n_text = strlen(text) };
	struct config_problems problems = {};
	struct config *config;

	assert_int_equal(config_parse(&config, &file, 1, &problems), 0);
	if (problems.n_items > 0)
		fail_msg("line %u: %s: %s", problems.items[0].line, problems.items[0].key,
			 problems.items[0].message);
	config_problems_deinit(&problems);
	return config;
}

static void assert_equal(const struct config *a, const struct config *b)
{
	static const struct config_match match = { .is_default = true };
	struct config_settings of_a, of_b;

	assert_memory_equal(config_daemon(a), config_daemon(b), sizeof(*config_daemon(a)));
	assert_memory_equal(config_limits(a), config_limits(b), sizeof(*config_limits(a)));
	config_resolve(a, &match, &of_a);
	config_resolve(b, &match, &of_b);
	assert_int_equal(of_a.n_thresholds, 3);
	assert_memory_equal(&of_a, &of_b, sizeof(of_a));
}

static void test_sample(void **state)
{
	_cleanup_(config_freep) struct config *defaults = parse(""), *as_is = NULL, *all = NULL;
	_cleanup_free_ char *text = read_sample();

	as_is = parse(text);
	assert_equal(as_is, defaults);
	put_in_force(text);
	assert_non_null(strstr(text, "\nexits = none\n"));
	all = parse(text);
	assert_equal(all, defaults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
