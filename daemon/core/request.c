/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/core/grammar.h"
#include "daemon/core/grammar-error.h"
#include "daemon/core/span.h"

#define ALLOWED_REQUEST "[!]MOUNT {G | T [LEVEL...] | E CODE[,CODE]}..."

static void request_deinit(struct request *request)
{
	free(request->where);
	free(request->levels);
	*request = (struct request){};
}

struct request_list *request_list_deinit(struct request_list *list)
{
	if (!list)
		return NULL;

	for (size_t i = 0; i < list->n_items; i++)
		request_deinit(&list->items[i]);
	free(list->items);
	*list = (struct request_list){};
	return NULL;
}

static void request_list_deinitp(struct request_list *list)
{
	request_list_deinit(list);
}

static void request_deinitp(struct request *request)
{
	request_deinit(request);
}

static int parse_where(struct span word, struct request *request, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];
	ssize_t n;

	grammar_quote(quoted, word.p, word.n);
	if (word.n > 0 && *word.p == '!') {
		request->kind = REQUEST_REMOVE;
		word.p++;
		word.n--;
	}
	if (word.n == 0 || *word.p != '/')
		return grammar_refuse(error, "'%s' is not a mount point, which begins with '/': %s",
				      quoted, ALLOWED_REQUEST);
	if (word.n > (size_t)REQUEST_WHERE_MAX * 4)
		return grammar_refuse(error, "the mount point '%s' is too long: at most %d bytes",
				      quoted, REQUEST_WHERE_MAX);

	request->where = malloc(word.n + 1);
	if (!request->where)
		return -ENOMEM;
	n = unescape(request->where, word.p, word.n);
	if (n < 0)
		return grammar_refuse(error,
				      "a backslash in '%s' starts nothing: allowed is \\ooo with "
				      "three octal digits, \\001 to \\377",
				      quoted);
	if (n > REQUEST_WHERE_MAX)
		return grammar_refuse(error, "the mount point '%s' is too long: at most %d bytes",
				      quoted, REQUEST_WHERE_MAX);

	return 0;
}

static bool is_item(struct span word)
{
	return span_equal(word, "G") || span_equal(word, "T") || span_equal(word, "E");
}

static int push_level(struct span word, struct request *request, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];
	uint64_t level;
	int r;

	grammar_quote(quoted, word.p, word.n);
	if (request->kind == REQUEST_REMOVE)
		return grammar_refuse(error,
				      "'%s' is not expected: '!MOUNT T' removes all thresholds and "
				      "takes no levels",
				      quoted);
	r = span_number(word, &level);
	if (r < 0)
		return grammar_refuse(error, "'%s' is not a level: after T, levels are %s", quoted,
				      r == -ERANGE ? "blocks within 64 bits"
						   : "numbers of blocks; items are G, T and E");
	if (request->n_levels >= THRESHOLDS_MAX)
		return grammar_refuse(error, "'%s' is one level too many: at most %d", quoted,
				      THRESHOLDS_MAX);
	if (request->n_levels > 0 && level > request->levels[request->n_levels - 1])
		return grammar_refuse(error,
				      "'%s' is more than the level before it: levels must not "
				      "increase",
				      quoted);

	request->levels[request->n_levels++] = level;
	return 0;
}

static int parse_levels(struct span *rest, struct request *request, struct grammar_error *error)
{
	if (request->has_thresholds)
		return grammar_refuse(error, "T is given twice: give all levels after one T");
	request->has_thresholds = true;
	request->levels = calloc(THRESHOLDS_MAX, sizeof(*request->levels));
	if (!request->levels)
		return -ENOMEM;

	for (;;) {
		struct span ahead = *rest, word = span_word(&ahead);
		int r;

		if (word.n == 0 || is_item(word))
			return 0;
		r = push_level(word, request, error);
		if (r < 0)
			return r;
		*rest = ahead;
	}
}

static int parse_codes(struct span *rest, struct request *request, struct grammar_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct span word = span_word(rest);
	uint32_t events;
	int r;

	text = strndup(word.p, word.n);
	if (!text)
		return -ENOMEM;
	r = grammar_parse_events(text, &events, error);
	if (r < 0)
		return r;
	if (events == 0)
		return grammar_refuse(error,
				      "'none' cannot be asked for: after E stands CODE[,CODE]");

	request->events |= events;
	return 0;
}

static int parse_item(struct span word, struct span *rest, struct request *request,
		      struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];

	if (span_equal(word, "G")) {
		request->generic = true;
		return 0;
	}
	if (span_equal(word, "T"))
		return parse_levels(rest, request, error);
	if (span_equal(word, "E"))
		return parse_codes(rest, request, error);

	grammar_quote(quoted, word.p, word.n);
	return grammar_refuse(error, "'%s' is not expected here: %s", quoted, ALLOWED_REQUEST);
}

static int parse_request(struct span part, struct request *ret, struct grammar_error *error)
{
	_cleanup_(request_deinitp) struct request request = { .kind = REQUEST_SET };
	struct span word = span_word(&part);
	unsigned int n_items = 0;
	int r;

	if (word.n == 0)
		return grammar_refuse(error,
				      "a request between semicolons is empty: %s; an empty line "
				      "alone removes all",
				      ALLOWED_REQUEST);
	r = parse_where(word, &request, error);
	if (r < 0)
		return r;

	for (word = span_word(&part); word.n > 0; word = span_word(&part)) {
		r = parse_item(word, &part, &request, error);
		if (r < 0)
			return r;
		n_items++;
	}
	if (request.kind == REQUEST_SET && n_items == 0)
		return grammar_refuse(error,
				      "nothing is asked for: after MOUNT stands at least one of G, "
				      "T and E; '!MOUNT' removes");

	*ret = request;
	request = (struct request){};
	return 0;
}

static int check_characters(const char *line, struct grammar_error *error)
{
	for (const char *p = line; *p; p++)
		if (((unsigned char)*p < 0x20 && !strchr(SPAN_WHITE, *p)) || *p == 0x7f)
			return grammar_refuse(error,
					      "a control character stands in the line: write it as "
					      "\\%03o",
					      (unsigned int)(unsigned char)*p);

	return 0;
}

int grammar_parse_line(const char *line, struct request_list *ret, struct grammar_error *error)
{
	_cleanup_(request_list_deinitp) struct request_list list = {};
	struct span rest;
	int r;

	assert(line && ret && error);

	if (strnlen(line, REQUEST_LINE_MAX + 1) > REQUEST_LINE_MAX)
		return grammar_refuse(error, "the line is too long: at most %d bytes",
				      REQUEST_LINE_MAX);
	r = check_characters(line, error);
	if (r < 0)
		return r;

	list.items = calloc(REQUESTS_MAX, sizeof(*list.items));
	if (!list.items)
		return -ENOMEM;

	rest = span_of(line);
	if (rest.n == 0) {
		list.items[list.n_items++].kind = REQUEST_REMOVE_ALL;
		rest.p = NULL;
	}
	while (rest.p) {
		struct span part = span_split(&rest, ';');

		if (list.n_items >= REQUESTS_MAX)
			return grammar_refuse(error, "too many requests: at most %d a line",
					      REQUESTS_MAX);
		r = parse_request(part, &list.items[list.n_items], error);
		if (r < 0)
			return r;
		list.n_items++;
	}

	*ret = list;
	list = (struct request_list){};
	return 0;
}
