/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/node-tree.h"

#define SLOTS_MIN 64
#define NEAR_DEPTH_MAX 4096

static uint32_t hash_of(const struct handle_view *handle)
{
	uint64_t hash = hash_number(handle_hash(handle));

	return (uint32_t)(hash >> 32);
}

void node_tree_init(struct node_tree *tree, size_t n_max, struct node_budget *budget)
{
	assert(tree);
	assert(n_max > 0);

	*tree = (struct node_tree){ .n_max = n_max, .budget = budget };
	TAILQ_INIT(&tree->free);
	if (budget)
		LIST_INSERT_HEAD(&budget->trees, tree, in_budget);
}

static void count(struct node_tree *tree, size_t more, size_t less)
{
	tree->n_bytes += more - less;
	if (tree->budget)
		tree->budget->n_bytes += more - less;
}

static char *room_of(struct node *node)
{
	return (char *)node->bytes + node->n_handle;
}

/* As malloc() has it. */
static size_t node_size(const struct node *node)
{
	size_t n = sizeof(*node) + node->n_handle + node->n_room + 16;

	if (node->n_more > 0)
		n += node->n_more * sizeof(node->more[0]) + 16;
	if (node->name != room_of((struct node *)node))
		n += node->n_name + 16U;
	return n;
}

static void node_free(struct node *node)
{
	if (node->name != room_of(node))
		free(node->name);
	free(node->more);
	free(node);
}

void node_tree_deinit(struct node_tree *tree)
{
	assert(tree);

	for (size_t i = 0; i < tree->n_slots; i++)
		if (tree->slots[i]) {
			assert(LIST_EMPTY(&tree->slots[i]->watches));
			node_free(tree->slots[i]);
		}
	free(tree->slots);
	if (tree->budget)
		LIST_REMOVE(tree, in_budget);
	count(tree, 0, tree->n_bytes);
	*tree = (struct node_tree){};
}

struct node *node_tree_find(struct node_tree *tree, const struct handle_view *handle)
{
	uint32_t hash;

	assert(tree);
	assert(handle);

	if (tree->n_nodes == 0)
		return NULL;

	hash = hash_of(handle);
	for (size_t i = hash & (tree->n_slots - 1); tree->slots[i];
	     i = (i + 1) & (tree->n_slots - 1)) {
		struct node *node = tree->slots[i];
		struct handle_view other = node_handle(node);

		if (node->hash == hash && handle_equal(&other, handle))
			return node;
	}
	return NULL;
}

static void slot_put(struct node **slots, size_t n_slots, struct node *node)
{
	size_t i = node->hash & (n_slots - 1);

	while (slots[i])
		i = (i + 1) & (n_slots - 1);
	slots[i] = node;
}

static int slots_resize(struct node_tree *tree, size_t n_slots)
{
	struct node **slots = calloc(n_slots, sizeof(struct node *));

	if (!slots)
		return -ENOMEM;

	for (size_t i = 0; i < tree->n_slots; i++)
		if (tree->slots[i])
			slot_put(slots, n_slots, tree->slots[i]);
	free(tree->slots);
	tree->slots = slots;
	tree->n_slots = n_slots;
	return 0;
}

static void slot_remove(struct node_tree *tree, struct node *node)
{
	size_t mask = tree->n_slots - 1, i = node->hash & mask;

	while (tree->slots[i] != node)
		i = (i + 1) & mask;

	/* What stands behind moves up, unless it would come before its first choice. */
	for (size_t next = (i + 1) & mask; tree->slots[next]; next = (next + 1) & mask) {
		size_t first = tree->slots[next]->hash & mask;

		if (((next - first) & mask) >= ((next - i) & mask)) {
			tree->slots[i] = tree->slots[next];
			i = next;
		}
	}
	tree->slots[i] = NULL;
}

void node_hold(struct node_tree *tree, struct node *node)
{
	assert(tree);
	assert(node);

	if (node->n_held++ == 0)
		TAILQ_REMOVE(&tree->free, node, link);
}

