/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/superblock.h"
#include "daemon/core/watch-entry.h"
#include "daemon/watches-internal.h"

/* In it is what writing an entry causes. */
static const char *const journals[] = { "/var/log/journal", "/run/log/journal" };

static_assert(sizeof(journals) / sizeof(journals[0]) + 1 == WATCHES_QUIETS,
	      "the journal's, and that of the state");

void quiets_init(struct watches *watches)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++)
		watches->quiets[i].name =
			i < WATCHES_QUIETS - 1 ? journals[i] : watches->state_directory;
}

void quiets_deinit(struct watches *watches)
{
	quiets_forget_places(watches);
	for (size_t i = 0; i < WATCHES_QUIETS; i++) {
		pool_cancel(watches->quiets[i].ticket);
		free(watches->quiets[i].path);
	}
}

/* Where there is none, there is nothing to be quiet about yet. */
static void on_found(enum pool_result result, const void *bytes, size_t n, void *userdata)
{
	struct quiet *quiet = userdata;
	struct watch_find_reply reply;

	quiet->ticket = NULL;
	if (result != POOL_DONE || watch_find_reply_decode(bytes, n, &reply) < 0 ||
	    reply.error < 0 || reply.n_path == 0)
		return;
	quiet->path = strndup(reply.path, reply.n_path);
}

static void look(struct watches *watches, struct quiet *quiet)
{
	const struct watch_find_request request = { .path = quiet->name };
	struct pool_submission submission = {
		.lane = POOL_LANE_FOREIGN,
		.lane_key = WATCHES_FIND_LANE,
		.job = JOB_WATCH_FIND,
		.fd = -1,
		.deadline_us = WATCHES_DEADLINE_US,
		.reply = on_found,
		.userdata = quiet,
	};
	_cleanup_free_ void *payload = NULL;

	if (watch_find_request_encode(&request, &payload, &submission.n_payload) < 0)
		return;
	submission.payload = payload;
	/* Without room: at the next tick. */
	(void)pool_submit(watches->pool, &submission, &quiet->ticket);
}

void quiets_look(struct watches *watches)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++) {
		struct quiet *quiet = &watches->quiets[i];

		if (quiet->name && !quiet->path && !quiet->ticket)
			look(watches, quiet);
	}
}

/* What of @path is behind @prefix, "" or from a '/' on; NULL: it is not below it. */
static const char *rest_of(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 1)
		return path;
	if (strncmp(path, prefix, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path + n;
}

/* @where and @rest: "/" and "/a" make "/a". Return: false: too long. */
static bool join(char *ret, size_t n_ret, const char *where, const char *rest)
{
	int n = snprintf(ret, n_ret, "%s%s", where[1] == '\0' ? "" : where, rest);

	return n >= 0 && (size_t)n < n_ret;
}

static const struct mount *mount_of(const struct superblock *sb, const char *path)
{
	const struct mount *best = NULL;

	for (size_t i = 0; i < sb->n_mounts; i++) {
		const struct mount *mount = sb->mounts[i];

		if (mount->reachable && rest_of(path, mount->where) &&
		    (!best || strlen(mount->where) >= strlen(best->where)))
			best = mount;
	}
	return best;
}

static void quiet_forget(struct quiet *quiet)
{
	for (size_t i = 0; i < quiet->n_places; i++)
		free(quiet->places[i]);
	free(quiet->places);
	quiet->places = NULL;
	quiet->n_places = 0;
	quiet->placed = false;
}

/*
 * By the other mounts of its filesystem, too: a bind mount of the journal's directory may be told by
 * both. Without memory with the next change.
 */
static void quiet_place(const struct watches *watches, struct quiet *quiet)
{
	const struct superblock *sb = superblock_table_resolve(watches->superblocks, quiet->path);
	const struct mount *mount = sb ? mount_of(sb, quiet->path) : NULL;
	char inside[2 * PATH_MAX], other[2 * PATH_MAX];

	quiet->placed = true;
	if (!mount ||
	    !join(inside, sizeof(inside), mount->root, rest_of(quiet->path, mount->where)))
		return;
	quiet->places = calloc(sb->n_mounts, sizeof(*quiet->places));
	for (size_t i = 0; quiet->places && i < sb->n_mounts; i++) {
		const char *rest = rest_of(inside, sb->mounts[i]->root);
		char *copy;

		if (!rest || !join(other, sizeof(other), sb->mounts[i]->where, rest))
			continue;
		copy = strdup(other);
		if (copy)
			quiet->places[quiet->n_places++] = copy;
		else
			quiet->placed = false;
	}
	if (!quiet->places || !quiet->placed)
		quiet_forget(quiet);
}

void quiets_forget_places(struct watches *watches)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++)
		quiet_forget(&watches->quiets[i]);
}

static bool quiet_holds(const struct watches *watches, struct quiet *quiet, const char *root,
			const struct change *change)
{
	if (!quiet->name)
		return false;
	if (watch_entry_is_within(root, change, quiet->name))
		return true;
	if (!quiet->path)
		return false;
	if (watch_entry_is_within(root, change, quiet->path))
		return true;
	if (!quiet->placed)
		quiet_place(watches, quiet);
	for (size_t i = 0; i < quiet->n_places; i++)
		if (watch_entry_is_within(root, change, quiet->places[i]))
			return true;
	return false;
}

bool quiets_hold(struct watches *watches, const char *root, const struct change *change)
{
	for (size_t i = 0; i < WATCHES_QUIETS; i++)
		if (quiet_holds(watches, &watches->quiets[i], root, change))
			return true;
	return false;
}
