/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/source/module-file-internal.h"

struct module_inode *module_inode_find(const struct module_watches *watches,
				       const struct handle_view *handle)
{
	const struct module_file *file = module_watches_file(watches);
	struct module_inode *inode;

	LIST_FOREACH(inode, &file->inodes[handle_hash(handle) % MODULE_FILE_BUCKETS], in_bucket) {
		const struct handle_view view = handle_view(&inode->handle);

		if (inode->owner == watches && handle_equal(&view, handle))
			return inode;
	}
	return NULL;
}

struct module_inode *module_inode_new(struct module_watches *watches,
				      const struct handle_view *handle)
{
	struct module_file *file = module_watches_file(watches);
	struct module_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->owner = watches;
	inode->handle = (struct handle){ .type = handle->type, .n = handle->n };
	memcpy(inode->handle.bytes, handle->bytes, handle->n);
	LIST_INSERT_HEAD(&file->inodes[handle_hash(handle) % MODULE_FILE_BUCKETS], inode,
			 in_bucket);
	LIST_INSERT_HEAD(&watches->inodes, inode, in_owner);
	return inode;
}

static void watch_free(struct module_watch *watch)
{
	if (watch->inode->watch == watch)
		watch->inode->watch = NULL;
	LIST_REMOVE(watch, in_bucket);
	LIST_REMOVE(watch, in_inode);
	free(watch);
}

void module_inode_free(struct module_inode *inode)
{
	struct module_watch *watch;

	while ((watch = LIST_FIRST(&inode->watches)))
		watch_free(watch);
	LIST_REMOVE(inode, in_bucket);
	LIST_REMOVE(inode, in_owner);
	free(inode);
}

void module_inode_settle(struct module_inode *inode)
{
	if (inode->n_asked > 0 || (inode->watch && inode->mask != 0))
		return;
	if (inode->watch)
		module_watches_withdraw_later(inode->owner, inode->watch->id);
	module_inode_free(inode);
}

int module_inode_set_watch(struct module_inode *inode, uint32_t id, uint64_t mask)
{
	struct module_file *file = module_watches_file(inode->owner);
	struct module_watch *watch = calloc(1, sizeof(*watch));

	if (!watch) {
		module_watches_withdraw_later(inode->owner, id);
		return -ENOMEM;
	}
	watch->id = id;
	watch->mask = mask;
	watch->inode = inode;
	LIST_INSERT_HEAD(&file->watches[id % MODULE_FILE_BUCKETS], watch, in_bucket);
	LIST_INSERT_HEAD(&inode->watches, watch, in_inode);
	if (inode->watch)
		module_watches_withdraw_later(inode->owner, inode->watch->id);
	inode->watch = watch;
	return 0;
}

struct module_watch *module_watch_find(const struct module_file *file, uint32_t id)
{
	struct module_watch *watch;

	assert(file);

	LIST_FOREACH(watch, &file->watches[id % MODULE_FILE_BUCKETS], in_bucket)
		if (watch->id == id)
			return watch;
	return NULL;
}

void module_watch_end(struct module_watch *watch)
{
	struct module_inode *inode = watch->inode;

	watch_free(watch);
	module_inode_settle(inode);
}

static void inode_forget_replaced(struct module_inode *inode)
{
	struct module_watch *watch, *next;

	for (watch = LIST_FIRST(&inode->watches); watch; watch = next) {
		next = LIST_NEXT(watch, in_inode);
		if (watch != inode->watch)
			watch_free(watch);
	}
}

void module_file_forget_replaced(struct module_file *file)
{
	struct file_events_member *member;
	struct module_inode *inode;

	assert(file);

	LIST_FOREACH(member, &file->members, in_module)
		if (member->watches)
			LIST_FOREACH(inode, &member->watches->inodes, in_owner)
				inode_forget_replaced(inode);
}
