/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/core/watch-entry.h"
#include "include/fsevents_stream.h"

/* Of each path in a text. */
#define SHOWN_MAX 900

#define NAMES_CHANGED                                                                              \
	(FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_MOVE | FSEVENTS_DELETE_SELF |                \
	 FSEVENTS_MOVE_SELF)

/* In the order in which they mostly happen. */
static const struct {
	uint32_t bit;
	const char *word;
} words[] = {
	{ FSEVENTS_MOUNT, "mounted" },	      { FSEVENTS_CREATE, "created" },
	{ FSEVENTS_MOVE, "moved" },	      { FSEVENTS_OPEN, "opened" },
	{ FSEVENTS_ACCESS, "read" },	      { FSEVENTS_MODIFY, "modified" },
	{ FSEVENTS_CLOSE_WRITE, "written" },  { FSEVENTS_ATTRIB, "attributes changed" },
	{ FSEVENTS_MOVE_SELF, "moved away" }, { FSEVENTS_DELETE, "deleted" },
	{ FSEVENTS_DELETE_SELF, "deleted" },  { FSEVENTS_UNMOUNT, "unmounted" },
};

/* Without '/' at the end, but "/" alone. */
static size_t root_length(const char *root)
{
	size_t n = strlen(root);

	while (n > 1 && root[n - 1] == '/')
		n--;
	return n;
}

void watch_entry_path(char *ret, size_t n_ret, const char *root, const char *name, size_t n_name)
{
	size_t n_root, n;

	assert(ret && n_ret > 0);
	assert(root && *root == '/');

	n_root = root_length(root);
	n = escape(ret, n_ret, root, n_root, 0);
	if (n_name == 0)
		return;
	if (root[n_root - 1] != '/' && n + 1 < n_ret)
		ret[n++] = '/';
	(void)escape(ret + n, n_ret - n, name, n_name, 0);
}

static void append(char *ret, size_t n_ret, size_t *n, const char *separator, const char *text)
{
	int written = snprintf(ret + *n, n_ret - *n, "%s%s", *n > 0 ? separator : "", text);

	assert(written >= 0 && (size_t)written < n_ret - *n);
	*n += (size_t)written;
}

static void put_events(struct watch_entry *entry, uint32_t mask)
{
	unsigned int bit = 0;
	const char *name;
	size_t n = 0;

	while ((name = watch_mask_next(mask, &bit)))
		append(entry->events, sizeof(entry->events), &n, ",", name);
}

static void put_text(struct watch_entry *entry, const char *root, const struct change *change)
{
	char path[SHOWN_MAX], former[SHOWN_MAX] = "", said[160] = "", pid[32] = "";
	size_t n = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (change->mask & words[i].bit)
			append(said, sizeof(said), &n, ", ", words[i].word);
	watch_entry_path(path, sizeof(path), root, change->name, change->n_name);
	if (change->mask & FSEVENTS_MOVE)
		watch_entry_path(former, sizeof(former), root, change->former, change->n_former);
	if (change->pid)
		(void)snprintf(pid, sizeof(pid), " (pid %" PRIu32 ")", change->pid);

	(void)snprintf(entry->text, sizeof(entry->text), "%s: %s%s%s%s", path, said,
		       *former ? ", formerly " : "", former, pid);
}

void watch_entry_change(struct watch_entry *ret, const char *root, const struct change *change)
{
	assert(ret && root && change);

	ret->former[0] = ret->events[0] = ret->pid[0] = '\0';
	watch_entry_path(ret->path, sizeof(ret->path), root, change->name, change->n_name);
	if (change->mask & FSEVENTS_MOVE)
		watch_entry_path(ret->former, sizeof(ret->former), root, change->former,
				 change->n_former);
	put_events(ret, change->mask);
	if (change->pid)
		(void)snprintf(ret->pid, sizeof(ret->pid), "%" PRIu32, change->pid);
	put_text(ret, root, change);
}

enum relation {
	RELATION_OUTSIDE,
	RELATION_ITSELF,
	RELATION_BELOW,
};

/* Of the path that is @root and @name to @directory. */
static enum relation relate(const char *root, const char *name, size_t n_name,
			    const char *directory)
{
	size_t n_root = root_length(root), n_directory = strlen(directory);

	if (n_root == 1)
		n_root = 0;
	if (n_root >= n_directory) {
		if (strncmp(root, directory, n_directory) != 0)
			return RELATION_OUTSIDE;
		if (n_root > n_directory)
			return root[n_directory] == '/' ? RELATION_BELOW : RELATION_OUTSIDE;
		return n_name > 0 ? RELATION_BELOW : RELATION_ITSELF;
	}

	if (strncmp(root, directory, n_root) != 0 || directory[n_root] != '/')
		return RELATION_OUTSIDE;
	directory += n_root + 1;
	n_directory -= n_root + 1;
	if (n_name < n_directory || memcmp(name, directory, n_directory) != 0)
		return RELATION_OUTSIDE;
	if (n_name == n_directory)
		return RELATION_ITSELF;
	return name[n_directory] == '/' ? RELATION_BELOW : RELATION_OUTSIDE;
}

bool watch_entry_is_within(const char *root, const struct change *change, const char *directory)
{
	enum relation relation;

	assert(root && change && directory);

	relation = relate(root, change->name, change->n_name, directory);
	if (relation == RELATION_OUTSIDE ||
	    (relation == RELATION_ITSELF && change->mask & NAMES_CHANGED))
		return false;
	return !(change->mask & FSEVENTS_MOVE) ||
	       relate(root, change->former, change->n_former, directory) == RELATION_BELOW;
}
