/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A filesystem as it is shown
 *
 * What the tables, the long form and JSON have in common.
 */

#include <stdint.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/table.h"

/** shown_where() - its place, or that it has none; borrowed */
const char *shown_where(const struct client_filesystem *fs);

enum table_colour shown_state_colour(const char *state);

/** shown_bytes() - so many of its blocks in bytes, as far as the number goes */
uint64_t shown_bytes(const struct client_filesystem *fs, uint64_t blocks);

/** shown_used() - as df(1): of what an ordinary user could ever have, the share that is taken */
double shown_used(uint64_t total, uint64_t free, uint64_t available);

/** shown_json() - one line with all that is known */
void shown_json(const struct client_filesystem *fs);
