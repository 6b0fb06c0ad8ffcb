/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Foreign text
 *
 * The one function through which a name that somebody else chose (a mount
 * point, a source, a type, a comm) passes before it becomes a D-Bus string,
 * JSON, terminal output, journal text or configuration grammar: invalid
 * UTF-8, control characters (C0, DEL, C1), bidirectional controls, line and
 * paragraph separators, noncharacters (which D-Bus does not take) and the
 * backslash become \ooo, byte by byte. It is not a quoting for any format:
 * JSON's quotation mark is the JSON writer's matter.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum escape_flags {
	/* also space ; # ] " ': for the one-line grammar and configuration names */
	ESCAPE_GRAMMAR = 1,
};

/** escape_length() - bytes that escape() writes for @n bytes at @bytes, without the NUL */
size_t escape_length(const void *bytes, size_t n, unsigned int flags);

/**
 * escape() - make foreign bytes printable, into a buffer
 * @ret:	always valid UTF-8 and NUL-terminated; cut at a whole character
 * @n_ret:	size of @ret, at least 1
 *
 * Return: bytes written without the NUL.
 */
size_t escape(char *ret, size_t n_ret, const void *bytes, size_t n, unsigned int flags);

/** escape_new() - the same into new memory, never cut; NULL without memory */
char *escape_new(const void *bytes, size_t n, unsigned int flags);

/**
 * unescape() - undo \ooo (exactly three octal digits, 001-377)
 * @ret:	at least @n + 1 bytes; NUL-terminated; may be @text itself; of no
 *		meaning after a failure
 *
 * Return: bytes written, or -EINVAL for a backslash that starts nothing.
 */
ssize_t unescape(char *ret, const char *text, size_t n);

/** escape_is_utf8() - whether bytes are valid UTF-8 as they are */
bool escape_is_utf8(const void *bytes, size_t n);
