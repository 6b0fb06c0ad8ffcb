/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdio.h>
#include <string.h>

#include "daemon/core/config.h"
#include "daemon/core/escape.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/json.h"
#include "daemon/names.h"
#include "daemon/worker/conffile.h"

/* check-config: the same reading and parsing as the daemon's, without a daemon. */

static void print_problem(const struct ctl *ctl, const struct config_problem *problem)
{
	struct json json = { .file = stdout };

	if (!ctl->style.json) {
		printf("%s:", problem->file);
		if (problem->line)
			printf("%u:", problem->line);
		if (problem->key)
			printf(" %s:", problem->key);
		printf(" %s\n", problem->message);
		return;
	}

	json_open(&json, NULL, '{');
	json_string(&json, "file", problem->file);
	json_u32(&json, "line", problem->line);
	json_string(&json, "key", problem->key);
	json_string(&json, "message", problem->message);
	json_close(&json, '}');
	json_end_line(&json);
}

static void print_more(const struct ctl *ctl, size_t n_more)
{
	struct json json = { .file = stdout };

	if (!ctl->style.json) {
		printf("and %zu more\n", n_more);
		return;
	}
	json_open(&json, NULL, '{');
	json_u64(&json, "more", n_more);
	json_close(&json, '}');
	json_end_line(&json);
}

/* With JSON, no line is the good news. */
static void print_valid(const struct ctl *ctl, const struct conffile_set *set)
{
	const char *file = ctl->n_args ? ctl->args[0] : CONFIG_FILE;
	_cleanup_free_ char *escaped = escape_new(file, strlen(file), 0);
	size_t n_others = 0;

	if (ctl->style.json)
		return;
	for (size_t i = 0; i < set->n_texts; i++)
		n_others += strcmp(set->texts[i].name, file) != 0;

	if (n_others == set->n_texts && !ctl->n_args)
		printf("There is no %s: the defaults serve", escaped ?: "");
	else
		printf("%s is valid", escaped ?: "");
	if (n_others > 0)
		printf(" (with %zu drop-in%s)", n_others, n_others == 1 ? "" : "s");
	putchar('\n');
}

int ctl_check_config(struct ctl *ctl)
{
	_cleanup_(config_problems_deinit) struct config_problems problems = {};
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	_cleanup_(config_freep) struct config *config = NULL;
	int r;

	r = conffile_load(ctl->n_args ? ctl->args[0] : NULL, &set);
	if (r >= 0)
		r = config_parse(&config, set.texts, set.n_texts, &problems);
	if (r < 0)
		return client_failed(NULL, r, "check-config");

	for (size_t i = 0; i < problems.n_items; i++)
		print_problem(ctl, &problems.items[i]);
	if (problems.n_more)
		print_more(ctl, problems.n_more);
	if (problems.n_items)
		return CTL_FAILED;
	print_valid(ctl, &set);
	return CTL_DONE;
}
