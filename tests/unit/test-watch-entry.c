/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/entry-rate.h"
#include "daemon/core/escape.h"
#include "daemon/core/watch-entry.h"
#include "include/fsevents_stream.h"

static struct change make(uint32_t mask, const char *name, const char *former, uint32_t pid)
{
	return (struct change){
		.mask = mask,
		.pid = pid,
		.name = name,
		.n_name = strlen(name),
		.former = former,
		.n_former = former ? strlen(former) : 0,
	};
}

static void test_what_is_said(void **state)
{
	static const struct {
		const char *root, *name, *former;
		uint32_t mask, pid;
		const char *text, *path, *former_path, *events, *pid_text;
	} cases[] = {
		{ "/etc/ssh", "sshd_config", NULL, FSEVENTS_MODIFY, 123,
		  "/etc/ssh/sshd_config: modified (pid 123)", "/etc/ssh/sshd_config", "", "modify",
		  "123" },
		{ "/etc/ssh/", "a/b", "c", FSEVENTS_MOVE | FSEVENTS_DIRECTORY, 0,
		  "/etc/ssh/a/b: moved, formerly /etc/ssh/c", "/etc/ssh/a/b", "/etc/ssh/c", "move",
		  "" },
		{ "/", "etc", NULL, FSEVENTS_CREATE | FSEVENTS_CLOSE_WRITE | FSEVENTS_MERGED, 0,
		  "/etc: created, written", "/etc", "", "close-write,create", "" },
		{ "//", "", NULL, FSEVENTS_ATTRIB, 0, "/: attributes changed", "/", "", "attrib",
		  "" },
		{ "/etc/passwd", "", NULL, FSEVENTS_DELETE_SELF, 0, "/etc/passwd: deleted",
		  "/etc/passwd", "", "delete-self", "" },
		{ "/tmp", "new\nline\x1b", NULL, FSEVENTS_DELETE, 7,
		  "/tmp/new\\012line\\033: deleted (pid 7)", "/tmp/new\\012line\\033", "", "delete",
		  "7" },
	};
	static struct watch_entry entry;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct change change =
			make(cases[i].mask, cases[i].name, cases[i].former, cases[i].pid);

		watch_entry_change(&entry, cases[i].root, &change);
		assert_string_equal(entry.text, cases[i].text);
		assert_string_equal(entry.path, cases[i].path);
		assert_string_equal(entry.former, cases[i].former_path);
		assert_string_equal(entry.events, cases[i].events);
		assert_string_equal(entry.pid, cases[i].pid_text);
	}
}

/* Of the longest names all that is said is still there, and valid text. */
static void test_longest(void **state)
{
	static char name[CHANGE_NAME_MAX + 1], former[CHANGE_NAME_MAX + 1], root[4096];
	static struct watch_entry entry;
	struct change change;

	memset(name, '\xff', sizeof(name) - 1);
	memset(former, '\n', sizeof(former) - 1);
	memset(root, 'r', sizeof(root) - 1);
	root[0] = '/';
	change = make(WATCH_MASK_ALL, name, former, UINT32_MAX);

	watch_entry_change(&entry, root, &change);
	assert_non_null(strstr(entry.text, ", unmounted, formerly /rrr"));
	assert_non_null(strstr(entry.text, " (pid 4294967295)"));
	assert_true(escape_is_utf8(entry.path, strlen(entry.path)));
	assert_true(strlen(entry.path) > 8000 && strlen(entry.path) < WATCH_ENTRY_PATH_MAX);
	assert_true(strlen(entry.former) > 8000 && strlen(entry.former) < WATCH_ENTRY_PATH_MAX);
	assert_string_equal(entry.events, "access,modify,attrib,close-write,open,create,delete,"
					  "delete-self,move-self,mount,unmount,move");
}

static void test_within(void **state)
{
	static const struct {
		const char *root, *name, *former;
		uint32_t mask;
		bool within;
	} cases[] = {
		{ "/", "var/log/journal/1/system", NULL, FSEVENTS_CREATE, true },
		{ "/", "var/log/journal", NULL, FSEVENTS_ATTRIB, true },
		{ "/", "var/log/journal", NULL, FSEVENTS_CREATE, false },
		{ "/", "var/log/journals", NULL, FSEVENTS_ATTRIB, false },
		{ "/", "var/log", NULL, FSEVENTS_ATTRIB, false },
		{ "/", "", NULL, FSEVENTS_ATTRIB, false },
		{ "/var/log", "journal/x", NULL, FSEVENTS_DELETE, true },
		{ "/var/log/", "journal/x", NULL, FSEVENTS_DELETE, true },
		{ "/var/log", "journal", NULL, FSEVENTS_DELETE, false },
		{ "/var/lo", "g/journal/x", NULL, FSEVENTS_DELETE, false },
		{ "/var/log/journal", "x", NULL, FSEVENTS_DELETE, true },
		{ "/var/log/journal", "", NULL, FSEVENTS_ATTRIB, true },
		{ "/var/log/journal", "", NULL, FSEVENTS_DELETE_SELF, false },
		{ "/var/log/journal/1", "", NULL, FSEVENTS_DELETE_SELF, true },
		{ "/var/log/journal2", "x", NULL, FSEVENTS_DELETE, false },
		{ "/srv", "var/log/journal/x", NULL, FSEVENTS_DELETE, false },
		{ "/var", "log/journal/a", "log/journal/b", FSEVENTS_MOVE, true },
		{ "/var", "log/journal/a", "tmp/b", FSEVENTS_MOVE, false },
		{ "/var", "tmp/b", "log/journal/a", FSEVENTS_MOVE, false },
		{ "/var", "log/journal", "log/journal/a", FSEVENTS_MOVE, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct change change = make(cases[i].mask, cases[i].name, cases[i].former, 0);

		if (watch_entry_is_within(cases[i].root, &change, "/var/log/journal") !=
		    cases[i].within)
			fail_msg("case %zu", i);
	}
}

static void test_rate(void **state)
{
	struct entry_rate rate = {};
	uint64_t now_us = 5;

	for (unsigned int i = 0; i < ENTRY_RATE_MAX; i++)
		assert_true(entry_rate_pass(&rate, now_us++));
	assert_int_equal(rate.until_us, 5 + ENTRY_RATE_WINDOW_US);
	for (unsigned int i = 0; i < 1234; i++)
		assert_false(entry_rate_pass(&rate, now_us++));
	assert_int_equal(entry_rate_take(&rate, rate.until_us - 1), 0);

	/* The entry that tells it is one of the next window. */
	now_us = rate.until_us;
	assert_int_equal(entry_rate_take(&rate, now_us), 1234);
	assert_int_equal(entry_rate_take(&rate, now_us), 0);
	for (unsigned int i = 1; i < ENTRY_RATE_MAX; i++)
		assert_true(entry_rate_pass(&rate, now_us));
	assert_false(entry_rate_pass(&rate, now_us));

	/* A quiet while later there is nothing but that one. */
	now_us += 100 * ENTRY_RATE_WINDOW_US;
	assert_int_equal(entry_rate_take(&rate, now_us), 1);
	assert_int_equal(entry_rate_take(&rate, now_us + ENTRY_RATE_WINDOW_US), 0);
	assert_true(entry_rate_pass(&rate, now_us));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_said),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
