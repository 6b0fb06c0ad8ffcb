/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/bus/bus.h"
#include "daemon/core/escape.h"
#include "daemon/core/grammar.h"
#include "daemon/core/span.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/output/journal.h"
#include "daemon/runtime.h"

/* All codes but those of thresholds, which T sets. */
#define RUNTIME_GENERIC                                                                            \
	(EVENT_CODES_ALL & ~(1U << EVENT_THRESHOLD_BELOW | 1U << EVENT_THRESHOLD_ABOVE))
#define RUNTIME_THRESHOLDS (1U << EVENT_THRESHOLD_BELOW | 1U << EVENT_THRESHOLD_ABOVE)

/* Longest text accepted: comments take about as much as the requests before them. */
#define RUNTIME_LINE_MAX (2 * REQUEST_LINE_MAX)

/* What a request makes of one filesystem: worked out for all before any is carried out. */
struct runtime_change {
	struct monitor *monitor;
	uint32_t events;
	bool has_levels; /* replaces the thresholds, else they stay */
	const uint64_t *levels; /* borrowed of the request */
	size_t n_levels;
};

static int refuse(struct bus_refusal *refusal, const char *name, const char *text)
{
	refusal->name = name;
	snprintf(refusal->text, sizeof(refusal->text), "%s", text);
	return -1;
}

/*
 * GetConfiguration writes a request a line and a comment behind each. So that
 * its text can be given back as it is, a line end separates like a semicolon,
 * and comments and blank lines say nothing.
 */
static char *runtime_join(const char *text)
{
	char *joined = malloc(strlen(text) + 1), *at = joined;

	if (!joined)
		return NULL;

	while (*text) {
		size_t n_line = strcspn(text, "\n"), n = strcspn(text, "#\n");

		if (strspn(text, SPAN_WHITE) < n) {
			if (at > joined)
				*at++ = ';';
			memcpy(at, text, n);
			at += n;
		}
		text += n_line + (text[n_line] == '\n');
	}

	*at = '\0';
	return joined;
}

static struct monitor *runtime_find(struct manager *manager, const char *where)
{
	struct superblock *sb;

	sb = superblock_table_resolve(manager->superblocks, where);
	if (!monitor_of(sb) || !monitor_of(sb)->live)
		return NULL;

	/* A mount point is asked for, not a path somewhere below it. */
	for (size_t i = 0; i < sb->n_mounts; i++)
		if (strcmp(sb->mounts[i]->where, where) == 0)
			return monitor_of(sb);
	return NULL;
}

/* The first level warns; where there are several the last, the lowest, is critical. */
static void change_specs(const struct runtime_change *change,
			 struct threshold_spec specs[static THRESHOLDS_MAX])
{
	for (size_t i = 0; i < change->n_levels; i++) {
		struct threshold_spec *spec = &specs[i];

		*spec = (struct threshold_spec){
			.resource = RESOURCE_SPACE,
			.level = { .kind = LEVEL_BLOCKS, .value = change->levels[i] },
			.severity = i > 0 && i + 1 == change->n_levels ? SEVERITY_CRITICAL
								       : SEVERITY_WARNING,
		};
		snprintf(spec->name, sizeof(spec->name), "level-%zu", i + 1);
	}
}

static void change_remove(struct runtime_change *change, const struct request *request)
{
	bool all = !request->generic && !request->has_thresholds && !request->events;
	uint32_t gone = request->events;

	if (request->generic || all)
		gone |= RUNTIME_GENERIC;
	if (request->has_thresholds || all) {
		gone |= RUNTIME_THRESHOLDS;
		change->has_levels = true;
		change->n_levels = 0;
	}
	change->events &= ~gone;
}

static void change_set(struct runtime_change *change, const struct request *request)
{
	change->events = request->events;
	if (request->generic)
		change->events |= RUNTIME_GENERIC;
	/* Both directions, unless E names one of them. */
	if (request->has_thresholds && !(request->events & RUNTIME_THRESHOLDS))
		change->events |= RUNTIME_THRESHOLDS;

	/* T alone keeps the thresholds there are. */
	if (request->has_thresholds && request->n_levels == 0)
		return;
	change->has_levels = true;
	change->levels = request->levels;
	change->n_levels = request->n_levels;
}

