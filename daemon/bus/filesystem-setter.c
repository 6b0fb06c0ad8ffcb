/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/core/escape.h"

/* What changes a filesystem's settings at run time: checks of form only. */

static bool name_is_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= THRESHOLD_NAME_MAX && name[n] == '\0';
}

/* Return: 0, 1 when the call was refused, negative errno. */
static int check_threshold(sd_bus_message *call, const struct bus_threshold *item,
			   const char *resource)
{
	enum event_severity severity;
	char shown[128];

	escape(shown, sizeof(shown), item->name, strlen(item->name), 0);
	if (!name_is_valid(item->name))
		return bus_refuse(
			call, SD_BUS_ERROR_INVALID_ARGS,
			"The name of a threshold has 1 to %d of a-z, 0-9 and -, unlike \"%s\"",
			THRESHOLD_NAME_MAX, shown);
	if (strcmp(resource, "space") != 0 && strcmp(resource, "inodes") != 0)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The resource of threshold \"%s\" must be space or inodes",
				  shown);
	if (event_severity_from_name(item->severity, &severity) < 0)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The severity of threshold \"%s\" must be info, notice, warning "
				  "or critical",
				  shown);
	return 0;
}

static int check_unique(sd_bus_message *call, const struct bus_threshold *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(items[i].name, items[n].name) == 0)
			return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
					  "The threshold \"%s\" is given twice", items[n].name);
	return 0;
}

/* Strings are borrowed from the call. Return: as check_threshold(). */
static int read_thresholds(sd_bus_message *call, struct bus_threshold items[static THRESHOLDS_MAX],
			   size_t *ret_n)
{
	struct bus_threshold item = {};
	const char *resource;
	size_t n = 0;
	int r;

	r = sd_bus_message_enter_container(call, 'a', "(sstts)");
	if (r < 0)
		return r;

	while ((r = sd_bus_message_read(call, "(sstts)", &item.name, &resource, &item.level,
					&item.hysteresis, &item.severity)) > 0) {
		if (n == THRESHOLDS_MAX)
			return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
					  "A filesystem has at most %d thresholds", THRESHOLDS_MAX);
		r = check_threshold(call, &item, resource);
		if (r != 0)
			return r;
		item.inodes = strcmp(resource, "inodes") == 0;
		items[n] = item;
		r = check_unique(call, items, n);
		if (r != 0)
			return r;
		n++;
	}
	if (r < 0)
		return r;

	*ret_n = n;
	r = sd_bus_message_exit_container(call);
	return r < 0 ? r : 0;
}

/* Return: 0 with @ret, 1 when the call was refused, negative errno. */
static int find_expected(struct filesystem **ret, struct bus *bus, sd_bus_message *call)
{
	uint64_t generation = 0;
	bool given = false;
	const struct option options[] = {
		{ .name = "generation", .type = "t", .t = &generation, .ret_given = &given },
	};
	struct filesystem *fs;
	int r;

	r = options_read(call, options, 1);
	if (r != 0)
		return r;

	fs = bus_find_path(bus, sd_bus_message_get_path(call));
	if (!fs)
		return bus_refuse(call, SD_BUS_ERROR_UNKNOWN_OBJECT,
				  "The filesystem was unmounted");
	if (given && fs->sb->generation != generation)
		return bus_refuse(call, SD_BUS_ERROR_UNKNOWN_OBJECT,
				  "This is another filesystem: its generation is %llu, not %llu",
				  (unsigned long long)fs->sb->generation,
				  (unsigned long long)generation);
	*ret = fs;
	return 0;
}

int filesystem_set_events(struct bus *bus, sd_bus_message *call)
{
	struct bus_refusal refusal = {};
	struct filesystem *fs;
	uint32_t events = 0;
	const char *name;
	int r;

	r = sd_bus_message_enter_container(call, 'a', "s");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read_basic(call, 's', &name)) > 0) {
		enum event_code code;

		if (event_code_from_name(name, &code) < 0)
			return bus_refuse_code(call, name);
		events |= 1U << code;
	}
	if (r < 0)
		return r;
	r = sd_bus_message_exit_container(call);
	if (r < 0)
		return r;

	r = find_expected(&fs, bus, call);
	if (r != 0)
		return r;
	if (bus->ops->set_events(fs, events, &refusal, bus->userdata) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

int filesystem_set_thresholds(struct bus *bus, sd_bus_message *call)
{
	struct bus_threshold items[THRESHOLDS_MAX];
	struct bus_refusal refusal = {};
	struct filesystem *fs;
	size_t n = 0;
	int r;

	r = read_thresholds(call, items, &n);
	if (r != 0)
		return r;
	r = find_expected(&fs, bus, call);
	if (r != 0)
		return r;
	if (bus->ops->set_thresholds(fs, items, n, &refusal, bus->userdata) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}
