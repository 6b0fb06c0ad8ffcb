/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/mountinfo.h"

#define ENTRIES_MAX 8

struct parsed {
	struct mountinfo_entry entries[ENTRIES_MAX];
	size_t n_entries;
	int stop_after; /* 0: never */
};

static int on_entry(const struct mountinfo_entry *entry, void *userdata)
{
	struct parsed *parsed = userdata;

	assert_true(parsed->n_entries < ENTRIES_MAX);
	parsed->entries[parsed->n_entries++] = *entry;
	return parsed->stop_after == (int)parsed->n_entries ? -7 : 0;
}

/* Parses an exact copy, so that a sanitizer sees a read or write past its end. */
static char *parse(const char *text, size_t n, struct parsed *parsed, size_t *ret_skipped)
{
	char *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	memcpy(copy, text, n);
	*parsed = (struct parsed){};
	assert_int_equal(mountinfo_parse(copy, n, on_entry, parsed, ret_skipped), 0);
	return copy;
}

static void test_ordinary(void **state)
{
	static const char text[] = "36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 shared:3 - "
				   "ext3 /dev/root rw,errors=continue\n"
				   "22 27 0:21 / /proc ro,relatime - proc proc rw\n";
	struct parsed parsed;
	size_t skipped = 99;
	char *copy = parse(text, strlen(text), &parsed, &skipped);

	assert_int_equal(skipped, 0);
	assert_int_equal(parsed.n_entries, 2);
	assert_int_equal(parsed.entries[0].id, 36);
	assert_int_equal(parsed.entries[0].parent, 35);
	assert_int_equal(parsed.entries[0].major, 98);
	assert_int_equal(parsed.entries[0].minor, 0);
	assert_string_equal(parsed.entries[0].root, "/mnt1");
	assert_string_equal(parsed.entries[0].where, "/mnt/parent");
	assert_string_equal(parsed.entries[0].options, "rw,noatime");
	assert_string_equal(parsed.entries[0].type, "ext3");
	assert_string_equal(parsed.entries[0].source, "/dev/root");
	assert_string_equal(parsed.entries[0].super_options, "rw,errors=continue");
	assert_int_equal(parsed.entries[1].minor, 21);
	assert_string_equal(parsed.entries[1].type, "proc");
	free(copy);
}

static void test_bytes(void **state)
{
	/* newline, space, tab, backslash, # and bytes that are no UTF-8 */
	static const char text[] = "1 0 0:5 /a\\040b//deleted /m\\012n\\011\xff\\134x\\043\xc3 rw "
				   "- tmpfs \\134\\134srv\\040s rw,lowerdir=/a\\054b\n";
	struct parsed parsed;
	char *copy = parse(text, strlen(text), &parsed, NULL);

	assert_int_equal(parsed.n_entries, 1);
	assert_string_equal(parsed.entries[0].root, "/a b//deleted");
	assert_string_equal(parsed.entries[0].where, "/m\nn\t\xff\\x#\xc3");
	assert_string_equal(parsed.entries[0].source, "\\\\srv s");
	assert_string_equal(parsed.entries[0].super_options, "rw,lowerdir=/a\\054b");
	free(copy);
}

static void test_stray_backslash_stays(void **state)
{
	static const char text[] = "1 0 0:5 / /a\\9\\777\\12 rw - t \\\\srv\\ rw\\\n";
	struct parsed parsed;
	char *copy = parse(text, strlen(text), &parsed, NULL);

	assert_int_equal(parsed.n_entries, 1);
	assert_string_equal(parsed.entries[0].where, "/a\\9\\777\\12");
	assert_string_equal(parsed.entries[0].source, "\\\\srv\\");
	assert_string_equal(parsed.entries[0].super_options, "rw\\");
	free(copy);
}

static void test_empty_source(void **state)
{
	static const char text[] = "1 0 0:5 / /a rw - tmpfs  rw\n1 0 0:5 / /b rw - tmpfs  \n";
	struct parsed parsed;
	char *copy = parse(text, strlen(text), &parsed, NULL);

	assert_int_equal(parsed.n_entries, 2);
	assert_string_equal(parsed.entries[0].source, "");
	assert_string_equal(parsed.entries[0].super_options, "rw");
	assert_string_equal(parsed.entries[1].super_options, "");
	free(copy);
}

static void test_no_final_newline(void **state)
{
	static const char text[] =
		"1 0 0:5 / /first rw - t s rw\n23 45 67:89 /root /where ro x:1 - type source super";
	struct parsed parsed;
	char *copy = parse(text, strlen(text), &parsed, NULL);

	assert_int_equal(parsed.n_entries, 2);
	/* Both live as long as the text: the second one did not move into the first. */
	assert_string_equal(parsed.entries[0].where, "/first");
	assert_string_equal(parsed.entries[0].super_options, "rw");
	assert_int_equal(parsed.entries[1].id, 23);
	assert_int_equal(parsed.entries[1].minor, 89);
	assert_string_equal(parsed.entries[1].root, "/root");
	assert_string_equal(parsed.entries[1].where, "/where");
	assert_string_equal(parsed.entries[1].super_options, "super");
	free(copy);
}

