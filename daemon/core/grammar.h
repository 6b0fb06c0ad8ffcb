/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The small grammars
 *
 * Levels ("10%/10G", "500blocks"), threshold lines, lists of event codes,
 * sizes, and the one-line runtime grammar of 2015 for Configure:
 *
 *	line    = "" | request *( ";" request )
 *	request = MOUNT 1*ITEM | "!" MOUNT *ITEM
 *	ITEM    = "G" | "T" *LEVEL | "E" CODE *( "," CODE )
 *
 * Parsers write a sentence for humans (what is wrong, what is allowed) into
 * the caller's buffer when they refuse. White space around a value is of no
 * meaning. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"
#include "daemon/core/threshold.h"

/* A refusal: names what was found and what is allowed. Foreign text in it is escaped. */
struct grammar_error {
	char text[512];
};

/*
 * All: 0, or -EINVAL with @error filled; on failure *ret is as before.
 *
 * Level of space:  N% | N%/SIZE | SIZE | Nblocks; of inodes: N% | N%/N | N
 * Size:            N, NK, NM, NG, NT (bytes, powers of 1024)
 * Threshold:       NAME space|inodes LEVEL [SEVERITY] [hysteresis LEVEL]
 * Events:          all | none | CODE *( "," CODE )
 */
int grammar_parse_level(const char *text, enum threshold_resource resource, struct level *ret,
			struct grammar_error *error);
int grammar_parse_threshold(const char *text, struct threshold_spec *ret,
			    struct grammar_error *error);
int grammar_parse_events(const char *text, uint32_t *ret, struct grammar_error *error);
int grammar_parse_size(const char *text, uint64_t *ret, struct grammar_error *error);
int grammar_parse_bool(const char *text, bool *ret, struct grammar_error *error);

/** grammar_parse_number() - a decimal number within a range, both ends included */
int grammar_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
			 struct grammar_error *error);

/* A closed set of names: event codes, log levels, sources. */
struct grammar_names {
	const char *what; /* for refusals: "an event code" */
	const char *const *names;
	size_t n_names; /* at most 32 */
};

/** grammar_parse_name() - one of them; @ret is its index */
int grammar_parse_name(const char *text, const struct grammar_names *names, unsigned int *ret,
		       struct grammar_error *error);

/** grammar_parse_list() - "all", "none" or a comma list; @ret has a bit per index */
int grammar_parse_list(const char *text, const struct grammar_names *names, uint32_t *ret,
		       struct grammar_error *error);

#define GRAMMAR_QUOTE_MAX 80

/** grammar_quote() - foreign text for a message: escaped, "..." at the end where it was cut */
void grammar_quote(char ret[static GRAMMAR_QUOTE_MAX], const char *text, size_t n);

/* Room for the longest result, NUL included. */
#define GRAMMAR_LEVEL_MAX 48
#define GRAMMAR_EVENTS_MAX 256
void grammar_format_level(const struct level *level, char ret[static GRAMMAR_LEVEL_MAX]);
void grammar_format_events(uint32_t events, char ret[static GRAMMAR_EVENTS_MAX]);

enum request_kind {
	REQUEST_SET, /* MOUNT ...: G, T and E, at least one */
	/*
	 * !MOUNT: all of it; with generic, has_thresholds or events set,
	 * those alone. n_levels is 0.
	 */
	REQUEST_REMOVE,
	REQUEST_REMOVE_ALL, /* the empty line: the only request, ->where is NULL */
};

struct request {
	enum request_kind kind;
	char *where; /* unescaped bytes, absolute, as given otherwise */
	bool generic; /* G: all health codes */
	bool has_thresholds; /* T */
	uint64_t *levels; /* blocks, not increasing, at most THRESHOLDS_MAX */
	size_t n_levels;
	uint32_t events; /* E, bit set */
};

#define REQUESTS_MAX 1024
#define REQUEST_LINE_MAX 65536 /* bytes */
#define REQUEST_WHERE_MAX 4095 /* bytes, unescaped: PATH_MAX less the NUL */

struct request_list {
	struct request *items;
	size_t n_items;
};

/**
 * grammar_parse_line() - the runtime grammar
 * @ret:	to be given to request_list_deinit(); untouched on failure
 *
 * In MOUNT, \ooo stands for any byte; an unescaped white space or semicolon
 * only separates.
 *
 * Return: 0, -EINVAL with @error, or -ENOMEM.
 */
int grammar_parse_line(const char *line, struct request_list *ret, struct grammar_error *error);

/** request_list_deinit() - free what the list holds; Return: NULL */
struct request_list *request_list_deinit(struct request_list *list);
