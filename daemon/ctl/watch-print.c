/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/watch-print.h"
#include "include/fsevents_stream.h"

/* As wide as what is told most often: "modify,close-write". */
#define EVENTS_WIDTH 18

/* The path of a name below the root, to free(); NULL without memory. */
static char *path_new(const char *root, const char *name, size_t n_name, size_t *ret_n)
{
	size_t n_root = strlen(root);
	char *path;

	while (n_root > 1 && root[n_root - 1] == '/')
		n_root--;
	path = malloc(n_root + 1 + n_name + 1);
	if (!path)
		return NULL;

	memcpy(path, root, n_root);
	if (n_name > 0) {
		if (root[n_root - 1] != '/')
			path[n_root++] = '/';
		memcpy(path + n_root, name, n_name);
	}
	path[n_root + n_name] = '\0';
	*ret_n = n_root + n_name;
	return path;
}

static void print_path(const char *root, const char *name, size_t n_name)
{
	_cleanup_free_ char *path = NULL, *shown = NULL;
	size_t n;

	path = path_new(root, name, n_name, &n);
	if (path)
		shown = escape_new(path, n, 0);
	fputs(shown ?: "?", stdout);
}

static void print_start(uint64_t realtime_us)
{
	time_t seconds = (time_t)(realtime_us / 1000000);
	struct tm local;
	char text[16] = "?";

	if (localtime_r(&seconds, &local))
		(void)strftime(text, sizeof(text), "%H:%M:%S", &local);
	printf("%s.%03u  ", text, (unsigned int)(realtime_us / 1000 % 1000));
}

static enum table_colour colour_of(uint32_t mask)
{
	if (mask & (FSEVENTS_DELETE | FSEVENTS_DELETE_SELF | FSEVENTS_UNMOUNT))
		return TABLE_RED;
	if (mask & (FSEVENTS_CREATE | FSEVENTS_MOUNT))
		return TABLE_GREEN;
	return mask & (FSEVENTS_MOVE | FSEVENTS_MOVE_SELF) ? TABLE_YELLOW : TABLE_PLAIN;
}

static void print_change(const char *root, const struct change *change, bool colour)
{
	enum table_colour which = colour_of(change->mask);
	unsigned int bit = 0;
	const char *name;
	size_t n = 0;

	colour = colour && which != TABLE_PLAIN;
	print_start(change->realtime_us);
	fputs(table_colour_start(colour, which), stdout);
	while ((name = watch_mask_next(change->mask, &bit)))
		n += (size_t)printf("%s%s", n ? "," : "", name);
	fputs(table_colour_end(colour), stdout);
	printf("%*s", n < EVENTS_WIDTH ? (int)(EVENTS_WIDTH - n + 2) : 2, "");

	if (change->mask & FSEVENTS_MOVE) {
		print_path(root, change->former, change->n_former);
		fputs(" -> ", stdout);
	}
	print_path(root, change->name, change->n_name);
	if (change->mask & FSEVENTS_DIRECTORY)
		putchar('/');
	if (change->mask & FSEVENTS_MERGED)
		fputs("  (merged)", stdout);
	if (change->pid)
		printf("  [%" PRIu32 "]", change->pid);
	putchar('\n');
}

static void json_name(struct json *json, const char *key, const char *root, const char *name,
		      size_t n_name)
{
	_cleanup_free_ char *path = NULL;
	size_t n;

	path = path_new(root, name, n_name, &n);
	if (path)
		json_bytes(json, key, path, n);
}

static void json_change(const char *root, uint64_t seq, const struct change *change)
{
	struct json json = { .file = stdout };
	unsigned int bit = 0;
	const char *name;

	json_open(&json, NULL, '{');
	json_open(&json, "events", '[');
	while ((name = watch_mask_next(change->mask, &bit)))
		json_string(&json, NULL, name);
	json_close(&json, ']');
	json_bytes(&json, "watch", root, strlen(root));
	json_bytes(&json, "name", change->name, change->n_name);
	json_name(&json, "path", root, change->name, change->n_name);
	if (change->mask & FSEVENTS_MOVE) {
		json_bytes(&json, "former-name", change->former, change->n_former);
		json_name(&json, "former-path", root, change->former, change->n_former);
	}
	json_bool(&json, "directory", change->mask & FSEVENTS_DIRECTORY);
	json_bool(&json, "merged", change->mask & FSEVENTS_MERGED);
	json_u64(&json, "seq", seq);
	json_u32(&json, "pid", change->pid);
	json_u64(&json, "realtime-usec", change->realtime_us);
	json_u64(&json, "inode", change->inode);
	json_u64(&json, "cookie", change->cookie);
	json_close(&json, '}');
	json_end_line(&json);
}

void watch_print_change(const char *root, uint64_t seq, const struct change *change,
			const struct feed_style *style)
{
	if (style->json)
		json_change(root, seq, change);
	else
		print_change(root, change, style->colour);
}

void watch_print_lost(const char *root, uint64_t count, const char *under, size_t n_under,
		      const struct feed_style *style)
{
	struct json json = { .file = stdout };

	if (style->json) {
		json_open(&json, NULL, '{');
		json_open(&json, "events", '[');
		json_string(&json, NULL, "lost");
		json_close(&json, ']');
		json_bytes(&json, "watch", root, strlen(root));
		json_bytes(&json, "under", under, n_under);
		json_name(&json, "path", root, under, n_under);
		json_u64(&json, "count", count);
		json_close(&json, '}');
		json_end_line(&json);
		return;
	}

	fputs(table_colour_start(style->colour, TABLE_RED), stdout);
	if (count)
		printf("... %" PRIu64 " change%s lost: look again through ", count,
		       count == 1 ? " was" : "s were");
	else
		fputs("... changes were lost, nobody knows how many: look again through ", stdout);
	print_path(root, under, n_under);
	fputs(table_colour_end(style->colour), stdout);
	putchar('\n');
}
