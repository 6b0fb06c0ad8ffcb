/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/core/escape.h"

#define OPTIONS_MAX 8

static int refuse_unknown(sd_bus_message *call, const char *key, const struct option *options,
			  size_t n)
{
	char shown[128], known[256] = "";
	size_t used = 0;
	int r;

	escape(shown, sizeof(shown), key, strlen(key), 0);
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
					 options[i].name);

	if (n)
		r = bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
			       "Unknown option \"%s\"; there are: %s", shown, known);
	else
		r = bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
			       "Unknown option \"%s\"; this method has none", shown);
	return r;
}

static int option_value(sd_bus_message *call, const struct option *option)
{
	if (strcmp(option->type, "as") == 0) {
		char **list = NULL;
		int r;

		r = sd_bus_message_read_strv(call, &list);
		if (r >= 0)
			*option->list = list;
		return r;
	}
	switch (option->type[0]) {
	case 'b':
		return sd_bus_message_read_basic(call, 'b', option->flag);
	case 'u':
		return sd_bus_message_read_basic(call, 'u', option->u);
	case 't':
		return sd_bus_message_read_basic(call, 't', option->t);
	default:
		return sd_bus_message_read_basic(call, option->type[0], option->text);
	}
}

static int option_read(sd_bus_message *call, const struct option *option)
{
	const char *contents;
	int r;

	r = sd_bus_message_peek_type(call, NULL, &contents);
	if (r < 0)
		return r;
	if (strcmp(contents, option->type) != 0)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The option \"%s\" has type %s, not %s", option->name,
				  option->type, contents);

	r = sd_bus_message_enter_container(call, 'v', option->type);
	if (r < 0)
		return r;
	r = option_value(call, option);
	if (r < 0)
		return r;
	if (option->ret_given)
		*option->ret_given = true;
	r = sd_bus_message_exit_container(call);
	return r < 0 ? r : 0;
}

static int option_pair(sd_bus_message *call, const struct option *options, size_t n, bool *seen)
{
	const char *key;
	int r;

	r = sd_bus_message_read_basic(call, 's', &key);
	if (r < 0)
		return r;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(options[i].name, key) != 0)
			continue;
		if (seen[i])
			return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
					  "The option \"%s\" is given twice", key);
		seen[i] = true;
		return option_read(call, &options[i]);
	}
	return refuse_unknown(call, key, options, n);
}

int options_read(sd_bus_message *call, const struct option *options, size_t n)
{
	bool seen[OPTIONS_MAX] = {};
	int r;

	assert(call);
	assert(n <= OPTIONS_MAX);

	r = sd_bus_message_enter_container(call, 'a', "{sv}");
	if (r < 0)
		return r;

	while ((r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
		r = option_pair(call, options, n, seen);
		if (r != 0)
			return r;
		r = sd_bus_message_exit_container(call);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	r = sd_bus_message_exit_container(call);
	return r < 0 ? r : 0;
}

int options_none(sd_bus_message *call)
{
	return options_read(call, NULL, 0);
}
