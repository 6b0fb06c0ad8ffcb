/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config-fixture.h"

static void test_process(void **state)
{
	const struct config_text texts[] = {
		text_of("/etc/fsevents.conf", "[process web]\n"
					      "command = /usr/sbin/ng\\040inx\n"
					      "unit = system-getty\\x2d.slice.d@1.service\n"
					      "user = www-data\n"
					      "fork-rate = 1000000/s\n"
					      "exits = signal\n"
					      "[process db_1.2]\n"
					      "user = 1000\n"
					      "exits = none\n"),
		text_of("/etc/fsevents.conf.d/a.conf", "[process web]\n"
						       "command = nginx\n"
						       "exits = status\n"),
	};
	struct config *config;
	struct process_rule rule;
	size_t index = 0;

	config = parse_good(texts, 1);
	assert_true(config_process_next(config, &index, &rule));
	assert_string_equal(rule.name, "db_1.2");
	assert_null(rule.command);
	assert_null(rule.unit);
	assert_string_equal(rule.user, "1000");
	assert_int_equal(rule.user_line, 8);
	assert_int_equal(rule.fork_rate, 0);
	assert_int_equal(rule.exits, PROCESS_EXITS_NONE);
	assert_true(config_process_next(config, &index, &rule));
	assert_string_equal(rule.name, "web");
	assert_string_equal(rule.command, "/usr/sbin/ng inx");
	assert_string_equal(rule.unit, "system-getty\\x2d.slice.d@1.service");
	assert_string_equal(rule.user, "www-data");
	assert_string_equal(rule.user_file, "/etc/fsevents.conf");
	assert_int_equal(rule.user_line, 4);
	assert_int_equal(rule.fork_rate, 1000000);
	assert_int_equal(rule.exits, PROCESS_EXITS_SIGNAL);
	assert_false(config_process_next(config, &index, &rule));
	config_free(config);

	/* per key, a later file wins */
	config = parse_good(texts, N(texts));
	index = 1;
	assert_true(config_process_next(config, &index, &rule));
	assert_string_equal(rule.command, "nginx");
	assert_string_equal(rule.user, "www-data");
	assert_int_equal(rule.exits, PROCESS_EXITS_STATUS);
	assert_false(config_process_next(config, &index, &rule));
	config_free(config);
}

static void test_process_many(void **state)
{
	struct config_problems problems = {};
	struct config_text file;
	struct config *config;
	struct process_rule rule;
	char text[8192] = "";
	size_t n = 0, index = 0;

	for (int i = 0; i <= PROCESS_RULES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[process p%d]\nexits = signal\n",
				      i);
	file = text_of("/etc/fsevents.conf", text);
	assert_int_equal(config_parse(&config, &file, 1, &problems), 0);
	assert_int_equal(problems.n_items, 1);
	assert_non_null(strstr(problems.items[0].message, "at most 64 [process NAME]"));
	while (config_process_next(config, &index, &rule))
		;
	assert_int_equal(index, PROCESS_RULES_MAX);
	config_problems_deinit(&problems);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_process_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
