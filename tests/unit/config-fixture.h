/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the tests of the configuration share
 *
 * Files from strings, and what holds when none of them says anything. All of
 * it asserts success itself; include <cmocka.h> and what it needs before.
 */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/config.h"

#define K UINT64_C(1024)
#define N(_array) (sizeof(_array) / sizeof(*(_array)))

static inline struct config_text text_of(const char *name, const char *text)
{
	return (struct config_text){ .name = name, .text = text, .n_text = strlen(text) };
}

/* Files without a problem. */
static inline struct config *parse_good(const struct config_text *texts, size_t n_texts)
{
	struct config_problems problems = {};
	struct config *config = NULL;

	assert_int_equal(config_parse(&config, texts, n_texts, &problems), 0);
	if (problems.n_items > 0)
		fail_msg("%s:%u: %s: %s", problems.items[0].file, problems.items[0].line,
			 problems.items[0].key, problems.items[0].message);
	config_problems_deinit(&problems);
	return config;
}

static inline struct config *parse_one(const char *text)
{
	struct config_text file = text_of("/etc/fsevents.conf", text);

	return parse_good(&file, 1);
}

static inline void resolve(const struct config *config, const char *where, const char *type,
			   struct config_settings *ret)
{
	struct config_match match = {
		.where = &where,
		.n_where = 1,
		.type = type,
		.is_default = true,
	};

	config_resolve(config, &match, ret);
}

static inline void assert_builtin_thresholds(const struct config_settings *settings)
{
	assert_int_equal(settings->n_thresholds, 3);
	assert_string_equal(settings->thresholds[0].name, "low");
	assert_int_equal(settings->thresholds[0].level.kind, LEVEL_PERCENT_OR_SIZE);
	assert_int_equal(settings->thresholds[0].level.percent, 10);
	assert_true(settings->thresholds[0].level.value == 10 * K * K * K);
	assert_int_equal(settings->thresholds[0].severity, SEVERITY_WARNING);
	assert_string_equal(settings->thresholds[1].name, "critical");
	assert_int_equal(settings->thresholds[1].level.percent, 3);
	assert_true(settings->thresholds[1].level.value == 2 * K * K * K);
	assert_int_equal(settings->thresholds[1].severity, SEVERITY_CRITICAL);
	assert_string_equal(settings->thresholds[2].name, "inodes");
	assert_int_equal(settings->thresholds[2].resource, RESOURCE_INODES);
	assert_int_equal(settings->thresholds[2].level.kind, LEVEL_PERCENT);
	assert_int_equal(settings->thresholds[2].level.percent, 5);
	assert_int_equal(settings->thresholds[2].severity, SEVERITY_WARNING);
}

static inline void assert_defaults(const struct config *config)
{
	struct config_settings settings;

	assert_true(config_daemon(config)->source_gate);
	assert_true(config_daemon(config)->source_mount_events);
	assert_int_equal(config_daemon(config)->history_size, 4096);
	assert_int_equal(config_daemon(config)->log_level, CONFIG_LOG_INFO);
	assert_int_equal(config_limits(config)->watches, 64);
	assert_int_equal(config_limits(config)->groups, 64);
	assert_int_equal(config_limits(config)->relays, 16);
	assert_int_equal(config_limits(config)->streams, 8);
	assert_int_equal(config_limits(config)->queue_bytes, 8 << 20);

	resolve(config, "/srv", "ext4", &settings);
	assert_false(settings.ignored);
	assert_int_equal(settings.events, EVENT_CODES_ALL);
	assert_builtin_thresholds(&settings);
}

/* One file of which nothing may be in force. */
static inline void parse_bad(const struct config_text *file, struct config_problems *ret)
{
	struct config *config;

	*ret = (struct config_problems){};
	assert_int_equal(config_parse(&config, file, 1, ret), 0);
	assert_defaults(config);
	config_free(config);
}
