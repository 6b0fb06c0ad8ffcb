/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/worker/job-lookup-links.h"

#define LINKS_MIN 64

struct lookup_known {
	struct handle handle;
	int depth;
};

void lookup_links_deinit(struct lookup_links *links)
{
	assert(links);

	free(links->known);
	index_deinit(&links->index);
	flat_writer_deinit(&links->writer);
}

static void links_index(struct lookup_links *links, uint32_t i)
{
	const struct handle_view handle = handle_view(&links->known[i].handle);
	uint32_t *slot = index_first(&links->index, handle_hash(&handle));

	while (*slot)
		slot = index_next(&links->index, slot);
	*slot = i + 1;
}

int lookup_links_reserve(struct lookup_links *links, uint32_t n)
{
	uint32_t size;
	struct lookup_known *known;
	struct index index;
	int r;

	assert(links);

	size = links->size ? links->size : LINKS_MIN;
	if (n > LOOKUP_LINKS_MAX - links->n)
		return -ENOBUFS;
	if (links->n + n <= links->size)
		return 0;
	while (size < links->n + n)
		size *= 2;

	known = reallocarray(links->known, size, sizeof(*known));
	if (!known)
		return -ENOMEM;
	links->known = known;
	r = index_init(&index, size);
	if (r < 0)
		return r;
	index_deinit(&links->index);
	links->index = index;
	links->size = size;
	for (uint32_t i = 0; i < links->n; i++)
		links_index(links, i);
	return 0;
}

uint32_t lookup_links_find(const struct lookup_links *links, const struct handle_view *handle)
{
	uint32_t *slot;

	assert(links && links->size > 0);
	assert(handle);

	slot = index_first(&links->index, handle_hash(handle));
	for (; *slot; slot = index_next(&links->index, slot)) {
		const struct handle_view other = handle_view(&links->known[*slot - 1].handle);

		if (handle_equal(&other, handle))
			break;
	}
	return *slot;
}

void lookup_links_add(struct lookup_links *links, const struct lookup_node *node, int depth)
{
	assert(links && links->n < links->size);
	assert(node);

	links->known[links->n] = (struct lookup_known){ .handle = node->handle, .depth = depth };
	links_index(links, links->n++);
	lookup_node_put(&links->writer, node);
}

int lookup_links_depth(const struct lookup_links *links, uint32_t number)
{
	assert(links && number > 0 && number <= links->n);

	return links->known[number - 1].depth;
}
