/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/config-object.h"
#include "daemon/core/escape.h"

static void problem_deinit(struct config_problem *problem)
{
	free(problem->file);
	free(problem->key);
	free(problem->message);
	*problem = (struct config_problem){};
}

static void problem_deinitp(struct config_problem *problem)
{
	problem_deinit(problem);
}

void config_problems_deinit(struct config_problems *problems)
{
	if (!problems)
		return;

	for (size_t i = 0; i < problems->n_items; i++)
		problem_deinit(&problems->items[i]);
	free(problems->items);
	*problems = (struct config_problems){};
}

int config_problem_add(struct config_problems *problems, const char *file, unsigned int line,
		       const char *key, const char *message)
{
	_cleanup_(problem_deinitp) struct config_problem problem = { .line = line };
	struct config_problem *items;

	assert(problems && file && message);

	if (problems->n_items >= CONFIG_PROBLEMS_MAX) {
		problems->n_more++;
		return 0;
	}

	problem.file = escape_new(file, strlen(file), 0);
	problem.message = strdup(message);
	problem.key = key ? strdup(key) : NULL;
	if (!problem.file || !problem.message || (key && !problem.key))
		return -ENOMEM;

	items = reallocarray(problems->items, problems->n_items + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	items[problems->n_items++] = problem;
	problems->items = items;
	problem = (struct config_problem){};
	return 0;
}
