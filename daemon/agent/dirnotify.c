/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/dirnotify.h"
#include "daemon/core/change.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/file-url.h"
#include "daemon/names.h"
#include "include/fsevents_stream.h"

static int signal_new(const struct dirnotify *dirnotify, sd_bus_message **ret, const char *member)
{
	return sd_bus_message_new_signal(dirnotify->bus, ret, DIRNOTIFY_PATH, DIRNOTIFY_IFACE,
					 member);
}

/* @name: not NUL-terminated; none: the folder itself */
static int url_new(const struct dirnotify *dirnotify, const char *name, size_t n, char **ret)
{
	_cleanup_free_ char *path = NULL;
	const char *slash = n == 0 || strcmp(dirnotify->folder, "/") == 0 ? "" : "/";

	if (asprintf(&path, "%s%s%.*s", dirnotify->folder, slash, (int)n, n ? name : "") < 0)
		return -ENOMEM;
	*ret = file_url_new(path);
	return *ret ? 0 : -ENOMEM;
}

static int send_urls(const struct dirnotify *dirnotify)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = signal_new(dirnotify, &m,
		       dirnotify->kind == DIRNOTIFY_REMOVED ? "FilesRemoved" : "FilesChanged");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "s");
	for (size_t i = 0; i < dirnotify->n_urls && r >= 0; i++)
		r = sd_bus_message_append(m, "s", dirnotify->urls[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_send(dirnotify->bus, m, NULL);
}

static int send_added(const struct dirnotify *dirnotify)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_free_ char *url = NULL;
	int r;

	r = url_new(dirnotify, NULL, 0, &url);
	if (r >= 0)
		r = signal_new(dirnotify, &m, "FilesAdded");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", url);
	return r < 0 ? r : sd_bus_send(dirnotify->bus, m, NULL);
}

/*
 * Said twice, in the words of two generations of views: what KIO 5 listens to names
 * the path on this machine too, where that does not follow from the URL.
 */
static int send_renamed(const struct dirnotify *dirnotify, const struct change *change)
{
	static const struct {
		const char *member, *types;
	} ways[] = { { "FileRenamed", "ss" }, { "FileRenamedWithLocalPath", "sss" } };
	_cleanup_free_ char *from = NULL, *to = NULL;
	int r;

	r = url_new(dirnotify, change->former, change->n_former, &from);
	if (r >= 0)
		r = url_new(dirnotify, change->name, change->n_name, &to);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]) && r >= 0; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

		r = signal_new(dirnotify, &m, ways[i].member);
		if (r >= 0)
			r = sd_bus_message_append(m, ways[i].types, from, to, "");
		if (r >= 0)
			r = sd_bus_send(dirnotify->bus, m, NULL);
	}
	return r;
}

int dirnotify_flush(struct dirnotify *dirnotify)
{
	int r = 0;

	if (dirnotify->kind == DIRNOTIFY_ADDED)
		r = send_added(dirnotify);
	else if (dirnotify->kind != DIRNOTIFY_NONE)
		r = send_urls(dirnotify);

	for (size_t i = 0; i < dirnotify->n_urls; i++)
		free(dirnotify->urls[i]);
	dirnotify->n_urls = 0;
	dirnotify->kind = DIRNOTIFY_NONE;
	return r < 0 ? r : 0;
}

static int gather(struct dirnotify *dirnotify, enum dirnotify_kind kind, const char *name, size_t n)
{
	int r = 0;

	if (dirnotify->kind != kind || dirnotify->n_urls == DIRNOTIFY_CHANGES_MAX)
		r = dirnotify_flush(dirnotify);
	if (r < 0)
		return r;
	dirnotify->kind = kind;
	if (kind == DIRNOTIFY_ADDED)
		return 0;
	r = url_new(dirnotify, name, n, &dirnotify->urls[dirnotify->n_urls]);
	if (r >= 0)
		dirnotify->n_urls++;
	return r;
}

int dirnotify_list_again(struct dirnotify *dirnotify)
{
	return gather(dirnotify, DIRNOTIFY_ADDED, NULL, 0);
}

int dirnotify_folder_gone(struct dirnotify *dirnotify)
{
	return gather(dirnotify, DIRNOTIFY_REMOVED, NULL, 0);
}

int dirnotify_take(struct dirnotify *dirnotify, const struct change *change)
{
	int r;

	if (change->n_name == 0)
		return 0;
	if (change->mask & FSEVENTS_DELETE)
		return gather(dirnotify, DIRNOTIFY_REMOVED, change->name, change->n_name);
	/* With more than the bits can say, what the folder has now is all that is sure. */
	if (change->mask & (FSEVENTS_CREATE | FSEVENTS_MERGED | FSEVENTS_MOUNT | FSEVENTS_UNMOUNT))
		return dirnotify_list_again(dirnotify);
	if (change->mask & FSEVENTS_MOVE && change->n_former > 0) {
		r = dirnotify_flush(dirnotify);
		return r < 0 ? r : send_renamed(dirnotify, change);
	}
	return gather(dirnotify, DIRNOTIFY_CHANGED, change->name, change->n_name);
}
