/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/board-internal.h"
#include "daemon/agent/board.h"
#include "daemon/core/escape.h"

/*
 * One line for each thing, its words separated by one space. A word of text
 * begins with '=', so that none is empty; "-" is no text at all.
 */
#define WORDS_MAX 11

static const struct {
	char letter;
	size_t offset;
} flags[] = {
	{ 't', offsetof(struct board_notice, test) },
	{ 'd', offsetof(struct board_notice, due) },
	{ 'l', offsetof(struct board_notice, left) },
	{ 's', offsetof(struct board_notice, was_shown) },
	{ 'x', offsetof(struct board_notice, dismissed) },
	{ 'm', offsetof(struct board_notice, muted) },
	{ 'u', offsetof(struct board_notice, in_summary) },
};

#define N_FLAGS (sizeof(flags) / sizeof(flags[0]))

static bool *flag_of(struct board_notice *notice, size_t i)
{
	return (bool *)((char *)notice + flags[i].offset);
}

/* Return: 0 or -ENOMEM */
static int print_text(FILE *file, const char *text)
{
	_cleanup_free_ char *word = NULL;

	if (!text) {
		fputs(" -", file);
		return 0;
	}
	word = escape_new(text, strlen(text), ESCAPE_GRAMMAR);
	if (!word)
		return -ENOMEM;
	fprintf(file, " =%s", word);
	return 0;
}

static int print_cause(FILE *file, const struct board_cause *cause)
{
	int r;

	fprintf(file, "cause %s %s %" PRIu64, event_code_name(cause->code),
		event_severity_name(cause->severity), cause->id);
	r = print_text(file, cause->name);
	if (r >= 0)
		r = print_text(file, cause->text);
	fputc('\n', file);
	return r;
}

static int print_notice(FILE *file, struct board_notice *notice)
{
	int r;

	fprintf(file, "notice %u %u %u %u %s %" PRIu64 " =", notice->family, notice->major,
		notice->minor, notice->shown_id, event_severity_name(notice->shown_severity),
		notice->shown_us);
	for (size_t i = 0; i < N_FLAGS; i++)
		if (*flag_of(notice, i))
			fputc(flags[i].letter, file);
	r = print_text(file, notice->path);
	if (r >= 0)
		r = print_text(file, notice->where);
	if (r >= 0)
		r = print_text(file, notice->identity);
	fputc('\n', file);
	for (size_t i = 0; i < notice->n_causes && r >= 0; i++)
		r = print_cause(file, &notice->causes[i]);
	return r;
}

char *board_print(const struct board *board, size_t n_max)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0, n_whole = 0;
	FILE *file = open_memstream(&text, &n);
	int r = 0;

	assert(board);

	if (!file)
		return NULL;
	if (board->summary_id)
		fprintf(file, "summary %u\n", board->summary_id);
	for (size_t i = 0; i < board->n_notices && r >= 0; i++) {
		r = print_notice(file, board->notices[i]);
		if (fflush(file) != 0)
			r = -ENOMEM;
		if (n > n_max)
			break;
		n_whole = n;
	}
	if (fclose(file) != 0 || r < 0)
		return NULL;
	if (n > n_max)
		text[n_whole] = '\0';
	return TAKE_PTR(text);
}

/* The words of a line, cut apart; Return: how many, WORDS_MAX + 1 for too many */
static size_t split(char *line, char *words[static WORDS_MAX])
{
	size_t n = 0;

	for (char *next = line; next; n++) {
		if (n == WORDS_MAX)
			return WORDS_MAX + 1;
		words[n] = next;
		next = strchr(next, ' ');
		if (next)
			*next++ = '\0';
	}
	return n;
}

static bool read_number(const char *word, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	if (word[0] < '0' || word[0] > '9')
		return false;
	errno = 0;
	value = strtoull(word, &end, 10);
	if (errno != 0 || *end || value > max)
		return false;
	*ret = value;
	return true;
}

