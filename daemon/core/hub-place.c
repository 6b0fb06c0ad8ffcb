/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>

#include "daemon/core/hub-internal.h"

#define NAME_BYTES_MAX 255 /* NAME_MAX of the kernel */

static bool seq_is_before(uint64_t seq, uint32_t low)
{
	return (int32_t)((uint32_t)seq - low) <= 0;
}

/*
 * The top of what is known above; NULL: there is no end. Where that is not
 * the root of the filesystem, its place is what is missing.
 */
static struct node *top_of(struct hub *hub, struct node *node)
{
	for (size_t depth = 0; depth < HUB_DEPTH_MAX; depth++) {
		hub->n_steps++;
		if (!node->parent)
			return node;
		node = node->parent;
	}
	return NULL;
}

/* For one directory: through others that wait in the row. */
struct search {
	struct hub *hub;
	uint64_t seq;
	unsigned int n_looks;
	struct handle_view missing;
};

static enum hub_place place(struct search *search, const struct handle_view *handle,
			    struct node **ret);

/*
 * @handle, or @node where it is known, was at the old place of the first event
 * that waits and moves or removes it.
 */
static enum hub_place place_by_row(struct search *search, const struct hub_pending *first,
				   struct node *node, struct node **ret)
{
	const struct file_name *at = &first->event.at;
	struct hub *hub = search->hub;
	struct node *parent;
	enum hub_place found;
	int r = 0;

	hub->n_steps += HUB_STEPS_LOOK;
	if (search->n_looks++ >= HUB_LOOKS_MAX)
		return HUB_PLACE_FAILED;
	found = place(search, &at->dir, &parent);
	/* Something is removed from there yet: it was there. */
	if (found == HUB_PLACE_GONE)
		return HUB_PLACE_FAILED;
	if (found != HUB_PLACE_FOUND)
		return found;

	node_hold(&hub->tree, parent);
	if (!node)
		r = node_tree_add(&hub->tree, &first->event.target, at->n_name, &node);
	if (r == 0)
		r = node_tree_move(&hub->tree, node, parent, at->name, at->n_name);
	node_release(&hub->tree, parent);
	if (r < 0)
		return HUB_PLACE_FAILED;
	*ret = node;
	return HUB_PLACE_FOUND;
}

/*
 * Where an event was whose directory is no more, and no record that waits says where that
 * was. Mostly its removal was told, and the event came after it. But where the kernel merged the
 * removal into the making, it may have come before.
 */
static enum hub_place place_of_gone(const struct search *search, const struct node *top)
{
	const struct hub *hub = search->hub;
	bool merged = top->dead && LIST_EMPTY(&top->watches);

	if (merged || hub->tree.dead_evicted || search->seq <= hub->blind)
		return HUB_PLACE_FAILED;
	return HUB_PLACE_GONE;
}

static enum hub_place place(struct search *search, const struct handle_view *handle,
			    struct node **ret)
{
	struct hub *hub = search->hub;
	struct node *node = node_tree_find(&hub->tree, handle), *top;
	const struct hub_pending *first;
	enum hub_place found;

	if (!node) {
		first = hub_row_first(&hub->row, handle);
		if (first)
			return place_by_row(search, first, NULL, ret);
		search->missing = *handle;
		return HUB_PLACE_MISSING;
	}

	node_touch(&hub->tree, node);
	top = top_of(hub, node);
	if (!top)
		return HUB_PLACE_FAILED;
	if (top->state != NODE_PLACED) {
		struct handle_view view = node_handle(top);
		struct node *ignored;

		first = hub_row_first(&hub->row, &view);
		if (first) {
			node_hold(&hub->tree, node);
			found = place_by_row(search, first, top, &ignored);
			node_release(&hub->tree, node);
			if (found != HUB_PLACE_FOUND)
				return found;
		} else if (top->state == NODE_GONE) {
			return place_of_gone(search, top);
		} else if (top->state != NODE_UNPLACED && seq_is_before(search->seq, top->failed)) {
			return top->state == NODE_FAILED ? HUB_PLACE_FAILED : HUB_PLACE_OUTSIDE;
		} else {
			search->missing = node_handle(top);
			return HUB_PLACE_MISSING;
		}
	}
	*ret = node;
	return HUB_PLACE_FOUND;
}