void node_release(struct node_tree *tree, struct node *node)
{
	assert(tree);
	assert(node);
	assert(node->n_held > 0);

	if (--node->n_held == 0)
		TAILQ_INSERT_TAIL(&tree->free, node, link);
}

void node_watched(struct node_tree *tree, struct node *node)
{
	assert(tree);
	assert(node);

	node_hold(tree, node);
	if (node->parent)
		node->parent->n_watched++;
}

void node_unwatched(struct node_tree *tree, struct node *node)
{
	assert(tree);
	assert(node);

	if (node->parent)
		node->parent->n_watched--;
	node_release(tree, node);
}

void node_touch(struct node_tree *tree, struct node *node)
{
	assert(tree);
	assert(node);

	if (node->n_held > 0 || !TAILQ_NEXT(node, link))
		return;
	TAILQ_REMOVE(&tree->free, node, link);
	TAILQ_INSERT_TAIL(&tree->free, node, link);
}

static void near_leave(struct node_tree *tree, struct node *node)
{
	struct node *near = node->near;

	node->near = NULL;
	if (near)
		node_release(tree, near);
}

void node_tree_remove(struct node_tree *tree, struct node *node)
{
	assert(tree);
	assert(node);
	assert(node->n_held == 0);
	assert(LIST_EMPTY(&node->watches));

	TAILQ_REMOVE(&tree->free, node, link);
	if (node->parent)
		node_release(tree, node->parent);
	near_leave(tree, node);
	slot_remove(tree, node);
	tree->n_nodes--;
	count(tree, 0, node_size(node));
	node_free(node);

	/* Best effort: what is too large serves as well. */
	if (tree->n_slots > SLOTS_MIN && tree->n_nodes < tree->n_slots / 8)
		(void)slots_resize(tree, tree->n_slots / 4);
}

static void evict(struct node_tree *tree)
{
	struct node *node = TAILQ_FIRST(&tree->free);

	tree->dead_evicted |= node->dead;
	node_tree_remove(tree, node);
	tree->evicted++;
}

/* NULL: all that there is is held. */
static struct node_tree *largest(const struct node_budget *budget)
{
	struct node_tree *tree, *found = NULL;

	LIST_FOREACH(tree, &budget->trees, in_budget)
		if (!TAILQ_EMPTY(&tree->free) && (!found || tree->n_bytes > found->n_bytes))
			found = tree;
	return found;
}

static void make_room(struct node_tree *tree)
{
	const struct node_budget *budget = tree->budget;
	struct node_tree *other;

	while (tree->n_nodes >= tree->n_max && !TAILQ_EMPTY(&tree->free))
		evict(tree);
	while (budget && budget->n_bytes >= budget->n_max && (other = largest(budget)))
		evict(other);
}

int node_tree_add(struct node_tree *tree, const struct handle_view *handle, size_t n_name,
		  struct node **ret)
{
	uint8_t n_room = n_name <= UINT8_MAX ? (uint8_t)n_name : 0;
	struct node *node;
	int r;

	assert(tree);
	assert(handle);
	assert(handle->n > 0 && handle->n <= HANDLE_MAX);
	assert(ret);

	make_room(tree);
	if (2 * (tree->n_nodes + 1) > tree->n_slots) {
		r = slots_resize(tree, tree->n_slots ? 2 * tree->n_slots : SLOTS_MIN);
		if (r < 0)
			return r;
	}

	node = calloc(1, sizeof(*node) + handle->n + n_room);
	if (!node)
		return -ENOMEM;
	node->type = handle->type;
	node->n_handle = (uint8_t)handle->n;
	memcpy(node->bytes, handle->bytes, handle->n);
	node->n_room = n_room;
	node->name = room_of(node);
	node->hash = hash_of(handle);
	node->state = NODE_UNPLACED;
	LIST_INIT(&node->watches);
	TAILQ_INSERT_TAIL(&tree->free, node, link);
	slot_put(tree->slots, tree->n_slots, node);
	tree->n_nodes++;
	count(tree, node_size(node), 0);
	*ret = node;
	return 0;
}

