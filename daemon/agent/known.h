/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The filesystems that there are
 *
 * As the daemon listed them last, each with what it is muted by, and for a
 * while those that went: an error may be read after the unmount that it ended in.
 */

#include "daemon/agent/board.h"
#include "daemon/ctl/client.h"

#define KNOWN_GONE_MAX 64

struct known {
	struct client_filesystems list;
	char **identities; /* one for each of ->list; NULL: not known */
	struct known_gone {
		char *path, *identity;
	} gone[KNOWN_GONE_MAX];
	size_t n_gone;
};

void known_deinit(struct known *known);

/** known_update() - a new list; taken over on success; Return: 0 or -ENOMEM */
int known_update(struct known *known, struct client_filesystems *list);

/** known_find() - the filesystem of a notice, also after the daemon was restarted; NULL: gone */
const struct client_filesystem *known_find(const struct known *known,
					   const struct board_notice *notice);

/** known_identity() - of the filesystem of a notice, gone ones too; NULL: not known; borrowed */
const char *known_identity(const struct known *known, const struct board_notice *notice);
