/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <string.h>

#include "daemon/core/hub-internal.h"

void hub_ignore_init(struct hub_ignore *ignore, const struct hub_options *options)
{
	size_t n_nodes = options->n_nodes_max ?: HUB_NODES_MAX;

	assert(ignore);
	assert(options);

	ignore->heat = options->n_ignore_heat ?: HUB_IGNORE_HEAT;
	/* What is held is not forgotten: that leaves room for others. */
	ignore->n_max = n_nodes / 16;
	if (ignore->n_max > HUB_IGNORED_MAX)
		ignore->n_max = HUB_IGNORED_MAX;
}

bool hub_is_outside(struct hub *hub, const struct node *node)
{
	for (; LIST_EMPTY(&node->watches); node = node->parent) {
		hub->n_steps++;
		if (!node->parent)
			return node->state == NODE_PLACED;
	}
	return false;
}

static size_t entry_find(const struct hub_ignore *ignore, const struct node *node)
{
	size_t i = 0;

	while (ignore->nodes[i] != node)
		i++;
	return i;
}

static void entry_take_out(struct hub_ignore *ignore, size_t i)
{
	memmove(&ignore->nodes[i], &ignore->nodes[i + 1],
		(ignore->n - i - 1) * sizeof(ignore->nodes[0]));
	ignore->n--;
	if (i < ignore->n_done)
		ignore->n_done--;
}

static void entry_remove(struct hub *hub, size_t i)
{
	struct node *node = hub->ignore.nodes[i];

	entry_take_out(&hub->ignore, i);
	node->ignored = false;
	node->heat = 0;
	node_release(&hub->tree, node);
}

/* Its inode was out of the kernel's memory, and the mark went with it. */
static void entry_again(struct hub_ignore *ignore, struct node *node)
{
	size_t i = entry_find(ignore, node);

	if (i >= ignore->n_done)
		return;
	entry_take_out(ignore, i);
	ignore->nodes[ignore->n++] = node;
}

static void node_is_hot(struct hub *hub, struct node *node)
{
	struct hub_ignore *ignore = &hub->ignore;

	if (ignore->refused || ignore->past || !hub->ops->heed || node->dead)
		return;
	if (node->ignored) {
		entry_again(ignore, node);
		return;
	}
	/* Those that are still hot come back within a second. */
	if (ignore->n == ignore->n_max) {
		hub_heed(hub);
		return;
	}
	node_hold(&hub->tree, node);
	node->ignored = true;
	ignore->nodes[ignore->n++] = node;
}

bool hub_ignore_drop(struct hub *hub, const struct file_event *event, uint64_t realtime_us)
{
	uint32_t second = (uint32_t)(realtime_us / hub->options.second_us);
	struct node *node;

	assert(hub);
	assert(event);

	/* Where a directory is going, what is in it may be inside. */
	if (!hub->options.tree || event->mask & (FAN_ONDIR | FAN_RENAME) || event->at.dir.n == 0 ||
	    event->at.n_name == 0 || hub->row.n_moves > 0)
		return false;
	node = node_tree_find(&hub->tree, &event->at.dir);
	if (!node || !hub_is_outside(hub, node))
		return false;

	node_touch(&hub->tree, node);
	hub->statistics.outside++;
	if (node->second != second) {
		node->second = second;
		node->heat = 0;
	}
	if (node->heat < UINT16_MAX && ++node->heat == hub->ignore.heat)
		node_is_hot(hub, node);
	return true;
}

bool hub_ignore_is_left(struct hub *hub, const struct file_event *event)
{
	const struct node *node;

	assert(hub);
	assert(event);

	if (hub->ignore.n == 0 || !(event->mask & FAN_RENAME) || event->at.dir.n == 0)
		return false;
	node = node_tree_find(&hub->tree, &event->at.dir);
	return node && node->ignored;
}

bool hub_ignorable(struct hub *hub, struct handle_view *ret)
{
	struct hub_ignore *ignore;

	assert(hub);
	assert(ret);

	ignore = &hub->ignore;
	if (ignore->under_way || ignore->refused || ignore->past || ignore->n_done == ignore->n ||
	    hub->hush.state == HUB_HUSHING || hub->hush.state == HUB_UNHUSHING ||
	    (hub->hush.state == HUB_HUSHED && hub->hush.doubtful))
		return false;
	ignore->under_way = true;
	*ret = node_handle(ignore->nodes[ignore->n_done]);
	return true;
}