static int name_set(struct node_tree *tree, struct node *node, const char *name, size_t n_name)
{
	size_t before = node_size(node);
	char *copy = room_of(node);

	if (n_name == node->n_name && memcmp(node->name, name, n_name) == 0)
		return 0;
	if (n_name > node->n_room)
		copy = malloc(n_name);
	if (!copy)
		return -ENOMEM;
	if (n_name > 0)
		memcpy(copy, name, n_name);
	if (node->name != room_of(node))
		free(node->name);
	node->name = copy;
	node->n_name = (uint16_t)n_name;
	count(tree, node_size(node), before);
	return 0;
}

static void parent_leave(struct node_tree *tree, struct node *node)
{
	struct node *parent = node->parent;

	node->parent = NULL;
	if (!parent)
		return;
	if (!LIST_EMPTY(&node->watches))
		parent->n_watched--;
	node_release(tree, parent);
}

int node_tree_move(struct node_tree *tree, struct node *node, struct node *parent, const char *name,
		   size_t n_name)
{
	int r;

	assert(tree);
	assert(node);
	assert(name || n_name == 0);
	assert(n_name <= UINT16_MAX);

	for (struct node *above = parent; above; above = above->parent)
		if (above == node)
			return -ELOOP;

	r = name_set(tree, node, name, n_name);
	if (r < 0)
		return r;
	if (parent)
		node_hold(tree, parent);
	parent_leave(tree, node);
	near_leave(tree, node);
	node->parent = parent;
	if (parent && !LIST_EMPTY(&node->watches))
		parent->n_watched++;
	node->state = NODE_PLACED;
	return 0;
}

void node_tree_unplace(struct node_tree *tree, struct node *node)
{
	assert(tree);
	assert(node);

	parent_leave(tree, node);
	near_leave(tree, node);
	node->state = NODE_UNPLACED;
}

void node_tree_unplace_near(struct node_tree *tree, struct node *node, struct node *near,
			    uint64_t seq)
{
	const struct node *above = near;

	assert(tree);
	assert(node);

	/* Nothing is below itself, whatever was told. */
	for (size_t depth = 0; above && above != node; depth++)
		above = depth < NEAR_DEPTH_MAX ? (above->parent ?: above->near) : node;
	if (above)
		near = NULL;
	if (near)
		node_hold(tree, near);
	node_tree_unplace(tree, node);
	node->near = near;
	node->near_seq = (uint32_t)seq;
}

int node_grow(struct node_tree *tree, struct node *node, uint16_t n)
{
	size_t before;
	struct node_verdict *more;

	assert(tree);
	assert(node);
	assert(n > node->n_more);

	before = node_size(node);
	more = reallocarray(node->more, n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + node->n_more, 0, (n - node->n_more) * sizeof(*more));
	node->more = more;
	node->n_more = n;
	count(tree, node_size(node), before);
	return 0;
}

static void forget_verdicts(struct node_tree *tree, struct node *node)
{
	size_t before = node_size(node);

	free(node->more);
	node->more = NULL;
	node->n_more = 0;
	node->verdict = (struct node_verdict){};
	count(tree, node_size(node), before);
}

void node_tree_forget(struct node_tree *tree)
{
	assert(tree);

	/* First without parents, so that whatever has no watch is held by nothing. */
	for (size_t i = 0; i < tree->n_slots; i++)
		if (tree->slots[i]) {
			node_tree_unplace(tree, tree->slots[i]);
			tree->slots[i]->dead = false;
			forget_verdicts(tree, tree->slots[i]);
		}
	while (!TAILQ_EMPTY(&tree->free))
		node_tree_remove(tree, TAILQ_FIRST(&tree->free));
}
