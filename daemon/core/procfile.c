/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/procfile.h"

/* Fields of "stat" after the name, counted from 0. */
enum stat_field {
	STAT_STATE = 0,
	STAT_PARENT = 1,
	STAT_FLAGS = 6,
	STAT_THREADS = 17,
	STAT_START = 19,
	STAT_MEMORY = 20,
	STAT_START_CODE = 23,
	STAT_END_CODE = 24,
	STAT_START_STACK = 25,

	_STAT_FIELD_N,
};

struct cursor {
	const char *at, *end;
};

static void skip_blank(struct cursor *cursor)
{
	while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t'))
		cursor->at++;
}

/* Return: true with a number that ends at white space or at the end. */
static bool take_number(struct cursor *cursor, unsigned int base, uint64_t *ret)
{
	const char *begin;
	uint64_t number = 0;

	skip_blank(cursor);
	for (begin = cursor->at; cursor->at < cursor->end; cursor->at++) {
		unsigned int digit;

		if (*cursor->at >= '0' && *cursor->at <= '9')
			digit = (unsigned int)(*cursor->at - '0');
		else if (*cursor->at >= 'a' && *cursor->at <= 'f')
			digit = (unsigned int)(*cursor->at - 'a') + 10;
		else
			break;
		if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
		    __builtin_add_overflow(number, digit, &number))
			return false;
	}
	if (cursor->at == begin || (cursor->at < cursor->end && *cursor->at != ' ' &&
				    *cursor->at != '\t' && *cursor->at != '\n'))
		return false;

	*ret = number;
	return true;
}

static bool take_u32(struct cursor *cursor, uint32_t *ret)
{
	uint64_t number;

	if (!take_number(cursor, 10, &number) || number > UINT32_MAX)
		return false;

	*ret = (uint32_t)number;
	return true;
}

static void skip_field(struct cursor *cursor)
{
	skip_blank(cursor);
	while (cursor->at < cursor->end && *cursor->at != ' ' && *cursor->at != '\n')
		cursor->at++;
}

static bool decode_field(struct cursor *cursor, unsigned int field, struct procfile_stat *stat)
{
	switch (field) {
	case STAT_STATE:
		skip_blank(cursor);
		if (cursor->at == cursor->end)
			return false;
		stat->state = *cursor->at++;
		return true;
	case STAT_PARENT:
		return take_u32(cursor, &stat->parent);
	case STAT_FLAGS:
		return take_u32(cursor, &stat->flags);
	case STAT_THREADS:
		return take_u32(cursor, &stat->n_threads);
	case STAT_START:
		return take_number(cursor, 10, &stat->start_ticks);
	case STAT_MEMORY:
		return take_number(cursor, 10, &stat->memory_bytes);
	case STAT_START_CODE:
		return take_number(cursor, 10, &stat->start_code);
	case STAT_END_CODE:
		return take_number(cursor, 10, &stat->end_code);
	case STAT_START_STACK:
		return take_number(cursor, 10, &stat->start_stack);
	}

	skip_field(cursor);
	return true;
}

int procfile_decode_stat(const char *text, size_t n_text, struct procfile_stat *ret)
{
	struct cursor cursor = { text, text + n_text };
	struct procfile_stat stat = {};
	const char *close;

	assert(text && ret);

	if (!take_u32(&cursor, &stat.pid) || stat.pid == 0)
		return -EBADMSG;
	skip_blank(&cursor);
	if (cursor.at == cursor.end || *cursor.at != '(')
		return -EBADMSG;
	close = memrchr(cursor.at, ')', (size_t)(cursor.end - cursor.at));
	if (!close)
		return -EBADMSG;

	cursor.at = close + 1;
	for (unsigned int field = 0; field < _STAT_FIELD_N; field++)
		if (!decode_field(&cursor, field, &stat))
			return -EBADMSG;

	*ret = stat;
	return 0;
}

/* Return: true with what follows @name at the beginning of a line. */
static bool find_line(const char *text, size_t n_text, const char *name, struct cursor *ret)
{
	const char *at = text, *end = text + n_text;
	size_t n_name = strlen(name);

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;

		if ((size_t)(line_end - at) >= n_name && memcmp(at, name, n_name) == 0) {
			*ret = (struct cursor){ at + n_name, line_end };
			return true;
		}
		at = newline ? newline + 1 : end;
	}

	return false;
}

int procfile_decode_uids(const char *text, size_t n_text, uint32_t ret[static 4])
{
	uint32_t uids[4];
	struct cursor cursor;

	assert(text && ret);

	if (!find_line(text, n_text, "Uid:", &cursor))
		return -EBADMSG;
	for (unsigned int i = 0; i < 4; i++)
		if (!take_u32(&cursor, &uids[i]))
			return -EBADMSG;

	memcpy(ret, uids, sizeof(uids));
	return 0;
}

int procfile_decode_status(const char *text, size_t n_text, struct procfile_status *ret)
{
	struct procfile_status status = {};
	struct cursor cursor;

	assert(text && ret);

	if (procfile_decode_uids(text, n_text, status.uids) < 0)
		return -EBADMSG;
	if (!find_line(text, n_text, "SigBlk:", &cursor) ||
	    !take_number(&cursor, 16, &status.blocked))
		return -EBADMSG;
	if (!find_line(text, n_text, "SigCgt:", &cursor) ||
	    !take_number(&cursor, 16, &status.caught))
		return -EBADMSG;

	*ret = status;
	return 0;
}
