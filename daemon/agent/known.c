/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/identity.h"
#include "daemon/agent/known.h"

static void gone_deinit(struct known_gone *gone)
{
	free(gone->path);
	free(gone->identity);
}

static void known_drop_list(struct known *known)
{
	for (size_t i = 0; i < known->list.n_items; i++)
		free(known->identities[i]);
	free(known->identities);
	known->identities = NULL;
	client_filesystems_deinit(&known->list);
}

void known_deinit(struct known *known)
{
	known_drop_list(known);
	for (size_t i = 0; i < known->n_gone; i++)
		gone_deinit(&known->gone[i]);
	known->n_gone = 0;
}

static ssize_t list_find(const struct client_filesystems *list, const char *path)
{
	for (size_t i = 0; i < list->n_items; i++)
		if (strcmp(list->items[i].path, path) == 0)
			return (ssize_t)i;
	return -1;
}

static void known_keep_gone(struct known *known, const char *path, char *identity)
{
	struct known_gone gone = { .path = strdup(path), .identity = identity };

	if (!gone.path) {
		free(identity);
		return;
	}
	if (known->n_gone == KNOWN_GONE_MAX) {
		gone_deinit(&known->gone[0]);
		known->n_gone--;
		memmove(known->gone, known->gone + 1, known->n_gone * sizeof(known->gone[0]));
	}
	known->gone[known->n_gone++] = gone;
}

int known_update(struct known *known, struct client_filesystems *list)
{
	char **identities = calloc(list->n_items ?: 1, sizeof(*identities));

	if (!identities)
		return -ENOMEM;

	for (size_t i = 0; i < known->list.n_items; i++) {
		const char *path = known->list.items[i].path;
		ssize_t at = list_find(list, path);
		char *identity = TAKE_PTR(known->identities[i]);

		if (at >= 0)
			identities[at] = identity;
		else if (identity)
			known_keep_gone(known, path, identity);
	}
	for (size_t i = 0; i < list->n_items; i++)
		if (!identities[i])
			identities[i] = identity_new(&list->items[i]);

	known_drop_list(known);
	known->list = *list;
	known->identities = identities;
	*list = (struct client_filesystems){};
	return 0;
}

static bool is_at(const struct client_filesystem *fs, const struct board_notice *notice)
{
	if (fs->major != notice->major || fs->minor != notice->minor)
		return false;
	for (size_t i = 0; i < fs->n_mount_points; i++)
		if (strcmp(fs->mount_points[i], notice->where) == 0)
			return true;
	return false;
}

static ssize_t known_index(const struct known *known, const struct board_notice *notice)
{
	ssize_t at = list_find(&known->list, notice->path);

	/* Objects have other names after a restart. */
	for (size_t i = 0; at < 0 && i < known->list.n_items; i++)
		if (is_at(&known->list.items[i], notice))
			at = (ssize_t)i;
	return at;
}

const struct client_filesystem *known_find(const struct known *known,
					   const struct board_notice *notice)
{
	ssize_t at = known_index(known, notice);

	return at < 0 ? NULL : &known->list.items[at];
}

const char *known_identity(const struct known *known, const struct board_notice *notice)
{
	ssize_t at = known_index(known, notice);

	if (at >= 0)
		return known->identities[at];
	for (size_t i = 0; i < known->n_gone; i++)
		if (strcmp(known->gone[i].path, notice->path) == 0)
			return known->gone[i].identity;
	return NULL;
}
