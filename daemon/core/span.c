/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/span.h"

struct span span_trim(struct span span)
{
	while (span.n > 0 && strchr(SPAN_WHITE, span.p[span.n - 1]))
		span.n--;
	while (span.n > 0 && strchr(SPAN_WHITE, *span.p)) {
		span.p++;
		span.n--;
	}

	return span;
}

struct span span_of(const char *text)
{
	assert(text);

	return span_trim((struct span){ text, strlen(text) });
}

struct span span_word(struct span *rest)
{
	struct span word;
	size_t n = 0;

	assert(rest);

	word = span_trim(*rest);
	while (n < word.n && !strchr(SPAN_WHITE, word.p[n]))
		n++;

	*rest = (struct span){ word.p + n, word.n - n };
	return (struct span){ word.p, n };
}

struct span span_split(struct span *rest, char separator)
{
	struct span part;
	const char *end;

	assert(rest && rest->p);

	part = *rest;
	end = part.n > 0 ? memchr(part.p, separator, part.n) : NULL;
	if (end) {
		part.n = (size_t)(end - part.p);
		*rest = (struct span){ end + 1, rest->n - part.n - 1 };
	} else {
		*rest = (struct span){ NULL, 0 };
	}

	return span_trim(part);
}

bool span_equal(struct span span, const char *text)
{
	return span.n == strlen(text) && memcmp(span.p, text, span.n) == 0;
}

int span_number(struct span span, uint64_t *ret)
{
	uint64_t value = 0;

	if (span.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < span.n; i++)
		if (span.p[i] < '0' || span.p[i] > '9')
			return -EINVAL;

	for (size_t i = 0; i < span.n; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(span.p[i] - '0'), &value))
			return -ERANGE;

	*ret = value;
	return 0;
}

int span_size(struct span span, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t value;
	int r;

	if (span.n == 0)
		return -EINVAL;
	unit = memchr(units, span.p[span.n - 1], strlen(units));
	if (!unit)
		return span_number(span, ret);

	span.n--;
	r = span_number(span, &value);
	if (r < 0)
		return r;
	if (__builtin_mul_overflow(value, UINT64_C(1) << (10 * (unit - units + 1)), &value))
		return -ERANGE;

	*ret = value;
	return 0;
}
