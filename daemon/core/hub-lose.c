/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <linux/fanotify.h>

#include "daemon/core/hub-internal.h"

#define CONCERNS_MAX 256 /* watches that are looked through for one event */

/*
 * Of a directory whose place is not known it may be known below which one it was at some
 * event (->near), and it is still there unless a directory left that one since. So who
 * moves and removes directories faster than they are asked for causes losses where that is
 * done, and nowhere else.
 */

static bool seq_is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

struct node *hub_step_up(const struct node *node)
{
	assert(node);

	return node->parent || node->state == NODE_PLACED ? node->parent : node->near;
}

/*
 * @ret_wide: below that it may be anywhere; NULL: the way up from it is known.
 * Return: false: it may be anywhere at all.
 */
static bool climb(struct hub *hub, struct node *node, struct node **ret_wide)
{
	bool wide = false;
	uint32_t since = 0;

	*ret_wide = NULL;
	for (size_t depth = 0; depth < HUB_DEPTH_MAX; depth++) {
		hub->n_steps++;
		if (wide && seq_is_before(node->left, since)) {
			*ret_wide = node;
			wide = false;
		}
		if (!hub_step_up(node)) {
			if (wide)
				*ret_wide = node;
			return node->state == NODE_PLACED;
		}
		if (!node->parent) {
			if (!seq_is_before(hub->strayed, node->near_seq))
				return false;
			if (!wide || seq_is_before(node->near_seq, since))
				since = node->near_seq;
			wide = true;
		}
		node = hub_step_up(node);
	}
	return false;
}

/* What @start has in common with others that were looked at is gone through once: they bear @yes or @no. */
static bool may_be_below(struct hub *hub, struct node *start, const struct node *wide, uint64_t yes,
			 uint64_t no)
{
	struct node *node = start;
	bool may;

	while (node != wide && node->search != yes && node->search != no && node->parent) {
		hub->n_steps++;
		node = node->parent;
	}
	may = node == wide || node->search == yes ||
	      (node->search != no && node->state != NODE_PLACED);
	for (; start != node; start = start->parent)
		start->search = may ? yes : no;
	if (node != wide)
		node->search = may ? yes : no;
	return may;
}

/*
 * Those that may hold what is below @wide, or where that is NULL, @dir, whose place is known then.
 * Return: whether there are any; @seq: of a loss that they are told, or 0.
 */
static bool find_watches(struct hub *hub, struct node *dir, const struct node *wide, uint64_t seq)
{
	uint64_t yes = ++hub->search, no = ++hub->search;
	struct hub_watch *watch;
	bool found = false;

	for (const struct node *node = wide ?: dir; node; node = node->parent) {
		hub->n_steps++;
		LIST_FOREACH(watch, &node->watches, same) {
			found = true;
			if (seq > watch->since)
				hub_tell_lost(hub, watch, NULL, 0);
		}
	}
	if (!wide)
		return found;
	LIST_FOREACH(watch, &hub->watches, all) {
		hub->n_steps++;
		if (watch->node == wide || !may_be_below(hub, watch->node, wide, yes, no))
			continue;
		found = true;
		if (seq > watch->since)
			hub_tell_lost(hub, watch, NULL, 0);
	}
	return found;
}

bool hub_concerns_nobody(struct hub *hub, const struct handle_view *dir)
{
	struct node *node, *wide;

	assert(hub);
	assert(dir);

	/* Of many it costs less to ask. */
	if (!hub->options.tree || hub->n_watches > CONCERNS_MAX)
		return false;
	node = node_tree_find(&hub->tree, dir);
	return node && climb(hub, node, &wide) && !find_watches(hub, node, wide, 0);
}

/* Return: whether it is known which watches it may concern. */
static bool lose_in(struct hub *hub, uint64_t seq, const struct handle_view *handle)
{
	struct node *node = node_tree_find(&hub->tree, handle), *wide;

	if (!node || !climb(hub, node, &wide))
		return false;
	find_watches(hub, node, wide, seq);
	return true;
}

void hub_lose_in(struct hub *hub, uint64_t seq, const struct handle_view *dirs, size_t n)
{
	struct hub_watch *watch;
	bool known = hub->options.tree && n > 0;

	assert(hub);
	assert(dirs || n == 0);

	hub->statistics.lost++;
	for (size_t i = 0; i < n && known; i++)
		known = lose_in(hub, seq, &dirs[i]);
	if (known)
		return;
	LIST_FOREACH(watch, &hub->watches, all)
		if (seq > watch->since)
			hub_tell_lost(hub, watch, NULL, 0);
}

static struct node *common(struct hub *hub, struct node *a, struct node *b)
{
	size_t n_a = 0, n_b = 0;

	for (struct node *node = a; node; node = hub_step_up(node))
		if (++n_a > HUB_DEPTH_MAX)
			return NULL;
	for (struct node *node = b; node; node = hub_step_up(node))
		if (++n_b > HUB_DEPTH_MAX)
			return NULL;
	hub->n_steps += n_a + n_b;
	for (; n_a > n_b; n_a--)
		a = hub_step_up(a);
	for (; n_b > n_a; n_b--)
		b = hub_step_up(b);
	for (; a != b; a = hub_step_up(a))
		b = hub_step_up(b);
	return a;
}

struct node *hub_left(struct hub *hub, const struct file_event *event, bool doubted)
{
	struct node *from = event->at.dir.n > 0 ? node_tree_find(&hub->tree, &event->at.dir) : NULL;
	struct node *to = event->to.dir.n > 0 ? node_tree_find(&hub->tree, &event->to.dir) : NULL;
	struct node *both = from && to ? common(hub, from, to) : NULL, *wide;
	uint32_t seq = (uint32_t)hub->statistics.events;

	/* It may have left again later, in the same record. */
	if (doubted)
		seq += HUB_WINDOW_MAX;
	if (!from || (!both && !climb(hub, from, &wide))) {
		hub->strayed = seq;
		return NULL;
	}
	for (struct node *node = from; node && node != both; node = hub_step_up(node)) {
		hub->n_steps++;
		node->left = seq;
	}
	return both;
}