static bool read_number32(const char *word, uint32_t *ret)
{
	uint64_t value;

	if (!read_number(word, UINT32_MAX, &value))
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* In place. NULL: it is no text. */
static char *read_text(char *word)
{
	if (word[0] != '=' || unescape(word + 1, word + 1, strlen(word + 1)) < 0)
		return NULL;
	return word + 1;
}

static bool read_flags(const char *word, struct board_notice *notice)
{
	if (*word++ != '=')
		return false;
	for (; *word; word++) {
		size_t i = 0;

		while (i < N_FLAGS && flags[i].letter != *word)
			i++;
		if (i == N_FLAGS)
			return false;
		*flag_of(notice, i) = true;
	}
	return true;
}

/* In place; "-" is NULL. Return: whether it is text that may be shown or sent. */
static bool read_identity(char *word, const char **ret)
{
	*ret = NULL;
	if (strcmp(word, "-") == 0)
		return true;
	*ret = read_text(word);
	return *ret && escape_is_utf8(*ret, strlen(*ret));
}

static int load_notice(struct board *board, char *words[static WORDS_MAX])
{
	_cleanup_(board_notice_freep) struct board_notice *notice = calloc(1, sizeof(*notice));
	const char *path = read_text(words[8]), *where = read_text(words[9]), *identity;
	uint64_t family;

	if (!notice)
		return -ENOMEM;
	if (board->n_notices == BOARD_MAX || !path || strlen(path) >= sizeof(notice->path) ||
	    !where || !read_identity(words[10], &identity) ||
	    !read_number(words[1], _BOARD_FAMILY_N - 1, &family) ||
	    !read_number32(words[2], &notice->major) || !read_number32(words[3], &notice->minor) ||
	    !read_number32(words[4], &notice->shown_id) ||
	    event_severity_from_name(words[5], &notice->shown_severity) < 0 ||
	    !read_number(words[6], UINT64_MAX, &notice->shown_us) || !read_flags(words[7], notice))
		return -EINVAL;

	notice->family = (enum board_family)family;
	memcpy(notice->path, path, strlen(path) + 1);
	notice->where = strdup(where);
	notice->identity = identity ? strdup(identity) : NULL;
	if (!notice->where || (identity && !notice->identity))
		return -ENOMEM;
	notice->serial = ++board->last_serial;
	board->notices[board->n_notices++] = TAKE_PTR(notice);
	return 0;
}

static int load_cause(struct board_notice *notice, char *words[static WORDS_MAX])
{
	const char *name = read_text(words[4]), *text = read_text(words[5]);
	struct board_cause cause = {};

	if (notice->n_causes == BOARD_CAUSES_MAX || !name || strlen(name) >= sizeof(cause.name) ||
	    !text || !escape_is_utf8(text, strlen(text)) ||
	    event_code_from_name(words[1], &cause.code) < 0 ||
	    event_severity_from_name(words[2], &cause.severity) < 0 ||
	    !read_number(words[3], UINT64_MAX, &cause.id))
		return -EINVAL;
	memcpy(cause.name, name, strlen(name) + 1);
	cause.text = strdup(text);
	if (!cause.text)
		return -ENOMEM;
	notice->causes[notice->n_causes++] = cause;
	return 0;
}

static int load_line(struct board *board, char *line)
{
	struct board_notice *last =
		board->n_notices > 0 ? board->notices[board->n_notices - 1] : NULL;
	char *words[WORDS_MAX];
	size_t n = split(line, words);

	if (n == 11 && strcmp(words[0], "notice") == 0 && (!last || last->n_causes > 0))
		return load_notice(board, words);
	if (n == 6 && strcmp(words[0], "cause") == 0 && last)
		return load_cause(last, words);
	if (n == 2 && strcmp(words[0], "summary") == 0 && !last)
		return read_number32(words[1], &board->summary_id) ? 0 : -EINVAL;
	return -EINVAL;
}

int board_load(struct board *board, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	int r = copy ? 0 : -ENOMEM;

	assert(board && board->n_notices == 0);

	for (char *line = copy; r >= 0 && *line;) {
		char *end = strchr(line, '\n');

		if (!end) {
			r = -EINVAL;
			break;
		}
		*end = '\0';
		r = load_line(board, line);
		line = end + 1;
	}
	if (r >= 0 && board->n_notices > 0 && board->notices[board->n_notices - 1]->n_causes == 0)
		r = -EINVAL;
	if (r >= 0)
		return 0;

	while (board->n_notices > 0)
		board_notice_free(board->notices[--board->n_notices]);
	board->summary_id = 0;
	return r;
}
