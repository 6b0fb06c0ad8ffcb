/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The small grammars on any text, and a round trip: whatever bytes a mount
 * point is made of, escaped and read back in a line it is the same one name.
 */

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/core/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_level(const char *text, enum threshold_resource resource)
{
	char formatted[GRAMMAR_LEVEL_MAX];
	struct grammar_error error;
	struct level level, again;

	if (grammar_parse_level(text, resource, &level, &error) < 0) {
		assert(strlen(error.text) > 0);
		return;
	}

	grammar_format_level(&level, formatted);
	assert(grammar_parse_level(formatted, resource, &again, &error) == 0);
	assert(again.kind == level.kind && again.percent == level.percent &&
	       again.value == level.value);
}

static void check_parsers(const char *text)
{
	char events[GRAMMAR_EVENTS_MAX];
	struct request_list list = {};
	struct threshold_spec spec;
	struct grammar_error error;
	uint32_t set, again;
	uint64_t size;
	bool flag;

	check_level(text, RESOURCE_SPACE);
	check_level(text, RESOURCE_INODES);
	grammar_parse_threshold(text, &spec, &error);
	grammar_parse_size(text, &size, &error);
	grammar_parse_bool(text, &flag, &error);
	if (grammar_parse_events(text, &set, &error) == 0) {
		grammar_format_events(set, events);
		assert(grammar_parse_events(events, &again, &error) == 0 && again == set);
	}

	if (grammar_parse_line(text, &list, &error) == 0) {
		assert(list.n_items > 0);
		for (size_t i = 0; i < list.n_items; i++)
			assert(list.items[i].kind == REQUEST_REMOVE_ALL ||
			       *list.items[i].where == '/');
		request_list_deinit(&list);
	}
}

static void check_round_trip(const char *mount)
{
	struct request_list list = {};
	struct grammar_error error;
	char *escaped, *line = NULL;

	escaped = escape_new(mount, strlen(mount), ESCAPE_GRAMMAR);
	assert(escaped);
	if (asprintf(&line, "!%s;%s G", escaped, escaped) < 0)
		abort();

	if (strlen(line) <= REQUEST_LINE_MAX) {
		int r = grammar_parse_line(line, &list, &error);

		if (strlen(mount) <= REQUEST_WHERE_MAX) {
			assert(r == 0 && list.n_items == 2);
			assert(strcmp(list.items[0].where, mount) == 0);
			assert(strcmp(list.items[1].where, mount) == 0);
		} else {
			assert(r < 0);
		}
		request_list_deinit(&list);
	}

	free(escaped);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2), *mount;

	if (!text)
		return 0;
	text[0] = '/';
	if (size > 0)
		memcpy(text + 1, data, size);
	text[size + 1] = '\0';
	/* exactly as long as it is, so that a byte too far is seen */
	mount = strdup(text);
	assert(mount);

	check_parsers(mount + 1);
	check_round_trip(mount);

	free(mount);
	free(text);
	return 0;
}
