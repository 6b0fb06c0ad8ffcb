/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/mount-options.h"
#include "daemon/core/superblock-update.h"

uint32_t *superblock_find_slot(const struct index *devices, struct superblock_node *const *nodes,
			       uint32_t major, uint32_t minor)
{
	uint32_t *slot = index_first(devices, hash_number((uint64_t)major << 32 | minor));

	for (; *slot; slot = index_next(devices, slot)) {
		const struct fs_key *key = &nodes[*slot - 1]->sb.key;

		if (key->major == major && key->minor == minor)
			break;
	}

	return slot;
}

/*
 * Without unique ids a mount counts as the same when everything is equal
 * that cannot change under a living one. The source is among that on
 * anonymous devices, whose numbers are used again at once; but btrfs shows
 * whichever of its devices is the latest.
 */
static bool is_same_mount(const struct mount_node *node, const struct mount_entry *entry)
{
	const struct mount *mount = &node->mount;

	if (mount->unique_id != 0 && entry->unique_id != 0)
		return mount->unique_id == entry->unique_id;

	if (mount->parent != entry->info.parent || strcmp(mount->root, entry->info.root) != 0 ||
	    strcmp(mount->where, entry->info.where) != 0)
		return false;

	return entry->info.major != 0 || strcmp(entry->info.type, "btrfs") == 0 ||
	       strcmp(node->source, entry->info.source) == 0;
}

/* The mount of @sb that the entry continues; NULL: it is new. */
static struct mount_node *find_same(const struct superblock_table *table,
				    const struct superblock *sb, const struct mount_entry *entry)
{
	struct mount_node *node = mount_tree_find(&table->tree, entry->info.id);

	return node && node->owner == sb && is_same_mount(node, entry) ? node : NULL;
}

/* The superblock that the device of the list continues; NULL: it is new. */
static struct superblock_node *find_kept(struct superblock_table *table,
					 const struct mount_list *list,
					 const struct mount_device *device)
{
	const struct mount_entry *entry = &list->entries[device->first];
	struct superblock *sb;

	sb = superblock_table_find_device(table, entry->info.major, entry->info.minor);
	if (!sb || strcmp(sb->type, entry->info.type) != 0)
		return NULL;

	for (uint32_t i = device->first + 1; i; i = list->entries[i - 1].next) {
		if (find_same(table, sb, &list->entries[i - 1]))
			return (struct superblock_node *)sb;
	}

	return NULL;
}

static char *append(char **text, const char *string)
{
	char *start = *text;

	*text = stpcpy(start, string) + 1;
	return start;
}

static struct mount_node *mount_node_new(const struct mount_entry *entry, uint64_t seen_us)
{
	const struct mountinfo_entry *info = &entry->info;
	struct mount_node *node;
	char *text;

	node = calloc(1, sizeof(*node) + strlen(info->root) + strlen(info->where) +
				 strlen(info->options) + strlen(info->source) + 4);
	if (!node)
		return NULL;

	text = node->text;
	node->mount = (struct mount){
		.id = info->id,
		.unique_id = entry->unique_id,
		.parent = info->parent,
		.root = append(&text, info->root),
		.where = append(&text, info->where),
		.options = append(&text, info->options),
		.read_only = mount_options_read_only(info->options),
		.seen_us = seen_us,
	};
	node->source = append(&text, info->source);
	return node;
}

static bool is_unchanged(const struct mount_node *node, const struct mount_entry *entry)
{
	const struct mount *mount = &node->mount;

	return mount->unique_id == entry->unique_id && mount->parent == entry->info.parent &&
	       strcmp(mount->where, entry->info.where) == 0 &&
	       strcmp(mount->root, entry->info.root) == 0 &&
	       strcmp(mount->options, entry->info.options) == 0 &&
	       strcmp(node->source, entry->info.source) == 0;
}

static int prepare_mounts(struct superblock_update *update, struct superblock_table *table,
			  size_t at_device, uint64_t now_us)
{
	const struct mount_list *list = &update->list;
	const struct superblock_change *change = &update->changes[at_device];

	for (uint32_t i = list->devices[at_device].first + 1; i; i = list->entries[i - 1].next) {
		const struct mount_entry *entry = &list->entries[i - 1];
		struct mount_node *same = NULL;

		if (change->node)
			same = find_same(table, &change->node->sb, entry);

		if (same && is_unchanged(same, entry)) {
			update->mounts[i - 1] = same;
			continue;
		}

		update->mounts[i - 1] = mount_node_new(entry, same ? same->mount.seen_us : now_us);
		if (!update->mounts[i - 1])
			return -ENOMEM;
	}

	return 0;
}

