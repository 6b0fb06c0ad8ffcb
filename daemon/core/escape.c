/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/escape.h"

/* A character of four bytes, each as \ooo. */
#define ESCAPE_UNIT_MAX 16

static bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/**
 * utf8_decode() - one character by the table of well-formed sequences of the
 * Unicode standard: no overlong forms, surrogates, or above U+10FFFF
 *
 * Return: its length in bytes; 0 where @bytes does not start with one.
 */
static size_t utf8_decode(const uint8_t *bytes, size_t n, uint32_t *ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = bytes[0];
	size_t length;

	if (c < 0x80) {
		*ret = c;
		return 1;
	}

	if ((c & 0xe0) == 0xc0) {
		length = 2;
		c &= 0x1f;
	} else if ((c & 0xf0) == 0xe0) {
		length = 3;
		c &= 0x0f;
	} else if ((c & 0xf8) == 0xf0) {
		length = 4;
		c &= 0x07;
	} else {
		return 0;
	}

	if (n < length)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if (!is_continuation(bytes[i]))
			return 0;
		c = c << 6 | (bytes[i] & 0x3f);
	}
	if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;

	*ret = c;
	return length;
}

static bool is_plain(uint32_t c, unsigned int flags)
{
	if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == '\\')
		return false;
	/* what turns the direction of text, and so hides or reorders what stands beside it */
	if (c == 0x061c || c == 0x200e || c == 0x200f)
		return false;
	/* line and paragraph separator, then the embeddings and overrides */
	if (c >= 0x2028 && c <= 0x202e)
		return false;
	if (c >= 0x2066 && c <= 0x2069)
		return false;
	/* noncharacters, which D-Bus does not take */
	if ((c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe)
		return false;
	if (flags & ESCAPE_GRAMMAR && c < 0x80 && strchr(" ;#]\"'", (int)c))
		return false;

	return true;
}

/* Writes one character, or one byte that starts none; Return: bytes written. */
static size_t escape_unit(char ret[static ESCAPE_UNIT_MAX], const uint8_t *bytes, size_t n,
			  unsigned int flags, size_t *ret_read)
{
	size_t length;
	uint32_t c;

	length = utf8_decode(bytes, n, &c);
	if (length > 0 && is_plain(c, flags)) {
		memcpy(ret, bytes, length);
		*ret_read = length;
		return length;
	}

	if (length == 0)
		length = 1;
	for (size_t i = 0; i < length; i++) {
		ret[i * 4] = '\\';
		ret[i * 4 + 1] = (char)('0' + (bytes[i] >> 6));
		ret[i * 4 + 2] = (char)('0' + (bytes[i] >> 3 & 7));
		ret[i * 4 + 3] = (char)('0' + (bytes[i] & 7));
	}

	*ret_read = length;
	return length * 4;
}

size_t escape_length(const void *bytes, size_t n, unsigned int flags)
{
	const uint8_t *p = bytes;
	char unit[ESCAPE_UNIT_MAX];
	size_t total = 0, n_read;

	assert(bytes || n == 0);

	for (size_t i = 0; i < n; i += n_read)
		total += escape_unit(unit, p + i, n - i, flags, &n_read);

	return total;
}

size_t escape(char *ret, size_t n_ret, const void *bytes, size_t n, unsigned int flags)
{
	const uint8_t *p = bytes;
	size_t total = 0, n_read;

	assert(ret && n_ret > 0);
	assert(bytes || n == 0);

	for (size_t i = 0; i < n; i += n_read) {
		char unit[ESCAPE_UNIT_MAX];
		size_t n_unit;

		n_unit = escape_unit(unit, p + i, n - i, flags, &n_read);
		if (n_unit >= n_ret - total)
			break;
		memcpy(ret + total, unit, n_unit);
		total += n_unit;
	}

	ret[total] = '\0';
	return total;
}

char *escape_new(const void *bytes, size_t n, unsigned int flags)
{
	size_t length = escape_length(bytes, n, flags);
	char *text;

	text = malloc(length + 1);
	if (!text)
		return NULL;

	escape(text, length + 1, bytes, n, flags);
	return text;
}

static bool is_octal(char c, char max)
{
	return c >= '0' && c <= max;
}

ssize_t unescape(char *ret, const char *text, size_t n)
{
	size_t total = 0, i = 0;

	assert(ret);
	assert(text || n == 0);

	while (i < n) {
		unsigned int byte;

		if (text[i] != '\\') {
			ret[total++] = text[i++];
			continue;
		}

		if (n - i < 4 || !is_octal(text[i + 1], '3') || !is_octal(text[i + 2], '7') ||
		    !is_octal(text[i + 3], '7'))
			return -EINVAL;
		byte = (unsigned int)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
				      (text[i + 3] - '0'));
		if (byte == 0)
			return -EINVAL;
		ret[total++] = (char)byte;
		i += 4;
	}

	ret[total] = '\0';
	return (ssize_t)total;
}

bool escape_is_utf8(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	while (n > 0) {
		uint32_t c;
		size_t length = utf8_decode(at, n, &c);

		if (length == 0)
			return false;
		at += length;
		n -= length;
	}
	return true;
}
