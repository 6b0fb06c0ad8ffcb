/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/file-url.h"

#define SCHEME "file://"
#define N_SCHEME (sizeof(SCHEME) - 1)

/* "unreserved" of RFC 3986, and the slash. */
static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~/", c));
}

char *file_url_new(const char *path)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = strlen(path), n_url;
	char *url, *to;

	assert(path[0] == '/');

	if (__builtin_mul_overflow(n, 3, &n_url) ||
	    __builtin_add_overflow(n_url, N_SCHEME + 1, &n_url))
		return NULL;
	url = malloc(n_url);
	if (!url)
		return NULL;

	memcpy(url, SCHEME, N_SCHEME);
	to = url + N_SCHEME;
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (is_plain(c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	*to = '\0';
	return url;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* "." or ".." as a whole component. */
static bool has_dots(const char *path)
{
	for (const char *at = path; *at;) {
		size_t n;

		at += strspn(at, "/");
		n = strcspn(at, "/");
		if ((n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
			return true;
		at += n;
	}
	return false;
}

ssize_t file_url_decode(char *ret, const char *url, size_t n)
{
	size_t n_path = 0;

	if (n <= N_SCHEME || n > FILE_URL_MAX || memcmp(url, SCHEME, N_SCHEME) != 0 ||
	    url[N_SCHEME] != '/')
		return -EINVAL;

	for (size_t i = N_SCHEME; i < n; i++) {
		int high, low;

		switch (url[i]) {
		case '\0':
		case '?':
		case '#':
			return -EINVAL;
		case '%':
			high = n - i > 2 ? hex_digit(url[i + 1]) : -1;
			low = n - i > 2 ? hex_digit(url[i + 2]) : -1;
			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return -EINVAL;
			ret[n_path++] = (char)(high << 4 | low);
			i += 2;
			break;
		default:
			ret[n_path++] = url[i];
		}
	}
	ret[n_path] = '\0';
	return has_dots(ret) ? -EINVAL : (ssize_t)n_path;
}

static const char *markup_entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

char *markup_escape_new(const char *text)
{
	size_t n = 1, at = 0;
	char *ret;

	for (const char *c = text; *c; c++) {
		const char *entity = markup_entity(*c);

		if (__builtin_add_overflow(n, entity ? strlen(entity) : 1, &n))
			return NULL;
	}
	ret = malloc(n);
	if (!ret)
		return NULL;

	for (const char *c = text; *c; c++) {
		const char *entity = markup_entity(*c);
		size_t length = entity ? strlen(entity) : 1;

		memcpy(ret + at, entity ?: c, length);
		at += length;
	}
	ret[at] = '\0';
	return ret;
}
