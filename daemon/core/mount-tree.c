/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/mount-tree.h"

/* Does the walk to its mount point come past this mount? */
enum passage {
	PASSAGE_UNKNOWN,
	PASSAGE_OPEN, /* its parent is being asked: a ring, if met again */
	PASSAGE_YES,
	PASSAGE_NO,
};

/* A prefix of a path that ends at the end of a component, and its hash. */
struct prefix {
	const char *path;
	size_t n;
	uint64_t hash;
};

/* "" -> "/" -> "/a" -> "/a/b"; false: there is nothing longer */
static bool prefix_grow(struct prefix *prefix)
{
	size_t n = prefix->n;

	if (n > 0 && prefix->path[n] == '\0')
		return false;

	if (n > 0) {
		n += n > 1;
		n += strcspn(prefix->path + n, "/");
	} else {
		n = 1;
	}

	prefix->hash = hash_bytes(prefix->hash, prefix->path + prefix->n, n - prefix->n);
	prefix->n = n;
	return true;
}

static struct prefix prefix_of(const char *path, size_t n)
{
	return (struct prefix){ path, n, hash_bytes(HASH_BYTES_INIT, path, n) };
}

static uint32_t *find_place(const struct mount_tree *tree, uint32_t parent,
			    const struct prefix *where)
{
	uint32_t *slot = index_first(&tree->places, hash_number(where->hash ^ parent));

	for (; *slot; slot = index_next(&tree->places, slot)) {
		const struct mount *mount = &tree->nodes[*slot - 1]->mount;

		if (tree->parents[*slot - 1] == parent &&
		    strncmp(mount->where, where->path, where->n) == 0 &&
		    mount->where[where->n] == '\0')
			break;
	}

	return slot;
}

static uint32_t *find_id(const struct mount_tree *tree, uint32_t id)
{
	uint32_t *slot = index_first(&tree->ids, hash_number(id));

	while (*slot && tree->nodes[*slot - 1]->mount.id != id)
		slot = index_next(&tree->ids, slot);

	return slot;
}

static void fill_indexes(struct mount_tree *tree)
{
	for (size_t i = 0; i < tree->n_nodes; i++)
		*find_id(tree, tree->nodes[i]->mount.id) = (uint32_t)i + 1;

	for (size_t i = 0; i < tree->n_nodes; i++) {
		const struct mount *mount = &tree->nodes[i]->mount;

		/* The root of a namespace is its own parent. */
		if (mount->parent != mount->id)
			tree->parents[i] = *find_id(tree, mount->parent);
	}

	/* Two at one place: the kernel stacks them, so that the later is the truth. */
	for (size_t i = 0; i < tree->n_nodes; i++) {
		const char *where = tree->nodes[i]->mount.where;
		struct prefix prefix = prefix_of(where, strlen(where));

		*find_place(tree, tree->parents[i], &prefix) = (uint32_t)i + 1;
	}
}

/* The mount point of something unlinked, or not of the kernel's making. */
static bool is_canonical(const char *where)
{
	return where[0] == '/' && !strstr(where, "//");
}

/*
 * With the parent passed, this one is too, unless another child of the
 * parent is in the way: one on the parent's own root, or on a directory
 * between, or mounted later at the very place.
 */
static bool passes_from_parent(const struct mount_tree *tree, size_t i)
{
	const char *where = tree->nodes[i]->mount.where;
	uint32_t parent = tree->parents[i];
	const char *base = parent ? tree->nodes[parent - 1]->mount.where : "";
	size_t n_base = strlen(base), n_where = strlen(where);
	struct prefix prefix;

	if (!is_canonical(where) || strncmp(where, base, n_base) != 0)
		return false;
	if (n_base > 1 && where[n_base] != '/' && where[n_base] != '\0')
		return false;

	prefix = prefix_of(where, n_base);
	while (prefix.n < n_where) {
		if (prefix.n > 0 && *find_place(tree, parent, &prefix))
			return false;
		prefix_grow(&prefix);
	}

	return *find_place(tree, parent, &prefix) == i + 1;
}

