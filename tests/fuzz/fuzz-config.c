/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Any bytes as a configuration: one file, and cut at the first form feed two
 * files. Whatever stands in them, there is a configuration with sane values,
 * and problems are printable text.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/config.h"
#include "daemon/core/escape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Has passed escape(): all that it would change is the backslash. */
static void check_printable(const char *text)
{
	size_t n_backslashes = 0;

	for (const char *p = text; *p; p++)
		n_backslashes += *p == '\\';
	assert(escape_length(text, strlen(text), 0) == strlen(text) + 3 * n_backslashes);
}

static void check_problems(const struct config_problems *problems)
{
	assert(problems->n_items <= CONFIG_PROBLEMS_MAX);
	for (size_t i = 0; i < problems->n_items; i++) {
		check_printable(problems->items[i].file);
		check_printable(problems->items[i].message);
		assert(strlen(problems->items[i].message) > 0);
		if (problems->items[i].key)
			check_printable(problems->items[i].key);
	}
}

static void check_resolve(const struct config *config)
{
	static const char *const where[] = { "/srv", "/a b", "/" };
	static const struct device_number device = { 8, 1 };
	const struct config_match match = {
		.where = where,
		.n_where = 3,
		.type = "ext4",
		.uuid = "ABCD-1234",
		.label = "data",
		.devices = &device,
		.n_devices = 1,
		.is_default = true,
	};
	struct config_settings settings;

	config_resolve(config, &match, &settings);
	assert((settings.events & ~EVENT_CODES_ALL) == 0);
	assert(settings.n_thresholds <= THRESHOLDS_MAX);
	for (size_t i = 0; i < settings.n_thresholds; i++) {
		assert(strlen(settings.thresholds[i].name) > 0);
		assert(settings.thresholds[i].level.percent <= 100);
		assert(settings.thresholds[i].severity < _SEVERITY_N);
	}
}

static void check_config(struct config *config)
{
	const struct config_limits *limits = config_limits(config);
	const char *path;
	size_t index = 0;

	assert(config_daemon(config)->history_size >= 256);
	assert(config_daemon(config)->history_size <= 65536);
	assert(config_daemon(config)->log_level <= CONFIG_LOG_DEBUG);
	assert(limits->watches <= 65536 && limits->groups <= 65536);
	assert(limits->relays <= 4096 && limits->streams <= 1024);
	assert(limits->queue_bytes >= 65536 && limits->queue_bytes <= 256U << 20);

	while ((path = config_device_next(config, &index))) {
		assert(strncmp(path, "/dev/", 5) == 0);
		config_device_set(config, path, 8, 1);
	}
	check_resolve(config);
}

/* Exactly as long as it is, so that a byte too far is seen. */
static struct config_text text_new(const char *name, const uint8_t *data, size_t n)
{
	char *text = malloc(n > 0 ? n : 1);

	assert(text);
	if (n > 0)
		memcpy(text, data, n);
	return (struct config_text){ .name = name, .text = text, .n_text = n };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size > 0 ? memchr(data, '\f', size) : NULL;
	size_t n_first = cut ? (size_t)(cut - data) : size;
	struct config_problems problems = {};
	struct config_text texts[2];
	struct config *config = NULL;

	texts[0] = text_new("first", data, n_first);
	texts[1] = cut ? text_new("sec\nond", cut + 1, size - n_first - 1)
		       : text_new("empty", NULL, 0);

	if (config_parse(&config, texts, 2, &problems) == 0) {
		check_problems(&problems);
		check_config(config);
	}

	config_free(config);
	config_problems_deinit(&problems);
	free((char *)texts[0].text);
	free((char *)texts[1].text);
	return 0;
}
