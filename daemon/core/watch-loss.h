/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A loss that grows
 *
 * What is missing at one place of a queue, told as "look through this directory
 * and all below it again". It takes no memory but its own, whatever is added:
 * where the directory does not suffice or its name has no room, it is one above. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/change.h"

#define WATCH_UNDER_MAX 200

/* Zeroed: none; it is none again with ->active false. */
struct watch_loss {
	bool active;
	uint64_t count;
	size_t n_under;
	char under[WATCH_UNDER_MAX];
};

/** watch_loss_add() - so many more, there or below; a count stays at its maximum */
void watch_loss_add(struct watch_loss *loss, uint64_t count, const char *under, size_t n_under);

/** watch_loss_covers() - whoever looks there again sees the directory @dir, too */
bool watch_loss_covers(const struct watch_loss *loss, const char *dir, size_t n_dir);

/** watch_change_directory() - Return: bytes of ->name that are the directory of both its names; 0: what is watched */
size_t watch_change_directory(const struct change *change);
