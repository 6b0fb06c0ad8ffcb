/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/ctl/metrics.h"
#include "daemon/ctl/shown.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

#define PREFIX "fsevents_filesystem_"

/* What Filesystem.State can be, the best first. */
static const char *const states[] = {
	"ok", "unknown", "warning", "critical", "full", "frozen", "read-only", "error", "stalled",
};

static uint64_t get_size(const struct client_filesystem *fs)
{
	return shown_bytes(fs, fs->blocks);
}

static uint64_t get_free(const struct client_filesystem *fs)
{
	return shown_bytes(fs, fs->free);
}

static uint64_t get_available(const struct client_filesystem *fs)
{
	return shown_bytes(fs, fs->available);
}

static uint64_t get_files(const struct client_filesystem *fs)
{
	return fs->files;
}

static uint64_t get_files_available(const struct client_filesystem *fs)
{
	return fs->files_available;
}

static uint64_t get_fill_rate(const struct client_filesystem *fs)
{
	return fs->fill_rate;
}

static uint64_t get_responding(const struct client_filesystem *fs)
{
	return fs->has_usage;
}

static uint64_t get_read_only(const struct client_filesystem *fs)
{
	return fs->read_only;
}

static bool has_usage(const struct client_filesystem *fs)
{
	return fs->has_usage;
}

static bool has_fill_rate(const struct client_filesystem *fs)
{
	return fs->has_usage && fs->has_fill_rate;
}

static const struct gauge {
	const char *name, *help;
	bool (*has)(const struct client_filesystem *fs); /* NULL: always */
	uint64_t (*get)(const struct client_filesystem *fs);
} gauges[] = {
	{ "size_bytes", "Size of the filesystem.", has_usage, get_size },
	{ "free_bytes", "What is free, also what is kept for root.", has_usage, get_free },
	{ "available_bytes", "What an ordinary user can take.", has_usage, get_available },
	{ "files", "Inodes, 0 where they are made as needed.", has_usage, get_files },
	{ "files_available", "Inodes that can be taken.", has_usage, get_files_available },
	{ "fill_rate_bytes_per_second", "How fast it fills now.", has_fill_rate, get_fill_rate },
	{ "responding", "Whether it answered when it was asked for its usage.", NULL,
	  get_responding },
	{ "read_only", "Whether it is read-only, for whatever reason.", NULL, get_read_only },
};

static void print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			putchar('\\');
		putchar(*text);
	}
}

static void print_label(const char *name, const char *value)
{
	printf("%s=\"", name);
	print_text(value);
	putchar('"');
}

/* "name{labels", without the bracket at the end */
static void print_labels(const char *name, const char *suffix, const struct client_filesystem *fs)
{
	printf(PREFIX "%s%s{device=\"%" PRIu32 ":%" PRIu32 "\",", name, suffix, fs->major,
	       fs->minor);
	print_label("where", fs->where);
	putchar(',');
	print_label("source", fs->source);
	putchar(',');
	print_label("type", fs->type);
}

static void print_family(const char *name, const char *type, const char *help)
{
	printf("# TYPE " PREFIX "%s %s\n# HELP " PREFIX "%s %s\n", name, type, name, help);
}

static void print_gauge(const struct client_filesystems *list, const struct gauge *gauge)
{
	print_family(gauge->name, "gauge", gauge->help);
	for (size_t i = 0; i < list->n_items; i++) {
		const struct client_filesystem *fs = &list->items[i];

		if (gauge->has && !gauge->has(fs))
			continue;
		print_labels(gauge->name, "", fs);
		printf("} %" PRIu64 "\n", gauge->get(fs));
	}
}

static void print_errors(const struct client_filesystems *list)
{
	print_family("errors", "counter", "Errors since it was mounted.");
	for (size_t i = 0; i < list->n_items; i++) {
		print_labels("errors", "_total", &list->items[i]);
		printf("} %" PRIu64 "\n", list->items[i].error_count);
	}
}

static void print_states(const struct client_filesystems *list)
{
	print_family("state", "stateset", "The worst that holds.");
	for (size_t i = 0; i < list->n_items; i++) {
		for (size_t k = 0; k < N(states); k++) {
			print_labels("state", "", &list->items[i]);
			printf("," PREFIX "state=\"%s\"} %d\n", states[k],
			       strcmp(list->items[i].state, states[k]) == 0);
		}
	}
}

static bool is_crossed(const struct client_filesystem *fs, const char *name)
{
	for (char **crossed = fs->crossed; crossed && *crossed; crossed++)
		if (strcmp(*crossed, name) == 0)
			return true;
	return false;
}

static void print_thresholds(const struct client_filesystems *list)
{
	print_family("threshold_crossed", "gauge", "Whether less is available than it allows.");
	for (size_t i = 0; i < list->n_items; i++) {
		const struct client_filesystem *fs = &list->items[i];

		for (size_t k = 0; k < fs->n_thresholds; k++) {
			const struct client_threshold *threshold = &fs->thresholds[k];

			print_labels("threshold_crossed", "", fs);
			printf(",threshold=\"%s\",severity=\"%s\"} %d\n", threshold->name,
			       threshold->severity, is_crossed(fs, threshold->name));
		}
	}
}

void metrics_print(const struct client_filesystems *list)
{
	for (size_t i = 0; i < N(gauges); i++)
		print_gauge(list, &gauges[i]);
	print_errors(list);
	print_states(list);
	print_thresholds(list);
	puts("# EOF");
}
