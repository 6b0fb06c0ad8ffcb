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
#include "daemon/core/file-url.h"

static const struct {
	const char *path, *url;
} pairs[] = {
	{ "/", "file:///" },
	{ "/srv/data-1_2.x~", "file:///srv/data-1_2.x~" },
	{ "/a b#c?d%e\nf", "file:///a%20b%23c%3Fd%25e%0Af" },
	{ "/gr\xc3\xbc\xff", "file:///gr%C3%BC%FF" },
	{ "/<b>&\"'", "file:///%3Cb%3E%26%22%27" },
	{ "/a/...", "file:///a/..." },
};

static void test_there_and_back(void **state)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		_cleanup_free_ char *url = file_url_new(pairs[i].path);
		char path[256];

		assert_string_equal(url, pairs[i].url);
		assert_int_equal(file_url_decode(path, url, strlen(url)), strlen(pairs[i].path));
		assert_string_equal(path, pairs[i].path);
	}
}

static void test_every_byte(void **state)
{
	char path[257] = "/", back[257 * 3 + 8];

	for (int c = 1; c < 256; c++)
		path[c] = (char)c;
	_cleanup_free_ char *url = file_url_new(path);

	assert_int_equal(file_url_decode(back, url, strlen(url)), strlen(path));
	assert_string_equal(back, path);
}

static void test_refused(void **state)
{
	static const char *const urls[] = {
		"",
		"file://",
		"file:/srv",
		"file://host/srv",
		"FILE:///srv",
		"http:///srv",
		"smb://server/share",
		"/srv",
		"file:///a?b",
		"file:///a#b",
		"file:///%",
		"file:///%4",
		"file:///%zz",
		"file:///a%00b",
		"file:///..",
		"file:///a/../b",
		"file:///a/%2e%2E/b",
		"file:///a/./b",
		"file:///a/.",
	};
	char path[64];

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		assert_int_equal(file_url_decode(path, urls[i], strlen(urls[i])), -EINVAL);
	assert_int_equal(file_url_decode(path, "file:///a\0b", 11), -EINVAL);
}

static void test_long(void **state)
{
	_cleanup_free_ char *url = malloc(FILE_URL_MAX + 2), *path = malloc(FILE_URL_MAX + 2);

	assert_non_null(url);
	assert_non_null(path);
	memset(url, 'a', FILE_URL_MAX + 2);
	memcpy(url, "file:///", 8);
	assert_int_equal(file_url_decode(path, url, FILE_URL_MAX), FILE_URL_MAX - 7);
	assert_int_equal(file_url_decode(path, url, FILE_URL_MAX + 1), -EINVAL);
}

static void test_markup(void **state)
{
	_cleanup_free_ char *empty = markup_escape_new("");
	_cleanup_free_ char *text = markup_escape_new("<a href=\"x\">R&D's</a> gr\xc3\xbc");

	assert_string_equal(empty, "");
	assert_string_equal(text, "&lt;a href=&quot;x&quot;&gt;R&amp;D&#39;s&lt;/a&gt; gr\xc3\xbc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_long),
		cmocka_unit_test(test_markup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