/* The strings of the first mount speak for the superblock. */
static int prepare_text(struct superblock_change *change, const struct mountinfo_entry *info)
{
	char *text;

	text = malloc(strlen(info->type) + strlen(info->source) + strlen(info->super_options) + 3);
	if (!text)
		return -ENOMEM;

	change->text = text;
	change->type = append(&text, info->type);
	change->source = append(&text, info->source);
	change->super_options = append(&text, info->super_options);
	return 0;
}

static bool is_array_unchanged(const struct superblock_update *update,
			       const struct mount_device *device, const struct superblock *sb)
{
	uint32_t entry = device->first;

	if (sb->n_mounts != device->n_entries)
		return false;

	for (size_t i = 0; i < sb->n_mounts; i++) {
		if (sb->mounts[i] != &update->tree.nodes[entry]->mount)
			return false;
		entry = update->list.entries[entry].next - 1;
	}

	return true;
}

static bool is_reach_unchanged(const struct superblock_update *update,
			       const struct mount_device *device)
{
	for (uint32_t i = device->first + 1; i; i = update->list.entries[i - 1].next) {
		if (update->tree.nodes[i - 1]->mount.reachable != update->tree.reachable[i - 1])
			return false;
	}

	return true;
}

static int prepare_array(struct superblock_update *update, size_t at_device)
{
	const struct mount_device *device = &update->list.devices[at_device];
	uint32_t entry = device->first;
	struct mount **mounts;

	mounts = calloc(device->n_entries, sizeof(*mounts));
	if (!mounts)
		return -ENOMEM;

	for (size_t i = 0; i < device->n_entries; i++) {
		mounts[i] = &update->tree.nodes[entry]->mount;
		entry = update->list.entries[entry].next - 1;
	}

	update->changes[at_device].mounts = mounts;
	return 0;
}

static int prepare_superblock(struct superblock_update *update, size_t at_device)
{
	const struct mount_device *device = &update->list.devices[at_device];
	const struct mountinfo_entry *info = &update->list.entries[device->first].info;
	struct superblock_change *change = &update->changes[at_device];
	const struct superblock *sb = change->node ? &change->node->sb : NULL;
	int r;

	if (!sb) {
		change->node = calloc(1, sizeof(*change->node));
		if (!change->node)
			return -ENOMEM;

		change->kind = CHANGE_ADDED;
		change->node->sb.key.major = info->major;
		change->node->sb.key.minor = info->minor;
	}

	if (!sb || strcmp(sb->source, info->source) != 0 ||
	    strcmp(sb->super_options, info->super_options) != 0) {
		r = prepare_text(change, info);
		if (r < 0)
			return r;
	}

	if (!sb || !is_array_unchanged(update, device, sb)) {
		r = prepare_array(update, at_device);
		if (r < 0)
			return r;
	}

	if (sb && (change->text || change->mounts || !is_reach_unchanged(update, device)))
		change->kind = CHANGE_CHANGED;
	return 0;
}

/* Kept ones stay in their order; new ones follow in that of the reading. */
static int prepare_table(struct superblock_update *update, const struct superblock_table *table)
{
	_cleanup_free_ bool *kept = NULL;
	int r;

	/* One more, since calloc() of nothing may give NULL. */
	kept = calloc(table->n_nodes + 1, sizeof(*kept));
	update->nodes = calloc(update->list.n_devices + 1, sizeof(struct superblock_node *));
	if (!kept || !update->nodes)
		return -ENOMEM;

	r = index_init(&update->devices, update->list.n_devices);
	if (r < 0)
		return r;

	for (size_t i = 0; i < update->list.n_devices; i++) {
		if (update->changes[i].kind != CHANGE_ADDED)
			kept[update->changes[i].node->position] = true;
	}

	for (size_t i = 0; i < table->n_nodes; i++) {
		if (kept[i])
			update->nodes[update->n_nodes++] = table->nodes[i];
	}

	for (size_t i = 0; i < update->list.n_devices; i++) {
		if (update->changes[i].kind == CHANGE_ADDED)
			update->nodes[update->n_nodes++] = update->changes[i].node;
	}

	for (size_t i = 0; i < update->n_nodes; i++) {
		const struct fs_key *key = &update->nodes[i]->sb.key;

		*superblock_find_slot(&update->devices, update->nodes, key->major, key->minor) =
			(uint32_t)i + 1;
	}

	return 0;
}

