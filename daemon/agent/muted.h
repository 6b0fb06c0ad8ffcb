/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Filesystems that nobody wants to hear of
 *
 * A list of identities (identity.h) with the place at which each was seen,
 * for people to read: a line each, "UUID DEVICE" or "- DEVICE WHERE", then a
 * tab and the place. Pure but for the file behind it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/cleanup.h"

/* Past them the oldest is forgotten. */
#define MUTED_MAX 256

struct muted_item {
	char *identity;
	char *where; /* escaped */
};

struct muted {
	struct muted_item items[MUTED_MAX];
	size_t n_items;
};

void muted_deinit(struct muted *muted);

/** muted_parse() - the text of the file; lines that are none of ours are passed over; Return: 0 or -ENOMEM */
int muted_parse(struct muted *ret, const char *text);

/** muted_print() - the text of the file; NULL without memory */
char *muted_print(const struct muted *muted);

bool muted_has(const struct muted *muted, const char *identity);

/** muted_add() - Return: 0 or -ENOMEM */
int muted_add(struct muted *muted, const char *identity, const char *where);

/** muted_remove() - those at a place, or with that UUID or device; NULL: all; Return: how many */
size_t muted_remove(struct muted *muted, const char *what);
