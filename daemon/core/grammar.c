/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/core/grammar.h"
#include "daemon/core/grammar-error.h"
#include "daemon/core/span.h"

#define ALLOWED_SPACE                                                                              \
	"a level of space is N%, N%/SIZE (the smaller of both), a size such as 500M (bytes, "      \
	"K, M, G or T) or Nblocks"
#define ALLOWED_INODES "a level of inodes is N%, N%/N (the smaller of both) or a number of inodes"
#define ALLOWED_SIZE "a size is a number of bytes, or a number with K, M, G or T (powers of 1024)"
#define ALLOWED_THRESHOLD                                                                          \
	"NAME space|inodes LEVEL [info|notice|warning|critical] [hysteresis LEVEL]"

static int percent_parse(struct span span, enum threshold_resource resource, struct level *ret)
{
	struct span rest = span, number = span_split(&rest, '/');
	struct level level = { .kind = LEVEL_PERCENT };
	uint64_t percent;
	int r;

	if (number.n == 0 || number.p[number.n - 1] != '%')
		return -EINVAL;
	number.n--;
	r = span_number(number, &percent);
	if (r < 0)
		return r;
	if (percent > 100)
		return -EDOM;
	level.percent = (unsigned int)percent;

	if (rest.p) {
		level.kind = LEVEL_PERCENT_OR_SIZE;
		r = resource == RESOURCE_INODES ? span_number(rest, &level.value)
						: span_size(rest, &level.value);
		if (r < 0)
			return r;
	}

	*ret = level;
	return 0;
}

static bool take_suffix(struct span *span, const char *suffix)
{
	size_t n = strlen(suffix);

	if (span->n < n || memcmp(span->p + span->n - n, suffix, n) != 0)
		return false;

	span->n -= n;
	return true;
}

/* Return: 0, -EINVAL no level, -ERANGE past 64 bits, -EDOM more than 100%. */
static int level_parse(struct span span, enum threshold_resource resource, struct level *ret)
{
	struct level level = { .kind = LEVEL_BYTES };
	int r;

	if (memchr(span.p, '%', span.n))
		return percent_parse(span, resource, ret);

	if (resource == RESOURCE_INODES) {
		level.kind = LEVEL_INODES;
		r = span_number(span, &level.value);
	} else if (take_suffix(&span, "blocks")) {
		level.kind = LEVEL_BLOCKS;
		r = span_number(span, &level.value);
	} else {
		r = span_size(span, &level.value);
	}
	if (r < 0)
		return r;

	*ret = level;
	return 0;
}

static int parse_level(struct span span, enum threshold_resource resource, struct level *ret,
		       struct grammar_error *error)
{
	const char *allowed = resource == RESOURCE_INODES ? ALLOWED_INODES : ALLOWED_SPACE;
	char quoted[GRAMMAR_QUOTE_MAX];
	int r;

	r = level_parse(span, resource, ret);
	if (r == 0)
		return 0;

	grammar_quote(quoted, span.p, span.n);
	if (r == -ERANGE)
		return grammar_refuse(error, "'%s' is too large: at most %" PRIu64 " %s; %s",
				      quoted, UINT64_MAX,
				      resource == RESOURCE_INODES ? "inodes" : "bytes", allowed);
	if (r == -EDOM)
		return grammar_refuse(error, "'%s' is more than all: a percentage is 0 to 100; %s",
				      quoted, allowed);
	return grammar_refuse(error, "'%s' is not a level: %s", quoted, allowed);
}

int grammar_parse_level(const char *text, enum threshold_resource resource, struct level *ret,
			struct grammar_error *error)
{
	assert(text && ret && error);

	return parse_level(span_of(text), resource, ret, error);
}

