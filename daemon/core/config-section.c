/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/config-section.h"
#include "daemon/core/config-value.h"
#include "daemon/core/escape.h"
#include "daemon/core/grammar-error.h"

#define PROCESS_NAME_MAX 64

#define ALLOWED_SECTIONS "[daemon], [limits], [filesystem WHERE], [watch PATH] and [process NAME]"

static const struct {
	const char *name;
	const char *argument; /* what its second word is, NULL: it has none */
} kinds[_SECTION_KIND_N] = {
	[SECTION_DAEMON] = { "daemon", NULL },
	[SECTION_LIMITS] = { "limits", NULL },
	[SECTION_FILESYSTEM] = { "filesystem", "WHERE" },
	[SECTION_WATCH] = { "watch", "PATH" },
	[SECTION_PROCESS] = { "process", "NAME" },
};

/* tests/lint/config-keys.sh reads this table: one row a line. */
static const struct {
	enum section_kind kind;
	const char *key;
	const char *initial; /* the default as it would be written; NULL: none */
	section_value_fn parse;
} keys[_SECTION_KEY_N] = {
	[KEY_DAEMON_SOURCES] = { SECTION_DAEMON, "sources", "all", value_sources },
	[KEY_DAEMON_HISTORY_SIZE] = { SECTION_DAEMON, "history-size", "4096", value_history_size },
	[KEY_DAEMON_LOG_LEVEL] = { SECTION_DAEMON, "log-level", "info", value_log_level },
	[KEY_DAEMON_RE_EVALUATION] = { SECTION_DAEMON, "re-evaluation", "60", value_re_evaluation },
	[KEY_LIMITS_WATCHES] = { SECTION_LIMITS, "watches", "64", value_watches },
	[KEY_LIMITS_GROUPS] = { SECTION_LIMITS, "groups", "64", value_groups },
	[KEY_LIMITS_RELAYS] = { SECTION_LIMITS, "relays", "16", value_relays },
	[KEY_LIMITS_STREAMS] = { SECTION_LIMITS, "streams", "8", value_streams },
	[KEY_LIMITS_QUEUE_BYTES] = { SECTION_LIMITS, "queue-bytes", "8M", value_queue_bytes },
	[KEY_FILESYSTEM_EVENTS] = { SECTION_FILESYSTEM, "events", "all", value_events },
	[KEY_FILESYSTEM_IGNORE] = { SECTION_FILESYSTEM, "ignore", NULL, value_ignore },
	[KEY_FILESYSTEM_THRESHOLD] = { SECTION_FILESYSTEM, "threshold", NULL, value_threshold },
	[KEY_WATCH_EVENTS] = { SECTION_WATCH, "events", NULL, value_watch_events },
	[KEY_WATCH_RECURSIVE] = { SECTION_WATCH, "recursive", "no", value_watch_recursive },
	[KEY_WATCH_LOG_LEVEL] = { SECTION_WATCH, "log-level", "info", value_watch_log_level },
	[KEY_PROCESS_COMMAND] = { SECTION_PROCESS, "command", NULL, value_command },
	[KEY_PROCESS_UNIT] = { SECTION_PROCESS, "unit", NULL, value_unit },
	[KEY_PROCESS_USER] = { SECTION_PROCESS, "user", NULL, value_user },
	[KEY_PROCESS_FORK_RATE] = { SECTION_PROCESS, "fork-rate", NULL, value_fork_rate },
	[KEY_PROCESS_EXITS] = { SECTION_PROCESS, "exits", "none", value_exits },
};

bool config_key_next(size_t *index, struct config_key *ret)
{
	assert(index && ret);

	if (*index >= _SECTION_KEY_N)
		return false;

	*ret = (struct config_key){
		.section = kinds[keys[*index].kind].name,
		.key = keys[*index].key,
		.initial = keys[*index].initial,
	};
	(*index)++;
	return true;
}

void section_process_deinit(struct section_process *process)
{
	assert(process);

	free(process->command);
	free(process->unit);
	free(process->user);
	free(process->user_file);
	*process = (struct section_process){};
}

struct section *section_free(struct section *section)
{
	if (!section)
		return NULL;

	where_deinit(&section->where);
	free(section->name);
	free(section->title);
	free(section->thresholds);
	section_process_deinit(&section->process);
	free(section);
	return NULL;
}

static int parse_kind(struct span word, enum section_kind *ret, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];

	for (unsigned int i = 0; i < _SECTION_KIND_N; i++) {
		if (span_equal(word, kinds[i].name)) {
			*ret = (enum section_kind)i;
			return 0;
		}
	}

	grammar_quote(quoted, word.p, word.n);
	return grammar_refuse(error, "'%s' is not a section: allowed is %s", quoted,
			      ALLOWED_SECTIONS);
}