static void heed(struct hub *hub)
{
	if (hub->ignore.any)
		hub->ops->heed(hub->userdata);
	hub->ignore.any = false;
}

static void entries_clear(struct hub *hub)
{
	while (hub->ignore.n > 0)
		entry_remove(hub, hub->ignore.n - 1);
	hub->ignore.past = false;
}

void hub_heed(struct hub *hub)
{
	struct hub_ignore *ignore;

	assert(hub);

	ignore = &hub->ignore;
	heed(hub);
	/* What brought one of them inside may wait to be read, and what happened in there since was ignored. */
	ignore->past = ignore->n > 0;
	ignore->read = false;
}

void hub_heed_lost(struct hub *hub)
{
	assert(hub);

	heed(hub);
	entries_clear(hub);
	/* It may be ignored only after this. */
	hub->ignore.is_void = hub->ignore.under_way;
}

void hub_ignore_emptied(struct hub *hub)
{
	struct hub_ignore *ignore;

	assert(hub);

	ignore = &hub->ignore;
	if (!ignore->past || ignore->under_way)
		return;
	ignore->read = true;
	ignore->until = hub->statistics.events;
	hub_ignore_settle(hub);
}

void hub_ignore_settle(struct hub *hub)
{
	const struct hub_pending *first = STAILQ_FIRST(&hub->row.events);

	if (hub->ignore.past && hub->ignore.read && (!first || first->seq > hub->ignore.until))
		entries_clear(hub);
}

static void lose_everywhere(struct hub *hub)
{
	struct hub_watch *watch;

	hub->statistics.lost++;
	LIST_FOREACH(watch, &hub->watches, all)
		hub_tell_lost(hub, watch, NULL, 0);
}

/* @node, if that is below @top or it; @top, if it may be somewhere below that; NULL: it is not. */
static struct node *place_below(struct hub *hub, struct node *node, struct node *top)
{
	struct node *place = node;

	for (size_t depth = 0; node && depth < HUB_DEPTH_MAX; depth++) {
		hub->n_steps++;
		if (node == top)
			return place;
		if (!node->parent)
			place = top;
		node = hub_step_up(node);
	}
	return NULL;
}

/* What happened below a directory until it was heeded: in these. */
struct ignored_loss {
	struct node *top;
	struct node *dirs[HUB_IGNORED_MAX];
	size_t n;
	uint64_t seq;
};

/* Return: false: where it is is not known, or no longer. */
static bool loss_find(struct hub *hub, const struct hub_pending *pending, struct ignored_loss *ret)
{
	const struct node *root;
	struct node *dir;

	ret->seq = pending->seq;
	ret->n = 0;
	ret->top = node_tree_find(&hub->tree, &pending->event.target);
	if (!ret->top)
		return false;
	for (root = ret->top; root->parent; root = root->parent)
		hub->n_steps++;
	if (root->state != NODE_PLACED)
		return false;
	for (size_t i = 0; i < hub->ignore.n; i++) {
		dir = place_below(hub, hub->ignore.nodes[i], ret->top);
		if (dir)
			ret->dirs[ret->n++] = dir;
	}
	if (ret->n == 0)
		ret->dirs[ret->n++] = ret->top;
	return true;
}

/* Who may list none of them is not told that anything happened there. */
static enum hub_verdict loss_verdict(struct hub *hub, const struct ignored_loss *loss,
				     const struct hub_watch *watch, bool ask)
{
	enum hub_verdict verdict = HUB_VERDICT_DENIED, one;

	for (size_t i = 0; i < loss->n; i++) {
		one = hub_verdict(hub, watch, loss->dirs[i], loss->seq, ask);
		if (one == HUB_VERDICT_ALLOWED)
			return one;
		if (one == HUB_VERDICT_MISSING || verdict == HUB_VERDICT_DENIED)
			verdict = one;
	}
	return verdict;
}

static bool loss_is_ready(struct hub *hub, const struct ignored_loss *loss, bool ask)
{
	struct hub_watch *watch;
	bool ready = true;

	for (struct node *node = loss->top; node; node = node->parent)
		LIST_FOREACH(watch, &node->watches, same)
			if (loss_verdict(hub, loss, watch, ask) == HUB_VERDICT_MISSING)
				ready = false;
	return ready;
}

static void loss_tell(struct hub *hub, const struct ignored_loss *loss)
{
	struct hub_watch *watch;

	hub->statistics.lost++;
	for (struct node *node = loss->top; node; node = node->parent)
		LIST_FOREACH(watch, &node->watches, same)
			if (loss_verdict(hub, loss, watch, false) != HUB_VERDICT_DENIED)
				hub_tell_lost_near(watch, loss->top, loss->seq);
}

