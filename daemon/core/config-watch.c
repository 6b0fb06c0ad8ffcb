/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/change.h"
#include "daemon/core/config-object.h"
#include "daemon/core/config-value.h"
#include "daemon/core/grammar-error.h"
#include "include/fsevents_stream.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

static const char *const event_names[] = {
	"access",      "modify", "create",  "delete", "move",	     "attrib",
	"close-write", "open",	 "unmount", "mount",  "delete-self", "move-self",
};
static const struct grammar_names events = { "an event of watches", event_names, N(event_names) };

int value_watch_events(struct section *section, const char *value, struct grammar_error *error)
{
	uint32_t set;
	int r;

	r = grammar_parse_list(value, &events, &set, error);
	if (r < 0)
		return r;

	section->watch.mask = 0;
	for (size_t i = 0; i < N(event_names); i++)
		if (set & 1U << i)
			section->watch.mask |= watch_mask_from_name(event_names[i]);
	return 0;
}

int value_watch_recursive(struct section *section, const char *value, struct grammar_error *error)
{
	return grammar_parse_bool(value, &section->watch.recursive, error);
}

int value_watch_log_level(struct section *section, const char *value, struct grammar_error *error)
{
	return value_parse_log_level(value, &section->watch.log_level, error);
}

static void merge(struct config_watch *watch, const struct section *section)
{
	if (section_has(section, KEY_WATCH_EVENTS))
		watch->mask = section->watch.mask;
	if (section_has(section, KEY_WATCH_RECURSIVE))
		watch->recursive = section->watch.recursive;
	if (section_has(section, KEY_WATCH_LOG_LEVEL))
		watch->log_level = section->watch.log_level;
}

int config_merge_watch(struct config *config, struct section *section)
{
	struct config_watch *watches;
	size_t at = 0;

	assert(config && section && section->name);

	while (at < config->n_watches && strcmp(config->watches[at].path, section->name) < 0)
		at++;
	if (at < config->n_watches && strcmp(config->watches[at].path, section->name) == 0) {
		merge(&config->watches[at], section);
		return CONFIG_MERGED;
	}
	if (config->n_watches >= CONFIG_WATCHES_MAX)
		return CONFIG_MERGE_FULL;

	watches = reallocarray(config->watches, config->n_watches + 1, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	memmove(&watches[at + 1], &watches[at], (config->n_watches - at) * sizeof(*watches));
	watches[at] = (struct config_watch){
		.path = TAKE_PTR(section->name),
		.mask = CONFIG_WATCH_EVENTS,
		.log_level = CONFIG_LOG_INFO,
	};
	merge(&watches[at], section);
	config->watches = watches;
	config->n_watches++;
	return CONFIG_MERGED;
}

void config_watches_deinit(struct config *config)
{
	assert(config);

	for (size_t i = 0; i < config->n_watches; i++)
		free(config->watches[i].path);
	free(config->watches);
	config->watches = NULL;
	config->n_watches = 0;
}

const struct config_watch *config_watch_next(const struct config *config, size_t *index)
{
	assert(config && index);

	return *index < config->n_watches ? &config->watches[(*index)++] : NULL;
}
