/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/config-object.h"
#include "daemon/core/config-value.h"
#include "daemon/core/escape.h"
#include "daemon/core/grammar-error.h"
#include "daemon/core/span.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

#define FORK_RATE_MAX 1000000
#define COMMAND_MAX 4095
#define UNIT_MAX 255
#define USER_MAX 256

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const char *const exit_names[] = { "signal", "status", "none" };
static const enum process_exits exit_values[] = {
	PROCESS_EXITS_SIGNAL,
	PROCESS_EXITS_STATUS,
	PROCESS_EXITS_NONE,
};
static const struct grammar_names exits = { "a kind of exit", exit_names, N(exit_names) };

static int set_text(char **text, const char *value, size_t n_value)
{
	char *copy = strndup(value, n_value);

	if (!copy)
		return -ENOMEM;

	free(*text);
	*text = copy;
	return 0;
}

int value_command(struct section *section, const char *value, struct grammar_error *error)
{
	struct span span = span_of(value);
	char quoted[GRAMMAR_QUOTE_MAX];

	if (span.n > 0 && span.n <= COMMAND_MAX && where_is_printable(span)) {
		_cleanup_free_ char *command = malloc(span.n + 1);

		if (!command)
			return -ENOMEM;
		if (unescape(command, span.p, span.n) > 0)
			return set_text(&section->process.command, command, strlen(command));
	}

	grammar_quote(quoted, span.p, span.n);
	return grammar_refuse(error,
			      "'%s' is not a command: allowed is the name or the absolute path of "
			      "an executable, 1 to %d bytes, what does not print written \\ooo",
			      quoted, COMMAND_MAX);
}

int value_unit(struct section *section, const char *value, struct grammar_error *error)
{
	struct span span = span_of(value);
	const char *dot = memrchr(span.p, '.', span.n);
	char quoted[GRAMMAR_QUOTE_MAX];

	if (span.n <= UNIT_MAX && dot && dot > span.p && dot + 1 < span.p + span.n &&
	    strspn(span.p, ALNUM ":-_.\\@") >= span.n)
		return set_text(&section->process.unit, span.p, span.n);

	grammar_quote(quoted, span.p, span.n);
	return grammar_refuse(error,
			      "'%s' is not a unit: allowed is a full name such as "
			      "nginx.service, at most %d letters, digits and :-_.\\@",
			      quoted, UNIT_MAX);
}

int value_user(struct section *section, const char *value, struct grammar_error *error)
{
	struct span span = span_of(value);
	char quoted[GRAMMAR_QUOTE_MAX];

	if (span.n > 0 && span.n <= USER_MAX && *span.p != '-' &&
	    strspn(span.p, ALNUM "._-") >= span.n)
		return set_text(&section->process.user, span.p, span.n);

	grammar_quote(quoted, span.p, span.n);
	return grammar_refuse(error,
			      "'%s' is not a user: allowed is a name or a number, at most %d "
			      "letters, digits, '.', '_' and '-'",
			      quoted, USER_MAX);
}

int value_fork_rate(struct section *section, const char *value, struct grammar_error *error)
{
	struct span span = span_of(value), number = span;
	char quoted[GRAMMAR_QUOTE_MAX];
	uint64_t rate;

	if (span.n > 2 && memcmp(span.p + span.n - 2, "/s", 2) == 0) {
		number.n -= 2;
		if (span_number(number, &rate) == 0 && rate >= 1 && rate <= FORK_RATE_MAX) {
			section->process.fork_rate = (uint32_t)rate;
			return 0;
		}
	}

	grammar_quote(quoted, span.p, span.n);
	return grammar_refuse(error, "'%s' is not a rate: allowed is N/s with N from 1 to %d",
			      quoted, FORK_RATE_MAX);
}

int value_exits(struct section *section, const char *value, struct grammar_error *error)
{
	unsigned int kind;
	int r;

	r = grammar_parse_name(value, &exits, &kind, error);
	if (r < 0)
		return r;

	section->process.exits = exit_values[kind];
	return 0;
}

static void process_deinit(struct config_process *process)
{
	free(process->name);
	section_process_deinit(&process->values);
}

void config_processes_deinit(struct config *config)
{
	assert(config);

	for (size_t i = 0; i < config->n_processes; i++)
		process_deinit(&config->processes[i]);
	free(config->processes);
	config->processes = NULL;
	config->n_processes = 0;
}

static void take_text(char **to, char **from)
{
	free(*to);
	*to = TAKE_PTR(*from);
}

static void merge(struct section_process *to, struct section *section)
{
	struct section_process *from = &section->process;

	if (section_has(section, KEY_PROCESS_COMMAND))
		take_text(&to->command, &from->command);
	if (section_has(section, KEY_PROCESS_UNIT))
		take_text(&to->unit, &from->unit);
	if (section_has(section, KEY_PROCESS_USER)) {
		take_text(&to->user, &from->user);
		take_text(&to->user_file, &from->user_file);
		to->user_line = section->lines[KEY_PROCESS_USER];
	}
	if (section_has(section, KEY_PROCESS_FORK_RATE))
		to->fork_rate = from->fork_rate;
	if (section_has(section, KEY_PROCESS_EXITS))
		to->exits = from->exits;
}

int config_merge_process(struct config *config, struct section *section)
{
	struct config_process *processes;
	size_t at = 0;

	assert(config && section && section->name);

	while (at < config->n_processes && strcmp(config->processes[at].name, section->name) < 0)
		at++;
	if (at < config->n_processes && strcmp(config->processes[at].name, section->name) == 0) {
		merge(&config->processes[at].values, section);
		return CONFIG_MERGED;
	}
	if (config->n_processes >= PROCESS_RULES_MAX)
		return CONFIG_MERGE_FULL;

	processes = reallocarray(config->processes, config->n_processes + 1, sizeof(*processes));
	if (!processes)
		return -ENOMEM;
	memmove(&processes[at + 1], &processes[at],
		(config->n_processes - at) * sizeof(*processes));
	processes[at] = (struct config_process){ .name = TAKE_PTR(section->name) };
	merge(&processes[at].values, section);
	config->processes = processes;
	config->n_processes++;
	return CONFIG_MERGED;
}

bool config_process_next(const struct config *config, size_t *index, struct process_rule *ret)
{
	const struct config_process *process;

	assert(config && index && ret);

	if (*index >= config->n_processes)
		return false;

	process = &config->processes[(*index)++];
	*ret = (struct process_rule){
		.name = process->name,
		.command = process->values.command,
		.unit = process->values.unit,
		.user = process->values.user,
		.user_file = process->values.user_file,
		.user_line = process->values.user_line,
		.fork_rate = process->values.fork_rate,
		.exits = process->values.exits,
	};
	return true;
}