static enum hub_place place_in_tree(struct hub *hub, const struct handle_view *handle, uint64_t seq,
				    struct node **ret, struct handle_view *ret_missing)
{
	struct search search = { .hub = hub, .seq = seq };
	enum hub_place found = place(&search, handle, ret);

	if (found == HUB_PLACE_MISSING)
		*ret_missing = search.missing;
	return found;
}

enum hub_place hub_place(struct hub *hub, const struct handle_view *handle, uint64_t seq,
			 struct node **ret, struct handle_view *ret_missing)
{
	struct node *node;

	assert(hub);
	assert(handle);
	assert(ret);
	assert(ret_missing);

	if (hub->options.tree)
		return place_in_tree(hub, handle, seq, ret, ret_missing);

	/* What is not watched does not matter. */
	node = node_tree_find(&hub->tree, handle);
	if (!node)
		return HUB_PLACE_GONE;
	*ret = node;
	return HUB_PLACE_FOUND;
}

enum hub_place hub_place_parent(struct hub *hub, const struct handle_view *handle, uint64_t seq,
				struct node **ret, struct handle_view *ret_missing)
{
	struct node *node;

	assert(hub);
	assert(handle);
	assert(ret);
	assert(ret_missing);

	if (hub->options.tree)
		return place_in_tree(hub, handle, seq, ret, ret_missing);

	node = node_tree_find(&hub->tree, handle);
	if (!node || node->state == NODE_UNPLACED ||
	    (node->state > NODE_GONE && !seq_is_before(seq, node->failed))) {
		*ret_missing = *handle;
		return HUB_PLACE_MISSING;
	}
	*ret = node;
	return HUB_PLACE_FOUND;
}

static void place_failed(struct hub *hub, struct node *node, int error)
{
	if (node->state == NODE_PLACED)
		return;
	node->state = error == -ESTALE ? NODE_GONE : error == -EXDEV ? NODE_OUTSIDE : NODE_FAILED;
	node->failed = (uint32_t)hub->statistics.events;
}

static bool link_is_valid(const struct hub_link *link)
{
	return link->handle.n > 0 && link->handle.n <= HANDLE_MAX && link->n_name <= NAME_BYTES_MAX;
}

static struct node *node_get(struct hub *hub, const struct handle_view *handle, size_t n_name)
{
	struct node *node = node_tree_find(&hub->tree, handle);

	if (!node && node_tree_add(&hub->tree, handle, n_name, &node) < 0)
		return NULL;
	return node;
}

/*
 * One of a chain, below @parent. A node that has its place keeps it: the tree
 * is as of the first event of the row, the answer is younger.
 */
static int link_add(struct hub *hub, const struct hub_link *link, struct node *parent,
		    struct node **ret)
{
	struct node *node = node_get(hub, &link->handle, link->n_name);
	int r;

	if (!node)
		return -ENOMEM;
	if (node->state != NODE_PLACED && !hub_row_first(&hub->row, &link->handle)) {
		r = node_tree_move(&hub->tree, node, parent, parent ? link->name : "",
				   parent ? link->n_name : 0);
		if (r < 0) {
			place_failed(hub, node, r);
			return r;
		}
	}
	*ret = node;
	return 0;
}

static int chain_add(struct hub *hub, const struct hub_answer *answer)
{
	struct node *parent = NULL, *node;
	int r = 0;

	for (size_t i = answer->n_links; i > 0 && r == 0; i--) {
		if (!link_is_valid(&answer->links[i - 1]))
			r = -EBADMSG;
		else
			r = link_add(hub, &answer->links[i - 1], parent, &node);
		if (r == 0)
			node_hold(&hub->tree, node);
		if (parent)
			node_release(&hub->tree, parent);
		parent = r == 0 ? node : NULL;
	}
	if (parent)
		node_release(&hub->tree, parent);
	return r;
}

/* Of a directory without a watch: its parent may have one. */
static int spot_add(struct hub *hub, const struct hub_answer *answer)
{
	struct node *parent = NULL, *node;

	if (answer->n_links > 1 && link_is_valid(&answer->links[0]))
		parent = node_tree_find(&hub->tree, &answer->links[1].handle);
	if (!parent)
		return -EXDEV;

	node = node_get(hub, &answer->links[0].handle, answer->links[0].n_name);
	if (!node)
		return -ENOMEM;
	return node_tree_move(&hub->tree, node, parent, answer->links[0].name,
			      answer->links[0].n_name);
}

