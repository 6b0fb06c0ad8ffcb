/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/core/sentence.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/shown.h"
#include "daemon/ctl/table.h"
#include "daemon/names.h"

/* All that is known of one filesystem. */

#define SHOW_KEY_WIDTH 16
#define SHOW_LIST_WIDTH 60

static void show_key(const char *key)
{
	printf("%*s: ", SHOW_KEY_WIDTH, key);
}

static void show_line(const char *key, const char *value)
{
	show_key(key);
	puts(value);
}

static void show_bytes(const char *key, const char *bytes)
{
	_cleanup_free_ char *escaped = escape_new(bytes, strlen(bytes), 0);

	show_line(key, escaped ?: "");
}

/* Goes on below where a line is full. */
static void show_strv(const char *key, char *const *strings)
{
	size_t column = 0;

	show_key(key);
	if (!strings || !strings[0])
		fputs("none", stdout);
	for (size_t i = 0; strings && strings[i]; i++) {
		if (column + strlen(strings[i]) > SHOW_LIST_WIDTH) {
			printf(",\n%*s", SHOW_KEY_WIDTH + 2, "");
			column = 0;
		}
		column += (size_t)printf("%s%s", column ? ", " : "", strings[i]);
	}
	putchar('\n');
}

static void show_fill_rate(const struct client_filesystem *fs)
{
	uint64_t left = fs->seconds_to_full;
	char rate[SENTENCE_SIZE_MAX];

	/* Nothing is written most of the time, and that is no news. */
	if (!fs->has_fill_rate || fs->fill_rate == 0)
		return;

	sentence_size(rate, fs->fill_rate);
	show_key("Filling");
	printf("%s/s", rate);
	if (!fs->has_seconds_to_full)
		putchar('\n');
	else if (left < 120)
		printf(", full in %" PRIu64 " s\n", left);
	else if (left < 2 * 3600)
		printf(", full in %" PRIu64 " min\n", left / 60);
	else if (left < 2 * 86400)
		printf(", full in %" PRIu64 " h\n", left / 3600);
	else
		printf(", full in %" PRIu64 " days\n", left / 86400);
}

static void show_usage(const struct client_filesystem *fs)
{
	char size[SENTENCE_SIZE_MAX], available[SENTENCE_SIZE_MAX], bar[TABLE_BAR_MAX];

	if (!fs->has_usage) {
		show_line("Usage",
			  fs->usage_error && strcmp(fs->usage_error, BUS_ERROR_STALLED) == 0
				  ? "it does not answer"
				  : "not known");
		return;
	}

	sentence_size(size, shown_bytes(fs, fs->blocks));
	sentence_size(available, shown_bytes(fs, fs->available));
	table_bar(bar, shown_used(fs->blocks, fs->free, fs->available));
	show_key("Space");
	printf("%s  %s of %s available\n", bar, available, size);

	/* Not all filesystems count them, or say something that makes sense. */
	if (fs->files > 0 && fs->files_available <= fs->files) {
		table_bar(bar, shown_used(fs->files, fs->files_available, fs->files_available));
		show_key("Inodes");
		printf("%s  %" PRIu64 " of %" PRIu64 " available\n", bar, fs->files_available,
		       fs->files);
	}
	show_fill_rate(fs);
}

static bool is_crossed(const struct client_filesystem *fs, const char *name)
{
	for (size_t i = 0; fs->crossed && fs->crossed[i]; i++)
		if (strcmp(fs->crossed[i], name) == 0)
			return true;
	return false;
}

static void format_amount(char ret[static SENTENCE_SIZE_MAX], const char *resource, uint64_t amount)
{
	if (strcmp(resource, "space") == 0)
		sentence_size(ret, amount);
	else
		snprintf(ret, SENTENCE_SIZE_MAX, "%" PRIu64 " inodes", amount);
}

static int show_thresholds(const struct client_filesystem *fs, bool colour)
{
	_cleanup_(table_freep) struct table *table = NULL;
	int r;

	if (fs->n_thresholds == 0) {
		show_line("Thresholds", "none");
		return 0;
	}

	r = table_new(&table, "rlrlll", colour);
	if (r < 0)
		return r;
	for (size_t i = 0; i < fs->n_thresholds; i++) {
		const struct client_threshold *threshold = &fs->thresholds[i];
		char level[SENTENCE_SIZE_MAX], hysteresis[SENTENCE_SIZE_MAX],
			above[SENTENCE_SIZE_MAX + 2];

		format_amount(level, threshold->resource, threshold->level);
		format_amount(hysteresis, threshold->resource, threshold->hysteresis);
		snprintf(above, sizeof(above), "+ %s", hysteresis);
		table_add(table, i == 0 ? "      Thresholds:" : "                 ", TABLE_PLAIN);
		table_add(table, threshold->name, TABLE_PLAIN);
		table_add(table, level, TABLE_PLAIN);
		table_add(table, above, TABLE_PLAIN);
		table_add(table, threshold->severity, TABLE_PLAIN);
		table_add(table, is_crossed(fs, threshold->name) ? "crossed" : "", TABLE_RED);
	}
	return table_print(table, stdout);
}

static void show_state(const struct client_filesystem *fs, bool colour)
{
	char device[32];

	snprintf(device, sizeof(device), "%" PRIu32 ":%" PRIu32, fs->major, fs->minor);
	show_line("Filesystem", shown_where(fs));
	show_key("State");
	printf("%s%s%s\n", table_colour_start(colour, shown_state_colour(fs->state)), fs->state,
	       table_colour_end(colour));
	show_line("Type", fs->type);
	show_line("Source", fs->source);
	show_line("Device", device);
	show_line("Object", fs->path);
	for (size_t i = 0; i < fs->n_mount_points; i++)
		show_bytes("Mounted on", fs->mount_points[i]);

	show_key("Read-only");
	if (fs->read_only_reason[0])
		printf("%s (%s)\n", fs->read_only ? "yes" : "no", fs->read_only_reason);
	else
		puts(fs->read_only ? "yes" : "no");
}

int ctl_show(struct ctl *ctl)
{
	_cleanup_(client_filesystems_deinit) struct client_filesystems list = {};
	const struct client_filesystem *fs;
	int r;

	r = client_filesystems(ctl->bus, ctl->args, 1, &list);
	if (r != CTL_DONE)
		return r;
	client_usage(ctl->bus, &list);
	fs = &list.items[0];

	if (ctl->style.json) {
		shown_json(fs);
		return CTL_DONE;
	}

	show_state(fs, ctl->style.colour);
	show_usage(fs);
	if (show_thresholds(fs, ctl->style.colour) < 0)
		return client_failed(NULL, -ENOMEM, "show");
	show_strv("Events", fs->events);
	show_strv("Can come here", fs->capabilities);
	show_key("Errors");
	printf("%" PRIu64 "\n", fs->error_count);
	if (fs->last_event.event.id) {
		show_key("Last event");
		feed_print(&fs->last_event, &ctl->style);
	}
	return CTL_DONE;
}
