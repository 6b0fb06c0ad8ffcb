/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/folders-internal.h"
#include "daemon/core/escape.h"

/*
 * After the line of the bus one line for each folder, those entered last first:
 * its path and its viewers, each with how often it entered, ":1.42/2".
 */

/* Kept so long after a change at the latest. */
#define KEEP_US (1000 * 1000ULL)

/* Who says so more often has to leave less often. */
#define ENTERED_MAX 64

/* Return: 0 or -ENOMEM */
static int print_folder(FILE *file, struct folder *folder)
{
	_cleanup_free_ char *path = escape_new(folder->path, strlen(folder->path), ESCAPE_GRAMMAR);

	if (!path)
		return -ENOMEM;
	fputs(path, file);
	for (const char *name = sd_bus_track_first(folder->viewers); name;
	     name = sd_bus_track_next(folder->viewers))
		fprintf(file, " %s/%d", name, sd_bus_track_count_name(folder->viewers, name));
	fputc('\n', file);
	return fflush(file) == 0 ? 0 : -ENOMEM;
}

/* NULL: it cannot be said. */
static char *folders_print(struct folders *folders)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0, n_whole = 0;
	FILE *file = open_memstream(&text, &n);
	int r = 0;

	if (!file)
		return NULL;
	fprintf(file, "%s\n", folders->id.text);
	for (size_t i = folders->n_items; i-- > 0 && r >= 0;) {
		n_whole = n;
		if (!folders->items[i]->dropped)
			r = print_folder(file, folders->items[i]);
		if (n > PLACE_TEXT_MAX)
			break;
	}
	if (fclose(file) != 0 || r < 0)
		return NULL;
	if (n > PLACE_TEXT_MAX)
		text[n_whole] = '\0';
	return TAKE_PTR(text);
}

void folders_keep(struct folders *folders)
{
	_cleanup_free_ char *text = folders_print(folders);

	if (text)
		place_write_later(folders->place, PLACE_FOLDERS, text);
}

static int on_keep(sd_event_source *source, uint64_t usec, void *userdata)
{
	folders_keep(userdata);
	return 0;
}

void folders_plan_keep(struct folders *folders)
{
	int enabled = SD_EVENT_OFF, r;

	if (!folders->keep) {
		r = sd_event_add_time_relative(folders->loop, &folders->keep, CLOCK_MONOTONIC,
					       KEEP_US, 0, on_keep, folders);
	} else {
		r = sd_event_source_get_enabled(folders->keep, &enabled);
		if (enabled != SD_EVENT_OFF)
			return;
		if (r >= 0)
			r = sd_event_source_set_time_relative(folders->keep, KEEP_US);
		if (r >= 0)
			r = sd_event_source_set_enabled(folders->keep, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		agent_log("cannot set a timer: %s", strerror(-r));
}

/* A viewer that is gone is none. */
static void recall_viewer(struct folder *folder, char *word)
{
	char *slash = strchr(word, '/');
	long n = slash ? strtol(slash + 1, NULL, 10) : 0;

	/* Names that are not unique belong to whoever takes them. */
	if (word[0] != ':' || n < 1)
		return;
	*slash = '\0';
	for (long i = 0; i < n && i < ENTERED_MAX; i++)
		if (sd_bus_track_add_name(folder->viewers, word) < 0)
			return;
}

static void recall_line(struct folders *folders, char *line)
{
	char *rest = line, *path = strsep(&rest, " "), *word;
	struct folder *folder;
	ssize_t n = unescape(path, path, strlen(path));

	if (n < 0 || n >= PATH_MAX || path[0] != '/' || folders_find(folders, path) ||
	    folders_add(folders, path, &folder) < 0)
		return;
	folder->list_again = true;
	while ((word = strsep(&rest, " ")))
		recall_viewer(folder, word);
	if (sd_bus_track_count(folder->viewers) == 0)
		folder_drop(folder);
}

void folders_recall(struct folders *folders)
{
	_cleanup_free_ char *text = NULL;
	char *lines[FOLDERS_MAX], *rest, *line;
	size_t n = 0;
	int r;

	r = place_read(folders->place, PLACE_FOLDERS, &text);
	if (r < 0 && r != -ENOENT)
		agent_log("cannot read which folders were shown: %s", strerror(-r));
	if (r < 0 || !bus_id_leads(&folders->id, text))
		return;
	rest = text;
	(void)strsep(&rest, "\n");
	while (n < FOLDERS_MAX && (line = strsep(&rest, "\n")))
		lines[n++] = line;
	while (n > 0)
		recall_line(folders, lines[--n]);
}