/* Up to a mount whose answer is known, then down again: no recursion, each once. */
static void find_passage(const struct mount_tree *tree, size_t i, enum passage *passages,
			 uint32_t *trail)
{
	enum passage above = PASSAGE_YES;
	size_t n_trail = 0;
	uint32_t at = (uint32_t)i + 1;

	while (at && passages[at - 1] == PASSAGE_UNKNOWN) {
		passages[at - 1] = PASSAGE_OPEN;
		trail[n_trail++] = at;
		at = tree->parents[at - 1];
	}

	if (at && passages[at - 1] != PASSAGE_YES)
		above = PASSAGE_NO;

	while (n_trail > 0) {
		at = trail[--n_trail];
		if (above == PASSAGE_YES && !passes_from_parent(tree, at - 1))
			above = PASSAGE_NO;
		passages[at - 1] = above;
	}
}

static void find_reachable(struct mount_tree *tree, enum passage *passages, uint32_t *trail)
{
	for (size_t i = 0; i < tree->n_nodes; i++) {
		const char *where = tree->nodes[i]->mount.where;
		struct prefix prefix = prefix_of(where, strlen(where));

		find_passage(tree, i, passages, trail);
		tree->reachable[i] =
			passages[i] == PASSAGE_YES && !*find_place(tree, (uint32_t)i + 1, &prefix);
	}
}

int mount_tree_init(struct mount_tree *ret, struct mount_node **nodes, size_t n_nodes)
{
	_cleanup_free_ enum passage *passages = NULL;
	_cleanup_free_ uint32_t *trail = NULL;
	_cleanup_(mount_tree_deinit) struct mount_tree tree = { .n_nodes = n_nodes };
	int r;

	assert(ret);
	assert(nodes);

	/* One more, since calloc() of nothing may give NULL. */
	passages = calloc(n_nodes + 1, sizeof(*passages));
	trail = calloc(n_nodes + 1, sizeof(*trail));
	tree.reachable = calloc(n_nodes + 1, sizeof(*tree.reachable));
	tree.parents = calloc(n_nodes + 1, sizeof(*tree.parents));
	if (!passages || !trail || !tree.reachable || !tree.parents)
		return -ENOMEM;

	r = index_init(&tree.ids, n_nodes);
	if (r < 0)
		return r;

	r = index_init(&tree.places, n_nodes);
	if (r < 0)
		return r;

	tree.nodes = nodes;
	fill_indexes(&tree);
	find_reachable(&tree, passages, trail);

	*ret = tree;
	tree = (struct mount_tree){};
	return 0;
}

void mount_tree_deinit(struct mount_tree *tree)
{
	assert(tree);

	free(tree->nodes);
	free(tree->reachable);
	free(tree->parents);
	index_deinit(&tree->ids);
	index_deinit(&tree->places);
	*tree = (struct mount_tree){};
}

struct mount_node *mount_tree_find(const struct mount_tree *tree, uint32_t id)
{
	uint32_t number;

	assert(tree);

	if (tree->n_nodes == 0)
		return NULL;

	number = *find_id(tree, id);
	return number ? tree->nodes[number - 1] : NULL;
}

struct mount_node *mount_tree_resolve(const struct mount_tree *tree, const char *path)
{
	struct prefix prefix = prefix_of(path, 0);
	uint32_t at = 0, child;

	assert(tree);
	assert(path && path[0] == '/');

	if (tree->n_nodes == 0)
		return NULL;

	/*
	 * Ends also where mounts claim to be each other's parents: each has one
	 * parent, so that no ring can be entered from above.
	 */
	while (prefix_grow(&prefix)) {
		while ((child = *find_place(tree, at, &prefix)))
			at = child;
	}

	return at ? tree->nodes[at - 1] : NULL;
}

char *mount_path_normalise(const char *path)
{
	size_t n_out = 0;
	char *out;

	assert(path);

	if (path[0] != '/')
		return NULL;

	out = malloc(strlen(path) + 2);
	if (!out)
		return NULL;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (n_out > 0 && out[--n_out] != '/')
				;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			out[n_out++] = '/';
			memcpy(out + n_out, path, n);
			n_out += n;
		}

		path += n;
		path += *path == '/';
	}

	if (n_out == 0)
		out[n_out++] = '/';
	out[n_out] = '\0';
	return out;
}
