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
#include "daemon/core/escape.h"

struct escape_row {
	const char *in;
	const char *out;
	unsigned int flags;
};

static const struct escape_row escape_rows[] = {
	{ "", "", 0 },
	{ "/srv/data", "/srv/data", 0 },
	{ "/a b", "/a b", 0 },
	{ "a\\b", "a\\134b", 0 },
	{ "\\040", "\\134040", 0 },
	{ "a\nb\tc\rd", "a\\012b\\011c\\015d", 0 },
	{ "\x1b[31mred", "\\033[31mred", 0 },
	{ "\x01\x1f\x7f", "\\001\\037\\177", 0 },
	/* C1: U+0080 and U+009F; U+00A0 is text */
	{ "\xc2\x80\xc2\x9f\xc2\xa0", "\\302\\200\\302\\237\xc2\xa0", 0 },
	/* bidirectional controls and separators, with the neighbours that are text */
	{ "\xd8\x9c", "\\330\\234", 0 },
	{ "\xd8\x9b", "\xd8\x9b", 0 },
	{ "\xe2\x80\x8d", "\xe2\x80\x8d", 0 },
	{ "\xe2\x80\x8e\xe2\x80\x8f", "\\342\\200\\216\\342\\200\\217", 0 },
	{ "\xe2\x80\xa7", "\xe2\x80\xa7", 0 },
	{ "\xe2\x80\xa8\xe2\x80\xa9", "\\342\\200\\250\\342\\200\\251", 0 },
	{ "\xe2\x80\xaa\xe2\x80\xae", "\\342\\200\\252\\342\\200\\256", 0 },
	{ "\xe2\x80\xaf", "\xe2\x80\xaf", 0 },
	{ "\xe2\x81\xa5", "\xe2\x81\xa5", 0 },
	{ "\xe2\x81\xa6\xe2\x81\xa9", "\\342\\201\\246\\342\\201\\251", 0 },
	{ "\xe2\x81\xaa", "\xe2\x81\xaa", 0 },
	/* valid text of two, three and four bytes */
	{ "gr\xc3\xb6\xc3\x9f"
	  "er",
	  "gr\xc3\xb6\xc3\x9f"
	  "er",
	  0 },
	{ "\xe6\x97\xa5\xf0\x9f\x92\xbe", "\xe6\x97\xa5\xf0\x9f\x92\xbe", 0 },
	{ "\xf4\x8f\xbf\xbd", "\xf4\x8f\xbf\xbd", 0 },
	/* noncharacters: U+10FFFF, U+FFFE, U+1FFFF, U+FDD0 to U+FDEF, with neighbours */
	{ "\xf4\x8f\xbf\xbf", "\\364\\217\\277\\277", 0 },
	{ "\xef\xbf\xbd\xef\xbf\xbe", "\xef\xbf\xbd\\357\\277\\276", 0 },
	{ "\xf0\x9f\xbf\xbf", "\\360\\237\\277\\277", 0 },
	{ "\xef\xb7\x8f\xef\xb7\xb0", "\xef\xb7\x8f\xef\xb7\xb0", 0 },
	{ "\xef\xb7\x90\xef\xb7\xaf", "\\357\\267\\220\\357\\267\\257", 0 },
	/* not UTF-8: lone continuation, overlong, surrogate, too large, cut short */
	{ "\x80", "\\200", 0 },
	{ "\xc0\xaf", "\\300\\257", 0 },
	{ "\xc1\xbf", "\\301\\277", 0 },
	{ "\xe0\x80\xaf", "\\340\\200\\257", 0 },
	{ "\xe0\x9f\xbf", "\\340\\237\\277", 0 },
	{ "\xf0\x8f\xbf\xbf", "\\360\\217\\277\\277", 0 },
	{ "\xed\xa0\x80", "\\355\\240\\200", 0 },
	{ "\xed\xbf\xbf", "\\355\\277\\277", 0 },
	{ "\xed\x9f\xbf", "\xed\x9f\xbf", 0 },
	{ "\xf4\x90\x80\x80", "\\364\\220\\200\\200", 0 },
	{ "\xf8\x88\x80\x80\x80", "\\370\\210\\200\\200\\200", 0 },
	{ "\xff\xfe", "\\377\\376", 0 },
	{ "\xe2\x80", "\\342\\200", 0 },
	{ "\xc3", "\\303", 0 },
	{ "\xc3(", "\\303(", 0 },
	/* grammar */
	{ "/a b;#]\"'!", "/a\\040b\\073\\043\\135\\042\\047!", ESCAPE_GRAMMAR },
	{ "/home/u/x;!/", "/home/u/x\\073!/", ESCAPE_GRAMMAR },
	{ "[x] ;", "[x] ;", 0 },
};

