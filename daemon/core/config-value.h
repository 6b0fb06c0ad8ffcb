/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Values of the keys: one parser a key, into the section it stands in. For
 * the table in config-section.c.
 */

#include "daemon/core/config-section.h"

/* Return: 0, -EINVAL with @error (nothing is set), or -ENOMEM. */
typedef int (*section_value_fn)(struct section *section, const char *value,
				struct grammar_error *error);

/** value_parse_log_level() - for each section that has one; as above */
int value_parse_log_level(const char *value, enum config_log_level *ret,
			  struct grammar_error *error);

int value_sources(struct section *section, const char *value, struct grammar_error *error);
int value_history_size(struct section *section, const char *value, struct grammar_error *error);
int value_log_level(struct section *section, const char *value, struct grammar_error *error);
int value_re_evaluation(struct section *section, const char *value, struct grammar_error *error);
int value_watches(struct section *section, const char *value, struct grammar_error *error);
int value_groups(struct section *section, const char *value, struct grammar_error *error);
int value_relays(struct section *section, const char *value, struct grammar_error *error);
int value_streams(struct section *section, const char *value, struct grammar_error *error);
int value_queue_bytes(struct section *section, const char *value, struct grammar_error *error);
int value_events(struct section *section, const char *value, struct grammar_error *error);
int value_ignore(struct section *section, const char *value, struct grammar_error *error);
int value_threshold(struct section *section, const char *value, struct grammar_error *error);

int value_command(struct section *section, const char *value, struct grammar_error *error);
int value_unit(struct section *section, const char *value, struct grammar_error *error);
int value_user(struct section *section, const char *value, struct grammar_error *error);
int value_fork_rate(struct section *section, const char *value, struct grammar_error *error);
int value_exits(struct section *section, const char *value, struct grammar_error *error);

int value_watch_events(struct section *section, const char *value, struct grammar_error *error);
int value_watch_recursive(struct section *section, const char *value, struct grammar_error *error);
int value_watch_log_level(struct section *section, const char *value, struct grammar_error *error);
