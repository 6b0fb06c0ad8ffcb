/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/core/sentence.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/metrics.h"
#include "daemon/ctl/shown.h"
#include "daemon/ctl/table.h"

/* The filesystems as tables. */

static int print_json(const struct client_filesystems *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		shown_json(&list->items[i]);
	return CTL_DONE;
}

static int print_none(void)
{
	puts("No filesystem is monitored.");
	return CTL_DONE;
}

static void add_usage(struct table *table, const struct client_filesystem *fs)
{
	char size[SENTENCE_SIZE_MAX], available[SENTENCE_SIZE_MAX], bar[TABLE_BAR_MAX];

	if (!fs->has_usage) {
		table_add(table, "-", TABLE_PLAIN);
		table_add(table, "-", TABLE_PLAIN);
		table_add(table, "-", TABLE_PLAIN);
		return;
	}

	sentence_size(size, shown_bytes(fs, fs->blocks));
	sentence_size(available, shown_bytes(fs, fs->available));
	table_bar(bar, shown_used(fs->blocks, fs->free, fs->available));
	table_add(table, size, TABLE_PLAIN);
	table_add(table, available, TABLE_PLAIN);
	table_add(table, bar, shown_state_colour(fs->state));
}

int ctl_status(struct ctl *ctl)
{
	_cleanup_(client_filesystems_deinit) struct client_filesystems list = {};
	_cleanup_(table_freep) struct table *table = NULL;
	static const char *const head[] = { "FILESYSTEM", "TYPE", "SIZE",
					    "AVAILABLE",  "USE",  "STATE" };
	int r;

	r = client_filesystems(ctl->bus, ctl->args, ctl->n_args, &list);
	if (r != CTL_DONE)
		return r;
	client_usage(ctl->bus, &list);

	if (ctl->openmetrics) {
		metrics_print(&list);
		return CTL_DONE;
	}
	if (ctl->style.json)
		return print_json(&list);
	if (list.n_items == 0)
		return print_none();
	if (table_new(&table, "llrrll", ctl->style.colour) < 0)
		return client_failed(NULL, -ENOMEM, "status");
	for (size_t i = 0; i < 6; i++)
		table_add(table, head[i], TABLE_BOLD);
	for (size_t i = 0; i < list.n_items; i++) {
		const struct client_filesystem *fs = &list.items[i];

		table_add(table, shown_where(fs), TABLE_PLAIN);
		table_add(table, fs->type, TABLE_PLAIN);
		add_usage(table, fs);
		table_add(table, fs->state, shown_state_colour(fs->state));
	}
	return table_print(table, stdout) < 0 ? client_failed(NULL, -ENOMEM, "status") : CTL_DONE;
}

int ctl_list(struct ctl *ctl)
{
	_cleanup_(client_filesystems_deinit) struct client_filesystems list = {};
	_cleanup_(table_freep) struct table *table = NULL;
	static const char *const head[] = { "FILESYSTEM", "TYPE",  "DEVICE",
					    "SOURCE",	  "STATE", "OBJECT" };
	int r;

	r = client_filesystems(ctl->bus, NULL, 0, &list);
	if (r != CTL_DONE)
		return r;

	if (ctl->style.json)
		return print_json(&list);
	if (list.n_items == 0)
		return print_none();
	if (table_new(&table, "llllll", ctl->style.colour) < 0)
		return client_failed(NULL, -ENOMEM, "list");
	for (size_t i = 0; i < 6; i++)
		table_add(table, head[i], TABLE_BOLD);
	for (size_t i = 0; i < list.n_items; i++) {
		const struct client_filesystem *fs = &list.items[i];
		char device[32];

		snprintf(device, sizeof(device), "%" PRIu32 ":%" PRIu32, fs->major, fs->minor);
		table_add(table, shown_where(fs), TABLE_PLAIN);
		table_add(table, fs->type, TABLE_PLAIN);
		table_add(table, device, TABLE_PLAIN);
		table_add(table, fs->source, TABLE_PLAIN);
		table_add(table, fs->state, shown_state_colour(fs->state));
		table_add(table, fs->path, TABLE_PLAIN);
	}
	return table_print(table, stdout) < 0 ? client_failed(NULL, -ENOMEM, "list") : CTL_DONE;
}