static struct runtime_change *change_find(struct runtime_change *changes, size_t *n_changes,
					  struct monitor *monitor)
{
	struct runtime_change *change;

	for (size_t i = 0; i < *n_changes; i++)
		if (changes[i].monitor == monitor)
			return &changes[i];

	change = &changes[(*n_changes)++];
	change->monitor = monitor;
	change->events = monitor->fs.events;
	return change;
}

static int runtime_check(const struct monitor *monitor, const struct request *request,
			 const char *where, struct bus_refusal *refusal)
{
	uint32_t missing = request->events & ~monitor->fs.capabilities;
	char codes[GRAMMAR_EVENTS_MAX], can[GRAMMAR_EVENTS_MAX];

	if (request->kind != REQUEST_SET || !missing)
		return 0;

	grammar_format_events(missing, codes);
	grammar_format_events(monitor->fs.capabilities, can);
	refusal->name = SD_BUS_ERROR_NOT_SUPPORTED;
	snprintf(refusal->text, sizeof(refusal->text),
		 "%.100s cannot come on %.100s; what can: %.200s", codes, where, can);
	return -1;
}

static int runtime_plan(struct manager *manager, const struct request_list *list,
			struct runtime_change *changes, size_t *ret_n, struct bus_refusal *refusal)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n_items; i++) {
		const struct request *request = &list->items[i];
		_cleanup_free_ char *where = NULL;
		struct monitor *monitor;
		struct runtime_change *change;

		if (request->kind == REQUEST_REMOVE_ALL)
			continue;

		where = escape_new(request->where, strlen(request->where), ESCAPE_GRAMMAR);
		if (!where)
			return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");

		monitor = runtime_find(manager, request->where);
		if (!monitor) {
			refusal->name = SD_BUS_ERROR_FILE_NOT_FOUND;
			snprintf(refusal->text, sizeof(refusal->text),
				 "No monitored filesystem is mounted on '%.300s'", where);
			return -1;
		}
		if (runtime_check(monitor, request, where, refusal) < 0)
			return -1;

		change = change_find(changes, &n, monitor);
		if (request->kind == REQUEST_REMOVE)
			change_remove(change, request);
		else
			change_set(change, request);
	}

	*ret_n = n;
	return 0;
}

static int runtime_remove_all(struct manager *manager, struct bus_refusal *refusal)
{
	struct superblock *sb = NULL;

	while ((sb = superblock_table_next(manager->superblocks, sb))) {
		struct monitor *monitor = monitor_of(sb);

		if (!monitor)
			continue;
		if (monitor_set(monitor, &(struct threshold_spec){}, 0, &(uint32_t){ 0 }) < 0)
			return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	}
	return 0;
}

static int runtime_apply(struct manager *manager, const struct request_list *list,
			 struct bus_refusal *refusal)
{
	_cleanup_free_ struct runtime_change *changes = NULL;
	size_t n;

	if (list->n_items == 0 || list->items[0].kind == REQUEST_REMOVE_ALL)
		return runtime_remove_all(manager, refusal);

	changes = calloc(list->n_items, sizeof(*changes));
	if (!changes)
		return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	if (runtime_plan(manager, list, changes, &n, refusal) < 0)
		return -1;

	for (size_t i = 0; i < n; i++) {
		struct threshold_spec specs[THRESHOLDS_MAX];

		change_specs(&changes[i], specs);
		if (monitor_set(changes[i].monitor, changes[i].has_levels ? specs : NULL,
				changes[i].n_levels, &changes[i].events) < 0)
			return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	}
	return 0;
}

static void request_list_deinitp(struct request_list *list)
{
	request_list_deinit(list);
}

