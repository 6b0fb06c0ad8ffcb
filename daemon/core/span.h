/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Spans
 *
 * A piece of a longer text that is not NUL-terminated: a word of a line, a
 * number in a word. What the small grammars are read with. Plain values that
 * borrow the text; they know nothing of what the words mean.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Separates words; a line that came through a shell ends in a newline. */
#define SPAN_WHITE " \t\r\n"

struct span {
	const char *p;
	size_t n; /* no NUL within */
};

/** span_trim() - without white space at both ends */
struct span span_trim(struct span span);

/** span_of() - a whole text, trimmed */
struct span span_of(const char *text);

/**
 * span_word() - the next word
 * @rest:	goes on behind the word
 *
 * Return: the word; empty at the end of @rest.
 */
struct span span_word(struct span *rest);

/**
 * span_split() - what stands before the next @separator, trimmed
 * @rest:	goes on behind the separator; ->p is NULL after the last part
 */
struct span span_split(struct span *rest, char separator);

bool span_equal(struct span span, const char *text);

/*
 * A whole span as a decimal number, or as a size: N, NK, NM, NG, NT with
 * powers of 1024. Return: 0, -EINVAL where it is none, -ERANGE past 64 bits.
 */
int span_number(struct span span, uint64_t *ret);
int span_size(struct span span, uint64_t *ret);