static void test_malformed(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"1",
		"1 ",
		"1 0 0:5",
		"1 0 0:5 ",
		"1 0 0:5 / ",
		"1 0 0:5 / /a",
		"1 0 0:5 / /a rw",
		"1 0 0:5 / /a rw shared:1 tmpfs s rw",
		"1 0 0:5 / /a rw -",
		"1 0 0:5 / /a rw - tmpfs",
		"1 0 0:5 / /a rw - tmpfs s",
		"1 0 0:5 / /a rw -  s rw",
		"1 0 0:5  /a rw - t s rw",
		"1 0 0:5 / a rw - t s rw",
		"1 0 0:5 /  rw - t s rw",
		"x 0 0:5 / /a rw - t s rw",
		"-1 0 0:5 / /a rw - t s rw",
		"+1 0 0:5 / /a rw - t s rw",
		"1  0:5 / /a rw - t s rw",
		"1 0 0 / /a rw - t s rw",
		"1 0 0: / /a rw - t s rw",
		"1 0 :5 / /a rw - t s rw",
		"1 0 0x1:5 / /a rw - t s rw",
		"4294967296 0 0:5 / /a rw - t s rw",
		"1 0 0:99999999999999999999999 / /a rw - t s rw",
		"1 0 0:5 / /a\\000b rw - t s rw",
		"1 0 0:5 / /a rw - t s\\000 rw",
		"\xff\xfe\xfd",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char text[256];
		struct parsed parsed;
		size_t skipped;
		int n;
		char *copy;

		/* Between good lines, which must survive it; and alone at the end. */
		n = snprintf(text, sizeof(text),
			     "7 0 0:5 / /b rw - t s rw\n%s\n8 0 0:5 / /c rw - t s rw\n", lines[i]);
		copy = parse(text, (size_t)n, &parsed, &skipped);
		if (skipped != 1 || parsed.n_entries != 2)
			fail_msg("line '%s': skipped %zu, entries %zu", lines[i], skipped,
				 parsed.n_entries);
		assert_int_equal(parsed.entries[1].id, 8);
		free(copy);

		copy = parse(lines[i], strlen(lines[i]), &parsed, &skipped);
		assert_int_equal(parsed.n_entries, 0);
		assert_int_equal(skipped, strlen(lines[i]) > 0);
		free(copy);
	}
}

static void test_nul_inside(void **state)
{
	static const char text[] = "1 0 0:5 / /a rw - t s\0 rw\n8 0 0:5 / /c rw - t s rw\n";
	struct parsed parsed;
	size_t skipped;
	char *copy = parse(text, sizeof(text) - 1, &parsed, &skipped);

	assert_int_equal(skipped, 1);
	assert_int_equal(parsed.n_entries, 1);
	assert_string_equal(parsed.entries[0].where, "/c");
	free(copy);
}

static void test_boundary_numbers(void **state)
{
	static const char text[] = "4294967295 4294967295 4294967295:4294967295 / / rw - t s rw";
	struct parsed parsed;
	char *copy = parse(text, strlen(text), &parsed, NULL);

	assert_int_equal(parsed.n_entries, 1);
	assert_int_equal(parsed.entries[0].id, UINT32_MAX);
	assert_int_equal(parsed.entries[0].minor, UINT32_MAX);
	free(copy);
}

static void test_long_line(void **state)
{
	size_t n_where = 1 << 20, n = 0;
	struct parsed parsed;
	char *text = malloc(n_where + 128), *copy;

	if (!text)
		abort();
	n += (size_t)sprintf(text, "1 0 0:5 / /");
	memset(text + n, 'x', n_where);
	n += n_where;
	n += (size_t)sprintf(text + n, " rw - t s rw\n");

	copy = parse(text, n, &parsed, NULL);
	assert_int_equal(parsed.n_entries, 1);
	assert_int_equal(strlen(parsed.entries[0].where), n_where + 1);
	free(copy);
	free(text);
}

static void test_every_cut(void **state)
{
	static const char text[] =
		"36 35 98:0 /mnt1 /m\\040t rw,noatime master:1 - ext3 /dev/root rw,e=c\n";

	/* A reading may be cut anywhere: at most one entry, and no byte past the end. */
	for (size_t n = 0; n < strlen(text); n++) {
		struct parsed parsed;
		size_t skipped;
		char *copy = parse(text, n, &parsed, &skipped);

		assert_int_equal(parsed.n_entries + skipped, n > 0);
		free(copy);
	}
}

static void test_stops(void **state)
{
	char text[] =
		"1 0 0:5 / /a rw - t s rw\n2 0 0:5 / /b rw - t s rw\n3 0 0:5 / /c rw - t s rw\n";
	struct parsed parsed = { .stop_after = 2 };
	size_t skipped = 42;

	assert_int_equal(mountinfo_parse(text, strlen(text), on_entry, &parsed, &skipped), -7);
	assert_int_equal(parsed.n_entries, 2);
	assert_int_equal(skipped, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_stray_backslash_stays),
		cmocka_unit_test(test_empty_source),
		cmocka_unit_test(test_no_final_newline),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nul_inside),
		cmocka_unit_test(test_boundary_numbers),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