int runtime_configure(struct manager *manager, const char *line, struct bus_refusal *refusal)
{
	_cleanup_(request_list_deinitp) struct request_list list = {};
	_cleanup_free_ char *joined = NULL;
	struct grammar_error error;
	int r;

	if (strlen(line) > RUNTIME_LINE_MAX)
		return refuse(refusal, SD_BUS_ERROR_INVALID_ARGS,
			      "The line is longer than 131072 bytes");

	joined = runtime_join(line);
	if (!joined)
		return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	/* The empty line removes all; one that says nothing else was hardly meant to. */
	if (!*joined && strchr(line, '#'))
		return refuse(
			refusal, SD_BUS_ERROR_INVALID_ARGS,
			"There is nothing but comments in the line; an empty line removes all");

	r = grammar_parse_line(joined, &list, &error);
	if (r == -EINVAL)
		return refuse(refusal, SD_BUS_ERROR_INVALID_ARGS, error.text);
	if (r < 0)
		return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");

	return runtime_apply(manager, &list, refusal);
}

static void format_levels(FILE *out, const struct filesystem *fs)
{
	uint64_t block = fs->usage.block_size;

	fputs(" T", out);
	/* Not known yet what they are in blocks: T alone keeps them. */
	if (!usage_is_known(&fs->usage))
		return;
	/* Levels in blocks, not increasing, as the grammar takes them. */
	for (uint64_t below = UINT64_MAX;;) {
		uint64_t level = 0;
		bool found = false;

		for (size_t i = 0; i < fs->thresholds.n_items; i++) {
			const struct threshold *threshold = &fs->thresholds.items[i];

			if (threshold->spec.resource != RESOURCE_SPACE ||
			    threshold->level / block >= below)
				continue;
			if (!found || threshold->level / block > level)
				level = threshold->level / block;
			found = true;
		}
		if (!found)
			return;
		fprintf(out, " %" PRIu64, level);
		below = level;
	}
}

/* Return: the codes that E has to name, without those that no source here can tell of. */
static uint32_t codes_to_name(const struct filesystem *fs)
{
	uint32_t events = fs->events & fs->capabilities;

	if ((fs->events & RUNTIME_GENERIC) == RUNTIME_GENERIC)
		events &= ~RUNTIME_GENERIC;
	if ((fs->events & RUNTIME_THRESHOLDS) == RUNTIME_THRESHOLDS)
		events &= ~RUNTIME_THRESHOLDS;
	return events;
}

static void format_events(FILE *out, const struct filesystem *fs)
{
	uint32_t named = codes_to_name(fs);
	char codes[GRAMMAR_EVENTS_MAX];

	if ((fs->events & RUNTIME_GENERIC) == RUNTIME_GENERIC)
		fputs(" G", out);
	if (named) {
		grammar_format_events(named, codes);
		fprintf(out, " E %s", codes);
	}
}

static void format_filesystem(FILE *out, const struct filesystem *fs)
{
	const struct superblock *sb = fs->sb;
	const struct mount *mount = superblock_display_mount(sb);
	_cleanup_free_ char *where = NULL, *type = NULL, *source = NULL;

	if (!mount || !(fs->events & (fs->capabilities | RUNTIME_THRESHOLDS)))
		return;

	where = escape_new(mount->where, strlen(mount->where), ESCAPE_GRAMMAR);
	type = escape_new(sb->type, strlen(sb->type), ESCAPE_GRAMMAR);
	source = escape_new(sb->source, strlen(sb->source), ESCAPE_GRAMMAR);
	if (!where || !type || !source)
		return;

	fputs(where, out);
	format_events(out, fs);
	if (fs->events & RUNTIME_THRESHOLDS)
		format_levels(out, fs);
	fprintf(out, " # %s %" PRIu32 ":%" PRIu32 " %s\n", type, sb->key.major, sb->key.minor,
		source);
}

char *runtime_format(struct manager *manager)
{
	struct superblock *sb = NULL;
	char *text = NULL;
	size_t n;
	FILE *out;

	out = open_memstream(&text, &n);
	if (!out)
		return NULL;

	while ((sb = superblock_table_next(manager->superblocks, sb))) {
		struct monitor *monitor = monitor_of(sb);

		if (monitor && monitor->live)
			format_filesystem(out, &monitor->fs);
	}

	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
