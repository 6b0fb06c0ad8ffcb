/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/config-value.h"
#include "daemon/core/grammar-error.h"
#include "daemon/core/group.h"
#include "daemon/core/relay.h"
#include "daemon/core/span.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

#define HISTORY_SIZE_MIN 256
#define HISTORY_SIZE_MAX 65536
#define RE_EVALUATION_MIN 5
#define RE_EVALUATION_MAX 3600
#define WATCHES_MAX 65536
#define QUEUE_BYTES_MIN (UINT64_C(64) << 10)
#define QUEUE_BYTES_MAX (UINT64_C(64) << 20)

static const char *const source_names[] = {
	"gate", "mount-events", "fs-errors", "kmsg", "uevents", "processes", "watches", "module",
};
static const struct grammar_names sources = { "a source", source_names, N(source_names) };

/* In the order of enum config_log_level. */
static const char *const log_level_names[] = { "error", "warning", "notice", "info", "debug" };
static const struct grammar_names log_levels = { "a log level", log_level_names,
						 N(log_level_names) };

int value_sources(struct section *section, const char *value, struct grammar_error *error)
{
	uint32_t set;
	int r;

	r = grammar_parse_list(value, &sources, &set, error);
	if (r < 0)
		return r;

	section->daemon.source_gate = set & 1;
	section->daemon.source_mount_events = set & 2;
	section->daemon.source_fs_errors = set & 4;
	section->daemon.source_kmsg = set & 8;
	section->daemon.source_uevents = set & 16;
	section->daemon.source_processes = set & 32;
	section->daemon.source_watches = set & 64;
	section->daemon.source_module = set & 128;
	return 0;
}

int value_history_size(struct section *section, const char *value, struct grammar_error *error)
{
	uint64_t size;
	int r;

	r = grammar_parse_number(value, HISTORY_SIZE_MIN, HISTORY_SIZE_MAX, &size, error);
	if (r < 0)
		return r;

	section->daemon.history_size = size;
	return 0;
}

int value_parse_log_level(const char *value, enum config_log_level *ret,
			  struct grammar_error *error)
{
	unsigned int level;
	int r;

	r = grammar_parse_name(value, &log_levels, &level, error);
	if (r < 0)
		return r;

	*ret = (enum config_log_level)level;
	return 0;
}

int value_log_level(struct section *section, const char *value, struct grammar_error *error)
{
	return value_parse_log_level(value, &section->daemon.log_level, error);
}

int value_re_evaluation(struct section *section, const char *value, struct grammar_error *error)
{
	uint64_t seconds;
	int r;

	r = grammar_parse_number(value, RE_EVALUATION_MIN, RE_EVALUATION_MAX, &seconds, error);
	if (r < 0)
		return r;

	section->daemon.re_evaluation = (unsigned int)seconds;
	return 0;
}

static int parse_limit(const char *value, unsigned int max, unsigned int *ret,
		       struct grammar_error *error)
{
	uint64_t limit;
	int r;

	r = grammar_parse_number(value, 0, max, &limit, error);
	if (r < 0)
		return r;

	*ret = (unsigned int)limit;
	return 0;
}

int value_watches(struct section *section, const char *value, struct grammar_error *error)
{
	return parse_limit(value, WATCHES_MAX, &section->limits.watches, error);
}

int value_groups(struct section *section, const char *value, struct grammar_error *error)
{
	return parse_limit(value, GROUPS_MAX, &section->limits.groups, error);
}

int value_relays(struct section *section, const char *value, struct grammar_error *error)
{
	return parse_limit(value, RELAYS_MAX, &section->limits.relays, error);
}

int value_streams(struct section *section, const char *value, struct grammar_error *error)
{
	return parse_limit(value, CONFIG_STREAMS_MAX, &section->limits.streams, error);
}

int value_queue_bytes(struct section *section, const char *value, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];
	uint64_t bytes;
	int r;

	r = grammar_parse_size(value, &bytes, error);
	if (r < 0)
		return r;
	if (bytes < QUEUE_BYTES_MIN || bytes > QUEUE_BYTES_MAX) {
		grammar_quote(quoted, value, strlen(value));
		return grammar_refuse(error, "'%s' is not in range: allowed is 64K to 64M", quoted);
	}

	section->limits.queue_bytes = bytes;
	return 0;
}

int value_events(struct section *section, const char *value, struct grammar_error *error)
{
	return grammar_parse_events(value, &section->events, error);
}

int value_ignore(struct section *section, const char *value, struct grammar_error *error)
{
	return grammar_parse_bool(value, &section->ignore, error);
}

static int check_threshold(const struct section *section, const struct threshold_spec *spec,
			   struct grammar_error *error)
{
	bool given = section->lines[KEY_FILESYSTEM_THRESHOLD] > 0;

	if (given && section->n_thresholds == 0)
		return grammar_refuse(error,
				      "another threshold beside 'threshold = none' on line %u: "
				      "allowed is either",
				      section->lines[KEY_FILESYSTEM_THRESHOLD]);
	if (section->n_thresholds >= THRESHOLDS_MAX)
		return grammar_refuse(error,
				      "one threshold too many: allowed are at most %d a section",
				      THRESHOLDS_MAX);
	for (size_t i = 0; i < section->n_thresholds; i++)
		if (strcmp(section->thresholds[i].name, spec->name) == 0)
			return grammar_refuse(error,
					      "the name '%s' is used by an earlier threshold: "
					      "allowed is each name once a section",
					      spec->name);

	return 0;
}

int value_threshold(struct section *section, const char *value, struct grammar_error *error)
{
	struct threshold_spec spec, *thresholds;
	int r;

	if (span_equal(span_of(value), "none")) {
		if (section->lines[KEY_FILESYSTEM_THRESHOLD] > 0)
			return grammar_refuse(error,
					      "'none' beside another threshold on line %u: "
					      "allowed is either",
					      section->lines[KEY_FILESYSTEM_THRESHOLD]);
		return 0;
	}

	r = grammar_parse_threshold(value, &spec, error);
	if (r < 0)
		return r;
	r = check_threshold(section, &spec, error);
	if (r < 0)
		return r;

	thresholds =
		reallocarray(section->thresholds, section->n_thresholds + 1, sizeof(*thresholds));
	if (!thresholds)
		return -ENOMEM;
	thresholds[section->n_thresholds++] = spec;
	section->thresholds = thresholds;
	return 0;
}
