/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/mount-tree.h"
#include "daemon/core/superblock-update.h"

int superblock_table_new(struct superblock_table **ret, const struct superblock_ops *ops,
			 void *userdata)
{
	struct superblock_table *table;

	assert(ret);
	assert(ops && ops->added && ops->changed && ops->removed);

	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;

	table->ops = ops;
	table->userdata = userdata;

	*ret = table;
	return 0;
}

struct superblock_table *superblock_table_free(struct superblock_table *table)
{
	if (!table)
		return NULL;

	for (size_t i = 0; i < table->n_nodes; i++)
		superblock_node_free(table->nodes[i]);
	for (size_t i = 0; i < table->tree.n_nodes; i++)
		free(table->tree.nodes[i]);

	mount_tree_deinit(&table->tree);
	index_deinit(&table->devices);
	free(table->nodes);
	free(table);
	return NULL;
}

struct superblock_node *superblock_node_free(struct superblock_node *node)
{
	if (!node)
		return NULL;

	free(node->sb.mounts);
	free(node->text);
	free(node);
	return NULL;
}

/* What was there before the update and was not kept by it. */
static void drop_replaced(struct superblock_table *table, struct superblock_update *update)
{
	for (size_t i = 0; i < update->n_old_nodes; i++) {
		if (update->old_nodes[i]->update != table->updates)
			superblock_node_free(update->old_nodes[i]);
	}

	for (size_t i = 0; i < update->old_tree.n_nodes; i++) {
		if (update->old_tree.nodes[i]->update != table->updates)
			free(update->old_tree.nodes[i]);
	}
}

static void tell(struct superblock_table *table, const struct superblock_update *update)
{
	for (size_t i = 0; i < update->n_old_nodes; i++) {
		if (update->old_nodes[i]->update != table->updates)
			table->ops->removed(&update->old_nodes[i]->sb, table->userdata);
	}

	for (size_t i = 0; i < update->list.n_devices; i++) {
		if (update->changes[i].kind == CHANGE_ADDED)
			table->ops->added(&update->changes[i].node->sb, table->userdata);
	}

	for (size_t i = 0; i < update->list.n_devices; i++) {
		if (update->changes[i].kind == CHANGE_CHANGED)
			table->ops->changed(&update->changes[i].node->sb, table->userdata);
	}
}

int superblock_table_update(struct superblock_table *table,
			    const struct superblock_reading *reading, size_t *ret_skipped)
{
	_cleanup_(superblock_update_deinit) struct superblock_update update = {};
	size_t skipped;
	int r;

	assert(table);
	assert(reading && (reading->text || reading->n_text == 0));

	r = superblock_update_prepare(&update, table, reading, &skipped);
	if (r < 0)
		return r;

	superblock_update_commit(&update, table);
	tell(table, &update);
	drop_replaced(table, &update);

	if (ret_skipped)
		*ret_skipped = skipped;
	return 0;
}

size_t superblock_table_count(const struct superblock_table *table)
{
	assert(table);

	return table->n_nodes;
}

struct superblock *superblock_table_find_device(struct superblock_table *table, uint32_t major,
						uint32_t minor)
{
	uint32_t number;

	assert(table);

	if (table->n_nodes == 0)
		return NULL;

	number = *superblock_find_slot(&table->devices, table->nodes, major, minor);
	return number ? &table->nodes[number - 1]->sb : NULL;
}

struct superblock *superblock_table_find(struct superblock_table *table, const struct fs_key *key)
{
	struct superblock *sb;

	assert(key);

	sb = superblock_table_find_device(table, key->major, key->minor);
	return sb && sb->key.n == key->n ? sb : NULL;
}

struct superblock *superblock_table_resolve(struct superblock_table *table, const char *path)
{
	_cleanup_free_ char *normal = NULL;
	const struct mount_node *node;

	assert(table);
	assert(path);

	normal = mount_path_normalise(path);
	if (!normal)
		return NULL;

	node = mount_tree_resolve(&table->tree, normal);
	return node ? node->owner : NULL;
}

struct superblock *superblock_table_next(struct superblock_table *table,
					 const struct superblock *sb)
{
	size_t position = 0;

	assert(table);

	if (sb)
		position = ((const struct superblock_node *)sb)->position + 1;

	return position < table->n_nodes ? &table->nodes[position]->sb : NULL;
}

const struct mount *superblock_table_find_mount(struct superblock_table *table, uint32_t mnt_id,
						struct superblock **ret_sb)
{
	const struct mount_node *node;

	assert(table);

	node = mount_tree_find(&table->tree, mnt_id);
	if (!node)
		return NULL;

	if (ret_sb)
		*ret_sb = node->owner;
	return &node->mount;
}

static bool is_better_display(const struct mount *mount, const struct mount *than)
{
	bool whole, than_whole;

	if (!than)
		return true;

	whole = strcmp(mount->root, "/") == 0;
	than_whole = strcmp(than->root, "/") == 0;
	if (whole != than_whole)
		return whole;

	return strlen(mount->where) < strlen(than->where);
}

const struct mount *superblock_display_mount(const struct superblock *sb)
{
	const struct mount *best = NULL;

	assert(sb);

	for (size_t i = 0; i < sb->n_mounts; i++) {
		if (sb->mounts[i]->reachable && is_better_display(sb->mounts[i], best))
			best = sb->mounts[i];
	}

	return best;
}
