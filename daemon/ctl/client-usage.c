/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/names.h"

/* Usage of many filesystems, asked for side by side. */

/* A user may have a few dozen questions open, and may run other programs that ask. */
#define USAGE_PENDING_MAX 24

struct usage_round {
	sd_bus *bus;
	size_t n_pending;
	size_t n_refused;
};

struct usage_query {
	struct usage_round *round;
	struct client_filesystem *fs;
};

static void usage_take(struct client_filesystem *fs, const char *key, uint64_t value)
{
	if (strcmp(key, "blocks") == 0) {
		fs->blocks = value;
	} else if (strcmp(key, "available") == 0) {
		fs->available = value;
	} else if (strcmp(key, "free") == 0) {
		fs->free = value;
	} else if (strcmp(key, "files") == 0) {
		fs->files = value;
	} else if (strcmp(key, "files-available") == 0) {
		fs->files_available = value;
	} else if (strcmp(key, "fill-rate") == 0) {
		fs->fill_rate = value;
		fs->has_fill_rate = true;
	} else if (strcmp(key, "seconds-to-full") == 0) {
		fs->seconds_to_full = value;
		fs->has_seconds_to_full = true;
	}
}

static void usage_fail(struct client_filesystem *fs, const char *name)
{
	free(fs->usage_error);
	fs->usage_error = strdup(name);

	/* The property was read before it failed to answer. */
	if (strcmp(name, BUS_ERROR_STALLED) == 0) {
		char *state = strdup("stalled");

		if (state) {
			free(fs->state);
			fs->state = state;
		}
	}
}

static int on_usage(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct usage_query *query = userdata;
	const sd_bus_error *failure = sd_bus_message_get_error(m);
	const char *key;
	uint64_t value;
	int r;

	query->round->n_pending--;
	if (failure) {
		usage_fail(query->fs, failure->name);
		if (strcmp(failure->name, SD_BUS_ERROR_LIMITS_EXCEEDED) == 0)
			query->round->n_refused++;
		return 0;
	}

	r = sd_bus_message_enter_container(m, 'a', "{st}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(m, "{st}", &key, &value)) > 0)
		usage_take(query->fs, key, value);
	query->fs->has_usage = r == 0;
	return 0;
}

static int usage_ask(struct usage_query *query)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	free(query->fs->usage_error);
	query->fs->usage_error = NULL;

	r = sd_bus_message_new_method_call(query->round->bus, &m, BUS_NAME, query->fs->path,
					   BUS_IFACE_FILESYSTEM, "GetUsage");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		r = sd_bus_message_append(m, "a{sv}", 0);
	if (r >= 0)
		r = sd_bus_call_async(query->round->bus, NULL, m, on_usage, query, 0);
	if (r >= 0)
		query->round->n_pending++;
	return r;
}

static int usage_wait(struct usage_round *round, size_t n_pending)
{
	while (round->n_pending > n_pending) {
		int r = sd_bus_process(round->bus, NULL);

		if (r == 0)
			r = sd_bus_wait(round->bus, UINT64_MAX);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

static bool usage_is_open(const struct client_filesystem *fs)
{
	return !fs->has_usage &&
	       (!fs->usage_error || strcmp(fs->usage_error, SD_BUS_ERROR_LIMITS_EXCEEDED) == 0);
}

/*
 * Asks until one is refused: more questions would only be refused too.
 * Return: how many are still open, or a negative errno.
 */
static ssize_t usage_run(struct usage_round *round, struct usage_query *queries,
			 struct client_filesystems *list)
{
	ssize_t n_open = 0;
	int r = 0;

	round->n_refused = 0;
	for (size_t i = 0; i < list->n_items && round->n_refused == 0; i++) {
		if (!usage_is_open(&list->items[i]))
			continue;
		queries[i] = (struct usage_query){ round, &list->items[i] };
		r = usage_ask(&queries[i]);
		if (r >= 0)
			r = usage_wait(round, USAGE_PENDING_MAX - 1);
		if (r < 0)
			return r;
	}

	r = usage_wait(round, 0);
	if (r < 0)
		return r;
	for (size_t i = 0; i < list->n_items; i++)
		n_open += usage_is_open(&list->items[i]);
	return n_open;
}

void client_usage(sd_bus *bus, struct client_filesystems *list)
{
	_cleanup_free_ struct usage_query *queries = NULL;
	struct usage_round round = { .bus = bus };
	ssize_t n_open = (ssize_t)list->n_items, n_before;
	int attempts = 0;

	queries = calloc(list->n_items ?: 1, sizeof(*queries));
	if (!queries)
		return;

	/* As long as it gets on; each time that it does not is one attempt. */
	do {
		n_before = n_open;
		n_open = usage_run(&round, queries, list);
		attempts = n_open < n_before ? 0 : attempts + 1;
	} while (n_open > 0 && attempts < CLIENT_ATTEMPTS && client_settle(bus) >= 0);
}