static int parse_process_name(struct span word, char **ret, struct grammar_error *error)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	char quoted[GRAMMAR_QUOTE_MAX], *name;

	name = strndup(word.p, word.n);
	if (!name)
		return -ENOMEM;
	if (word.n <= PROCESS_NAME_MAX && strspn(name, allowed) == word.n) {
		*ret = name;
		return 0;
	}

	free(name);
	grammar_quote(quoted, word.p, word.n);
	return grammar_refuse(error,
			      "'%s' is not a name: allowed are 1 to %d letters, digits, '.', "
			      "'_' and '-'",
			      quoted, PROCESS_NAME_MAX);
}

static int parse_argument(struct section *section, struct span word, struct grammar_error *error)
{
	switch (section->kind) {
	case SECTION_FILESYSTEM:
		return where_parse(word, &section->where, error);
	case SECTION_WATCH:
		return where_parse_path(word, &section->name, error);
	case SECTION_PROCESS:
		return parse_process_name(word, &section->name, error);
	case SECTION_DAEMON:
	case SECTION_LIMITS:
	case _SECTION_KIND_N:
		break;
	}

	return 0;
}

/* The number of words after the first: none or one. */
static int check_words(enum section_kind kind, struct span word, struct span more,
		       struct grammar_error *error)
{
	const char *name = kinds[kind].name, *argument = kinds[kind].argument;

	if (!argument && word.n > 0)
		return grammar_refuse(error, "the section [%s] takes no name: allowed is [%s]",
				      name, name);
	if (argument && word.n == 0)
		return grammar_refuse(error, "the section's name is missing: allowed is [%s %s]",
				      name, argument);
	if (more.n > 0)
		return grammar_refuse(error,
				      "white space in the name: allowed is [%s %s], a space in "
				      "it is written \\040",
				      name, argument);

	return 0;
}

int section_new(struct section **ret, struct span header, struct grammar_error *error)
{
	_cleanup_(section_freep) struct section *section = NULL;
	struct span rest = span_trim(header), word;
	int r;

	assert(ret && error);

	section = calloc(1, sizeof(*section));
	if (!section)
		return -ENOMEM;
	r = parse_kind(span_word(&rest), &section->kind, error);
	if (r < 0)
		return r;
	word = span_word(&rest);
	r = check_words(section->kind, word, span_trim(rest), error);
	if (r < 0)
		return r;
	r = parse_argument(section, word, error);
	if (r < 0)
		return r;

	/* the name is printable by now, and its backslashes start \ooo */
	r = asprintf(&section->title, "[%s%s%.*s]", kinds[section->kind].name,
		     word.n > 0 ? " " : "", (int)word.n, word.p);
	if (r < 0) {
		section->title = NULL;
		return -ENOMEM;
	}

	*ret = TAKE_PTR(section);
	return 0;
}

bool section_is_same(const struct section *a, const struct section *b)
{
	assert(a && b);

	if (a->kind != b->kind)
		return false;
	if (a->kind == SECTION_FILESYSTEM)
		return where_compare(&a->where, &b->where) == 0;

	return !a->name || strcmp(a->name, b->name) == 0;
}

static int refuse_key(const struct section *section, const char *key, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX], allowed[160] = "";
	size_t n = 0;

	for (unsigned int i = 0; i < _SECTION_KEY_N && n < sizeof(allowed); i++)
		if (keys[i].kind == section->kind)
			n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s",
					      n > 0 ? ", " : "", keys[i].key);

	grammar_quote(quoted, key, strlen(key));
	return grammar_refuse(error, "'%s' is not a key of [%s]: allowed is %s", quoted,
			      kinds[section->kind].name, allowed);
}

int section_set(struct section *section, const char *key, const char *value, unsigned int line,
		struct grammar_error *error)
{
	unsigned int i;
	int r;

	assert(section && key && value && line > 0 && error);

	for (i = 0; i < _SECTION_KEY_N; i++)
		if (keys[i].kind == section->kind && strcmp(keys[i].key, key) == 0)
			break;
	if (i == _SECTION_KEY_N)
		return refuse_key(section, key, error);
	if (section->lines[i] > 0 && i != KEY_FILESYSTEM_THRESHOLD)
		return grammar_refuse(error,
				      "given again: allowed is once, and it stands on line %u "
				      "already",
				      section->lines[i]);

	r = keys[i].parse(section, value, error);
	if (r < 0)
		return r;

	if (section->lines[i] == 0)
		section->lines[i] = line;
	return 0;
}