int superblock_update_prepare(struct superblock_update *update, struct superblock_table *table,
			      const struct superblock_reading *reading, size_t *ret_skipped)
{
	const struct mount_list *list = &update->list;
	size_t skipped;
	int r;

	assert(update);
	assert(table);
	assert(ret_skipped);

	r = mount_list_init(&update->list, reading, &skipped);
	if (r < 0)
		return r;

	/* One more, since calloc() of nothing may give NULL. */
	update->changes = calloc(list->n_devices + 1, sizeof(*update->changes));
	update->mounts = calloc(list->n_entries + 1, sizeof(struct mount_node *));
	if (!update->changes || !update->mounts)
		return -ENOMEM;

	for (size_t i = 0; i < list->n_devices; i++) {
		update->changes[i].node = find_kept(table, list, &list->devices[i]);

		r = prepare_mounts(update, table, i, reading->now_us);
		if (r < 0)
			return r;
	}

	r = mount_tree_init(&update->tree, update->mounts, list->n_entries);
	if (r < 0)
		return r;
	update->mounts = NULL;

	for (size_t i = 0; i < list->n_devices; i++) {
		r = prepare_superblock(update, i);
		if (r < 0)
			return r;
	}

	r = prepare_table(update, table);
	if (r < 0)
		return r;

	*ret_skipped = skipped;
	return 0;
}

static void commit_change(struct superblock_change *change, struct superblock_table *table,
			  size_t n_mounts)
{
	struct superblock *sb = &change->node->sb;

	if (change->kind == CHANGE_ADDED) {
		sb->generation = ++table->last_generation;
		sb->key.n = (uint32_t)sb->generation;
	}

	if (change->text) {
		free(change->node->text);
		change->node->text = TAKE_PTR(change->text);
		sb->type = change->type;
		sb->source = change->source;
		sb->super_options = change->super_options;
		sb->read_only = mount_options_read_only(sb->super_options);
		sb->owner_uid = mount_options_owner(sb->type, sb->super_options);
	}

	if (change->mounts) {
		free(sb->mounts);
		sb->mounts = TAKE_PTR(change->mounts);
		sb->n_mounts = n_mounts;
	}

	change->node->update = table->updates;
}

void superblock_update_commit(struct superblock_update *update, struct superblock_table *table)
{
	const struct mount_list *list = &update->list;

	assert(update);
	assert(table);

	table->updates++;

	for (size_t i = 0; i < list->n_devices; i++) {
		const struct mount_device *device = &list->devices[i];
		struct superblock_change *change = &update->changes[i];

		commit_change(change, table, device->n_entries);

		for (uint32_t at = device->first + 1; at; at = list->entries[at - 1].next) {
			struct mount_node *node = update->tree.nodes[at - 1];

			node->owner = &change->node->sb;
			node->mount.reachable = update->tree.reachable[at - 1];
			node->update = table->updates;
		}
	}

	update->old_nodes = table->nodes;
	update->n_old_nodes = table->n_nodes;
	update->old_tree = table->tree;
	index_deinit(&table->devices);

	table->nodes = TAKE_PTR(update->nodes);
	table->n_nodes = update->n_nodes;
	table->tree = update->tree;
	table->devices = update->devices;
	update->tree = (struct mount_tree){};
	update->devices = (struct index){};

	for (size_t i = 0; i < table->n_nodes; i++)
		table->nodes[i]->position = i;
}

/* Frees what never became part of the table. */
static void drop_new_mounts(struct mount_node **nodes, size_t n_nodes)
{
	for (size_t i = 0; nodes && i < n_nodes; i++) {
		if (nodes[i] && nodes[i]->update == 0)
			free(nodes[i]);
	}
}

void superblock_update_deinit(struct superblock_update *update)
{
	assert(update);

	for (size_t i = 0; update->changes && i < update->list.n_devices; i++) {
		struct superblock_change *change = &update->changes[i];

		free(change->text);
		free(change->mounts);
		if (change->kind == CHANGE_ADDED && change->node->update == 0)
			superblock_node_free(change->node);
	}

	drop_new_mounts(update->mounts, update->list.n_entries);
	drop_new_mounts(update->tree.nodes, update->tree.n_nodes);

	free(update->changes);
	free(update->mounts);
	free(update->nodes);
	free(update->old_nodes);
	mount_tree_deinit(&update->tree);
	mount_tree_deinit(&update->old_tree);
	index_deinit(&update->devices);
	mount_list_deinit(&update->list);
}