static bool is_threshold_name(struct span span)
{
	if (span.n < 1 || span.n > THRESHOLD_NAME_MAX)
		return false;
	for (size_t i = 0; i < span.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", span.p[i]) || !span.p[i])
			return false;

	return true;
}

static bool span_severity(struct span span, enum event_severity *ret)
{
	for (unsigned int i = 0; i < _SEVERITY_N; i++) {
		if (span_equal(span, event_severity_name((enum event_severity)i))) {
			*ret = (enum event_severity)i;
			return true;
		}
	}

	return false;
}

/* What may follow the level: a severity, a hysteresis, nothing else. */
static int parse_threshold_rest(struct span rest, struct threshold_spec *spec,
				struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];
	struct span word = span_word(&rest);

	if (span_severity(word, &spec->severity))
		word = span_word(&rest);

	if (span_equal(word, "hysteresis")) {
		int r;

		word = span_word(&rest);
		if (word.n == 0)
			return grammar_refuse(error, "the level after 'hysteresis' is missing: %s",
					      ALLOWED_THRESHOLD);
		r = parse_level(word, spec->resource, &spec->hysteresis, error);
		if (r < 0)
			return r;
		word = span_word(&rest);
	}

	if (word.n > 0) {
		grammar_quote(quoted, word.p, word.n);
		return grammar_refuse(error, "'%s' is not expected here: %s", quoted,
				      ALLOWED_THRESHOLD);
	}
	return 0;
}

int grammar_parse_threshold(const char *text, struct threshold_spec *ret,
			    struct grammar_error *error)
{
	struct threshold_spec spec = { .severity = SEVERITY_WARNING };
	char quoted[GRAMMAR_QUOTE_MAX];
	struct span rest, word;
	int r;

	assert(text && ret && error);

	rest = span_of(text);
	word = span_word(&rest);
	if (!is_threshold_name(word)) {
		grammar_quote(quoted, word.p, word.n);
		return grammar_refuse(
			error, "'%s' is not a threshold's name (1 to %d of a-z, 0-9 and -): %s",
			quoted, THRESHOLD_NAME_MAX, ALLOWED_THRESHOLD);
	}
	memcpy(spec.name, word.p, word.n);

	word = span_word(&rest);
	if (span_equal(word, "inodes")) {
		spec.resource = RESOURCE_INODES;
	} else if (!span_equal(word, "space")) {
		grammar_quote(quoted, word.p, word.n);
		return grammar_refuse(error,
				      "'%s' is not what a threshold counts, space or inodes: %s",
				      quoted, ALLOWED_THRESHOLD);
	}

	word = span_word(&rest);
	if (word.n == 0)
		return grammar_refuse(error, "the level is missing: %s", ALLOWED_THRESHOLD);
	r = parse_level(word, spec.resource, &spec.level, error);
	if (r < 0)
		return r;
	r = parse_threshold_rest(rest, &spec, error);
	if (r < 0)
		return r;

	*ret = spec;
	return 0;
}

int grammar_parse_size(const char *text, uint64_t *ret, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];
	struct span span;
	int r;

	assert(text && ret && error);

	span = span_of(text);
	r = span_size(span, ret);
	if (r == 0)
		return 0;

	grammar_quote(quoted, span.p, span.n);
	if (r == -ERANGE)
		return grammar_refuse(error, "'%s' is too large: at most %" PRIu64 " bytes; %s",
				      quoted, UINT64_MAX, ALLOWED_SIZE);
	return grammar_refuse(error, "'%s' is not a size: %s", quoted, ALLOWED_SIZE);
}

int grammar_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
			 struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];
	struct span span;
	uint64_t value;
	int r;

	assert(text && ret && error);

	span = span_of(text);
	r = span_number(span, &value);
	if (r == 0 && value >= min && value <= max) {
		*ret = value;
		return 0;
	}

	grammar_quote(quoted, span.p, span.n);
	return grammar_refuse(error, "'%s' is not %s: allowed is %" PRIu64 " to %" PRIu64, quoted,
			      r == -EINVAL ? "a number" : "in range", min, max);
}

int grammar_parse_bool(const char *text, bool *ret, struct grammar_error *error)
{
	/* those that mean yes stand at even places */
	static const char *const words[] = { "yes", "no", "true", "false", "on", "off", "1", "0" };
	char quoted[GRAMMAR_QUOTE_MAX];
	struct span span;

	assert(text && ret && error);

	span = span_of(text);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (span_equal(span, words[i])) {
			*ret = i % 2 == 0;
			return 0;
		}
	}

	grammar_quote(quoted, span.p, span.n);
	return grammar_refuse(
		error,
		"'%s' is neither yes nor no: allowed is yes, true, on, 1 or no, false, off, 0",
		quoted);
}