void hub_ignore_lose_now(struct hub *hub, const struct hub_pending *pending)
{
	struct ignored_loss loss;

	assert(hub);
	assert(pending && pending->loses);

	/* Who came after that event may miss something as well: it was heeded only after it. */
	if (loss_find(hub, pending, &loss))
		loss_tell(hub, &loss);
	else
		hub_lose_in(hub, UINT64_MAX, &pending->event.target, 1);
}

bool hub_ignore_lose(struct hub *hub, const struct hub_pending *pending)
{
	struct ignored_loss loss;

	assert(hub);
	assert(pending && pending->loses);

	if (loss_find(hub, pending, &loss) && !loss_is_ready(hub, &loss, false))
		return false;
	hub_ignore_lose_now(hub, pending);
	return true;
}

void hub_ignore_lose_ask(struct hub *hub, const struct hub_pending *pending)
{
	struct ignored_loss loss;

	assert(hub);
	assert(pending && pending->loses);

	if (loss_find(hub, pending, &loss))
		loss_is_ready(hub, &loss, true);
}

/* What happened in it until now; behind all that waits. */
static void node_lose(struct hub *hub, const struct node *node)
{
	struct hub_pending pending = {
		.event = { .target = node_handle(node) },
		.seq = hub->statistics.events,
		.loses = true,
	};

	if (hub_row_push(hub, &pending) < 0)
		hub_lose(hub);
	else if (!hub->blocked)
		hub_row_drain(hub, false);
}

static void ignored_too_late(struct hub *hub, bool maybe)
{
	struct hub_ignore *ignore = &hub->ignore;
	bool is_void = ignore->is_void;

	ignore->is_void = false;
	if (!maybe)
		return;
	ignore->any = true;
	heed(hub);
	ignore->read = false;
	if (is_void)
		lose_everywhere(hub);
	else if (!hub_is_outside(hub, ignore->nodes[ignore->n_done]))
		node_lose(hub, ignore->nodes[ignore->n_done]);
}

void hub_ignored(struct hub *hub, enum hub_ignored outcome)
{
	struct hub_ignore *ignore;

	assert(hub);
	assert(hub->ignore.under_way);

	ignore = &hub->ignore;
	ignore->under_way = false;
	if (outcome == HUB_IGNORED_NEVER)
		ignore->refused = true;
	if (ignore->past || ignore->is_void) {
		ignored_too_late(hub, outcome == HUB_IGNORED || outcome == HUB_IGNORED_PERHAPS);
		return;
	}

	switch (outcome) {
	case HUB_IGNORED:
		ignore->any = true;
		ignore->n_done++;
		hub->statistics.ignored++;
		break;
	case HUB_IGNORED_PERHAPS:
		ignore->any = true;
		hub_heed(hub);
		break;
	case HUB_IGNORED_NOT:
	case HUB_IGNORED_NEVER:
		entry_remove(hub, ignore->n_done);
		break;
	}
}

void hub_ignore_removed(struct hub *hub, struct node *node)
{
	struct hub_ignore *ignore;
	size_t i;

	assert(hub);
	assert(node);

	if (!node->ignored)
		return;
	ignore = &hub->ignore;
	i = entry_find(ignore, node);
	if (i == ignore->n_done && ignore->under_way)
		return;
	entry_remove(hub, i);
}

/*
 * Where the place of one is not known, below what it was counts: that may have been moved since.
 * What another one has in common with those before is gone through once.
 */
static bool holds_ignored(struct hub *hub, const struct node *node)
{
	const struct hub_ignore *ignore = &hub->ignore;
	uint64_t search = ++hub->search;

	for (size_t i = 0; i < ignore->n; i++)
		for (struct node *above = ignore->nodes[i]; above && above->search != search;
		     above = hub_step_up(above)) {
			if (above == node)
				return true;
			above->search = search;
			hub->n_steps++;
		}
	return false;
}

bool hub_ignore_may_move(struct hub *hub, const struct node *node)
{
	assert(hub);

	return node && hub->ignore.n > 0 && (hub->ignore.past || hub_is_outside(hub, node));
}

bool hub_ignore_moved(struct hub *hub, struct node *node)
{
	assert(hub);
	assert(node);

	if (node->n_held == 0 || hub_is_outside(hub, node) || !holds_ignored(hub, node))
		return false;

	hub_heed(hub);
	return true;
}
