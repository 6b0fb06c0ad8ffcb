/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/core/grammar-error.h"

int grammar_refuse(struct grammar_error *error, const char *format, ...)
{
	va_list args;

	assert(error && format);

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -EINVAL;
}

void grammar_quote(char ret[static GRAMMAR_QUOTE_MAX], const char *text, size_t n)
{
	size_t length;

	assert(text || n == 0);

	length = escape(ret, GRAMMAR_QUOTE_MAX - 3, text, n, 0);
	if (length < escape_length(text, n, 0))
		memcpy(ret + length, "...", 4);
}