static void test_escape_table(void **state)
{
	for (size_t i = 0; i < sizeof(escape_rows) / sizeof(*escape_rows); i++) {
		const struct escape_row *row = &escape_rows[i];
		_cleanup_free_ char *text = NULL;
		char back[64];

		text = escape_new(row->in, strlen(row->in), row->flags);
		assert_non_null(text);
		assert_string_equal(text, row->out);
		assert_int_equal(escape_length(row->in, strlen(row->in), row->flags),
				 strlen(row->out));
		assert_int_equal(unescape(back, text, strlen(text)), strlen(row->in));
		assert_string_equal(back, row->in);
	}
}

static void test_escape_nul(void **state)
{
	_cleanup_free_ char *text = escape_new("a\0b", 3, 0);

	assert_string_equal(text, "a\\000b");
}

/* Every byte, alone and followed by every other: output is ASCII or what went in. */
static void test_escape_pairs(void **state)
{
	for (unsigned int a = 1; a < 256; a++) {
		for (unsigned int b = 1; b < 256; b++) {
			uint8_t in[2] = { (uint8_t)a, (uint8_t)b };
			char out[9], back[9];
			size_t n;

			n = escape(out, sizeof(out), in, 2, ESCAPE_GRAMMAR);
			assert_int_equal(n, escape_length(in, 2, ESCAPE_GRAMMAR));
			assert_null(strpbrk(out, " ;#]\"'\n\t"));
			assert_int_equal(unescape(back, out, n), 2);
			assert_memory_equal(back, in, 2);
			if (n == 2 && a >= 0x80)
				assert_true(a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf);
		}
	}
}

static void test_escape_cut(void **state)
{
	static const char in[] = "a\n\xe6\x97\xa5z";
	static const char *const out[] = {
		"",
		"a",
		"a",
		"a",
		"a",
		"a\\012",
		"a\\012",
		"a\\012",
		"a\\012\xe6\x97\xa5",
		"a\\012\xe6\x97\xa5z",
		"a\\012\xe6\x97\xa5z",
	};

	for (size_t n = 1; n <= sizeof(out) / sizeof(*out); n++) {
		char *buffer = malloc(n);

		assert_int_equal(escape(buffer, n, in, strlen(in), 0), strlen(out[n - 1]));
		assert_string_equal(buffer, out[n - 1]);
		free(buffer);
	}
}

static void test_unescape_refused(void **state)
{
	static const char *const bad[] = {
		"\\",	 "a\\",	  "\\0", "\\04", "\\04x", "\\400",    "\\777",
		"\\000", "\\x41", "\\n", "\\\\", "\\08 ", "\\1234\\", "a\\040\\9",
	};
	char out[32];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(unescape(out, bad[i], strlen(bad[i])), -EINVAL);
}

static void test_unescape_in_place(void **state)
{
	char text[] = "/a\\040b\\134\\377c";

	assert_int_equal(unescape(text, text, strlen(text)), 7);
	assert_string_equal(text, "/a b\\\377c");
	/* the length counts, not a NUL: nothing past it is looked at */
	assert_int_equal(unescape(text, "ab\\040", 2), 2);
	assert_int_equal(unescape(text, "ab\\040", 5), -EINVAL);
}

static void test_is_utf8(void **state)
{
	static const char *const good[] = {
		"",
		"abc",
		"\x01\x7f",
		"\xc2\x80",
		"\xed\x9f\xbf",
		"\xef\xbf\xbe",
		"\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
		"\x80",	    "a\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xe2\x80", "\xc3(",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(escape_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(escape_is_utf8(bad[i], strlen(bad[i])));
	assert_true(escape_is_utf8("a\0b", 3));
	/* cut within a character */
	assert_false(escape_is_utf8("\xe6\x97\xa5", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape_table),	 cmocka_unit_test(test_escape_nul),
		cmocka_unit_test(test_escape_pairs),	 cmocka_unit_test(test_escape_cut),
		cmocka_unit_test(test_unescape_refused), cmocka_unit_test(test_unescape_in_place),
		cmocka_unit_test(test_is_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
