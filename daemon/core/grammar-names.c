/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/grammar.h"
#include "daemon/core/grammar-error.h"
#include "daemon/core/span.h"

static int find_name(struct span span, const struct grammar_names *names, unsigned int *ret)
{
	for (unsigned int i = 0; i < names->n_names; i++) {
		if (span_equal(span, names->names[i])) {
			*ret = i;
			return 0;
		}
	}

	return -ENOENT;
}

static int refuse_name(struct span span, const struct grammar_names *names, const char *also,
		       struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX], allowed[320] = "";
	size_t n = 0;

	for (size_t i = 0; i < names->n_names && n < sizeof(allowed); i++)
		n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s", i > 0 ? ", " : "",
				      names->names[i]);

	grammar_quote(quoted, span.p, span.n);
	return grammar_refuse(error, "'%s' is not %s: allowed is %s%s", quoted, names->what, also,
			      allowed);
}

int grammar_parse_name(const char *text, const struct grammar_names *names, unsigned int *ret,
		       struct grammar_error *error)
{
	struct span span;

	assert(text && names && ret && error);

	span = span_of(text);
	if (find_name(span, names, ret) < 0)
		return refuse_name(span, names, "", error);

	return 0;
}

int grammar_parse_list(const char *text, const struct grammar_names *names, uint32_t *ret,
		       struct grammar_error *error)
{
	struct span rest;
	uint32_t set = 0;

	assert(text && names && ret && error);
	assert(names->n_names <= 32);

	rest = span_of(text);
	if (span_equal(rest, "none")) {
		*ret = 0;
		return 0;
	}
	if (span_equal(rest, "all")) {
		*ret = (uint32_t)((UINT64_C(1) << names->n_names) - 1);
		return 0;
	}

	while (rest.p) {
		struct span word = span_split(&rest, ',');
		unsigned int i;

		if (find_name(word, names, &i) < 0)
			return refuse_name(word, names, "all, none, or a comma list of ", error);
		set |= UINT32_C(1) << i;
	}

	*ret = set;
	return 0;
}

int grammar_parse_events(const char *text, uint32_t *ret, struct grammar_error *error)
{
	const char *codes[_EVENT_CODE_N];
	const struct grammar_names names = { "an event code", codes, _EVENT_CODE_N };

	for (unsigned int i = 0; i < _EVENT_CODE_N; i++)
		codes[i] = event_code_name((enum event_code)i);

	return grammar_parse_list(text, &names, ret, error);
}

void grammar_format_events(uint32_t events, char ret[static GRAMMAR_EVENTS_MAX])
{
	size_t n = 0;

	if ((events & EVENT_CODES_ALL) == EVENT_CODES_ALL || (events & EVENT_CODES_ALL) == 0) {
		snprintf(ret, GRAMMAR_EVENTS_MAX, "%s", events & EVENT_CODES_ALL ? "all" : "none");
		return;
	}

	for (unsigned int i = 0; i < _EVENT_CODE_N; i++) {
		if (!(events & UINT32_C(1) << i))
			continue;
		n += (size_t)snprintf(ret + n, GRAMMAR_EVENTS_MAX - n, "%s%s", n > 0 ? "," : "",
				      event_code_name((enum event_code)i));
		assert(n < GRAMMAR_EVENTS_MAX);
	}
}
