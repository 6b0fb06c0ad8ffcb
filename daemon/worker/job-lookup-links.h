/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The directories that the chains of one batch lead through
 *
 * Each once, whatever the number of chains, already as bytes of the reply.
 * Takes as much memory as there are: most batches find one or two.
 */

#include "daemon/core/index.h"
#include "daemon/worker/job-lookup-wire.h"

struct lookup_known;

struct lookup_links { /* zeroed: none, and no room */
	struct flat_writer writer;
	struct index index;
	struct lookup_known *known;
	uint32_t n, size;
};

void lookup_links_deinit(struct lookup_links *links);
/** lookup_links_reserve() - room for @n more; before anything else; Return: 0, -ENOBUFS (LOOKUP_LINKS_MAX) or -ENOMEM */
int lookup_links_reserve(struct lookup_links *links, uint32_t n);
/** lookup_links_find() - Return: number of the link of this directory, counted from 1, or 0 */
uint32_t lookup_links_find(const struct lookup_links *links, const struct handle_view *handle);
/** lookup_links_add() - with room for it; @depth: how many links up to the root, itself included */
void lookup_links_add(struct lookup_links *links, const struct lookup_node *node, int depth);
/** lookup_links_depth() - of link @number */
int lookup_links_depth(const struct lookup_links *links, uint32_t number);