void hub_place_chain(struct hub *hub, const struct handle_view *handle,
		     const struct hub_answer *answer)
{
	struct node *node;
	int r = answer->error;

	assert(hub);
	assert(handle);
	assert(answer);

	if (r == 0 && answer->n_links == 0)
		r = -EBADMSG;
	if (r == 0)
		r = hub->options.tree ? chain_add(hub, answer) : spot_add(hub, answer);
	if (r == 0)
		return;

	node = node_get(hub, handle, 0);
	if (node)
		place_failed(hub, node, r);
}

/* It is there from now on. */
static void apply_place(struct hub *hub, const struct handle_view *target,
			const struct file_name *at, uint64_t seq)
{
	struct node *node = node_tree_find(&hub->tree, target);
	struct node *parent = at->dir.n > 0 ? node_tree_find(&hub->tree, &at->dir) : NULL;
	struct node *top = parent ? top_of(hub, parent) : NULL;

	if (!parent) {
		if (node)
			node_tree_unplace(&hub->tree, node);
		return;
	}

	node_hold(&hub->tree, parent);
	if (!node)
		node = node_get(hub, target, at->n_name);
	if (node && (!top || top->state != NODE_PLACED))
		node_tree_unplace_near(&hub->tree, node, parent, seq);
	else if (node && node_tree_move(&hub->tree, node, parent, at->name, at->n_name) < 0)
		node_tree_unplace(&hub->tree, node);
	node_release(&hub->tree, parent);
}

/* What happened in it before it was removed may come later, and has its place. */
static void apply_merged(struct hub *hub, const struct file_event *event)
{
	struct node *node = node_tree_find(&hub->tree, &event->target);
	struct node *parent = node_tree_find(&hub->tree, &event->at.dir);
	struct node *top = parent ? top_of(hub, parent) : NULL;

	if (node)
		node->dead = true;
	else if (!top || top->state != NODE_OUTSIDE)
		hub->tree.dead_evicted = true;
}

static void apply_removal(struct hub *hub, const struct handle_view *target)
{
	struct node *node = node_tree_find(&hub->tree, target);

	if (!node)
		return;
	node->dead = true;
	hub_ignore_removed(hub, node);
	if (node->n_held == 0)
		node_tree_remove(&hub->tree, node);
}

static void apply_rename(struct hub *hub, struct hub_pending *pending, struct node *node)
{
	bool may_hold = hub_ignore_may_move(hub, node);
	bool doubted = pending->doubt && !pending->doubt->by_answer;
	struct node *near = hub_left(hub, &pending->event, doubted);

	if (node)
		node_hold(&hub->tree, node);
	if (!doubted)
		apply_place(hub, &pending->event.target, &pending->event.to, pending->seq);
	else if (node)
		node_tree_unplace_near(&hub->tree, node, near, hub->statistics.events);
	if (node)
		node_release(&hub->tree, node);
	if (may_hold)
		pending->loses = hub_ignore_moved(hub, node);
}

void hub_place_apply(struct hub *hub, struct hub_pending *pending)
{
	const struct file_event *event = &pending->event;
	struct node *node;

	assert(hub);
	assert(pending);

	if (!(event->mask & FAN_ONDIR))
		return;

	node = node_tree_find(&hub->tree, event->at.dir.n > 0 && event->at.n_name == 0
						  ? &event->at.dir
						  : &event->target);
	if (node && event->mask & FAN_ATTRIB)
		hub_verdict_forget(node, pending->seq);
	if (event->target.n == 0)
		return;

	if (!hub->options.tree) {
		if (node && event->mask & (FAN_RENAME | FAN_DELETE)) {
			node_tree_unplace(&hub->tree, node);
			if (node->n_held == 0)
				node_tree_remove(&hub->tree, node);
		}
	} else if (event->mask & FAN_RENAME) {
		apply_rename(hub, pending, node);
	} else if (event->mask & FAN_CREATE) {
		apply_place(hub, &event->target, &event->at, pending->seq);
		if (event->mask & FAN_DELETE)
			apply_merged(hub, event);
	} else if (pending->early) {
		apply_merged(hub, event);
	} else if (event->mask & FAN_DELETE) {
		apply_removal(hub, &event->target);
	}
}
