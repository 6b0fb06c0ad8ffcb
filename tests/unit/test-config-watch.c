/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "include/fsevents_stream.h"
#include "tests/unit/config-fixture.h"

static void test_watch(void **state)
{
	const struct config_text texts[] = {
		text_of("/etc/fsevents.conf", "[watch /srv/a\\040b]\n"
					      "[watch /etc/ssh]\n"
					      "events = create,move-self\n"
					      "recursive = yes\n"
					      "log-level = warning\n"
					      "[watch /none]\n"
					      "events = none\n"),
		text_of("/etc/fsevents.conf.d/a.conf", "[watch /etc/ssh]\n"
						       "events = all\n"),
	};
	const struct config_watch *watch;
	struct config *config;
	size_t index = 0;

	config = parse_good(texts, 1);
	watch = config_watch_next(config, &index);
	assert_string_equal(watch->path, "/etc/ssh");
	assert_int_equal(watch->mask, FSEVENTS_CREATE | FSEVENTS_MOVE_SELF);
	assert_true(watch->recursive);
	assert_int_equal(watch->log_level, CONFIG_LOG_WARNING);
	watch = config_watch_next(config, &index);
	assert_string_equal(watch->path, "/none");
	assert_int_equal(watch->mask, 0);
	watch = config_watch_next(config, &index);
	assert_string_equal(watch->path, "/srv/a b");
	assert_int_equal(watch->mask, FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_MOVE |
					      FSEVENTS_ATTRIB | FSEVENTS_CLOSE_WRITE);
	assert_false(watch->recursive);
	assert_int_equal(watch->log_level, CONFIG_LOG_INFO);
	assert_null(config_watch_next(config, &index));
	config_free(config);

	/* per key, a later file wins */
	config = parse_good(texts, N(texts));
	index = 0;
	watch = config_watch_next(config, &index);
	assert_true(watch->mask & FSEVENTS_ACCESS);
	assert_true(watch->recursive);
	config_free(config);
}

static void test_bound(void **state)
{
	struct config_problems problems = {};
	struct config_text file;
	struct config *config;
	char *text = NULL;
	size_t n, index = 0, n_watches = 0;
	FILE *stream = open_memstream(&text, &n);

	assert_non_null(stream);
	for (unsigned int i = 0; i <= CONFIG_WATCHES_MAX; i++)
		fprintf(stream, "[watch /%u]\nrecursive = yes\n", i);
	assert_int_equal(fclose(stream), 0);

	file = text_of("/etc/fsevents.conf", text);
	assert_int_equal(config_parse(&config, &file, 1, &problems), 0);
	while (config_watch_next(config, &index))
		n_watches++;
	assert_int_equal(n_watches, CONFIG_WATCHES_MAX);
	assert_int_equal(problems.n_items, 1);
	assert_non_null(strstr(problems.items[0].message, "at most 256 [watch PATH]"));
	config_problems_deinit(&problems);
	config_free(config);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
