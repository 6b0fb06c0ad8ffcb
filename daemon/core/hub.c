/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/hub-internal.h"
#include "include/fsevents_stream.h"

int hub_new(struct hub **ret, const struct hub_options *options, const struct hub_ops *ops,
	    void *userdata)
{
	struct hub *hub;
	size_t n_nodes;

	assert(ret);
	assert(options);
	assert(ops && ops->changed && ops->lost && ops->owner);

	hub = calloc(1, sizeof(*hub));
	if (!hub)
		return -ENOMEM;

	hub->options = *options;
	hub->ops = ops;
	hub->userdata = userdata;
	if (hub->options.n_slice == 0)
		hub->options.n_slice = HUB_SLICE;
	if (hub->options.n_pending_max == 0)
		hub->options.n_pending_max = HUB_PENDING_MAX;
	if (hub->options.second_us == 0)
		hub->options.second_us = 1000000;
	if (hub->options.n_ahead_max == 0)
		hub->options.n_ahead_max = HUB_AHEAD_MAX;
	n_nodes = options->n_nodes_max ?: HUB_NODES_MAX;
	node_tree_init(&hub->tree, n_nodes > HUB_NODES_MIN ? n_nodes : HUB_NODES_MIN,
		       options->budget);
	hub_row_init(&hub->row);
	hub_ignore_init(&hub->ignore, options);
	hub_hush_init(&hub->hush, options);
	LIST_INIT(&hub->watches);
	LIST_INIT(&hub->users);
	*ret = hub;
	return 0;
}

struct hub *hub_free(struct hub *hub)
{
	if (!hub)
		return NULL;

	assert(hub->n_watches == 0);
	hub_row_clear(&hub->row);
	if (hub->round)
		hub_round_clear(hub->round);
	free(hub->round);
	hub_window_deinit(&hub->window);
	hub_ahead_deinit(&hub->ahead);
	node_tree_deinit(&hub->tree);
	free(hub);
	return NULL;
}

static int user_get(struct hub *hub, struct credential *credential, struct hub_user **ret)
{
	struct hub_user *user;

	LIST_FOREACH(user, &hub->users, all)
		if (user->credential == credential) {
			user->n_watches++;
			*ret = user;
			return 0;
		}

	user = calloc(1, sizeof(*user));
	if (!user)
		return -ENOMEM;
	user->credential = credential_ref(credential);
	user->serial = ++hub->last_serial;
	user->n_watches = 1;
	LIST_INSERT_HEAD(&hub->users, user, all);
	*ret = user;
	return 0;
}

static void user_put(struct hub_user *user)
{
	if (!user || --user->n_watches > 0)
		return;
	LIST_REMOVE(user, all);
	credential_unref(user->credential);
	free(user);
}

/* Those of a whole filesystem may go at once: counted, not looked through. */
static void mask_change(struct hub *hub, struct hub_watch *watch, uint32_t mask)
{
	for (unsigned int i = 0; i < 32; i++) {
		uint32_t bit = 1U << i;

		if (mask & ~watch->mask & bit && hub->n_wanting[i]++ == 0)
			hub->mask |= bit;
		if (watch->mask & ~mask & bit && --hub->n_wanting[i] == 0)
			hub->mask &= ~bit;
	}
	watch->mask = mask;
}

static int root_get(struct hub *hub, const struct handle_view *root, struct node **ret)
{
	struct node *node = node_tree_find(&hub->tree, root);
	int r;

	if (!node) {
		r = node_tree_add(&hub->tree, root, 0, &node);
		if (r < 0)
			return r;
	} else if (node->state != NODE_PLACED) {
		node->state = NODE_UNPLACED;
	}
	*ret = node;
	return 0;
}

static int prefix_set(struct hub_watch *watch, const char *prefix)
{
	if (!prefix || !*prefix)
		return 0;
	watch->prefix = strdup(prefix);
	watch->n_prefix = strlen(prefix);
	return watch->prefix ? 0 : -ENOMEM;
}

int hub_watch_new(struct hub_watch **ret, struct hub *hub, const struct hub_watch_options *options)
{
	struct hub_watch *watch;
	int r;

	assert(ret);
	assert(hub);
	assert(options && options->credential);
	assert(options->root.n > 0 && options->root.n <= HANDLE_MAX);

	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->hub = hub;
	watch->userdata = options->userdata;
	watch->since = hub->statistics.events;

	r = prefix_set(watch, options->prefix);
	if (r == 0 && !credential_is_root(options->credential))
		r = user_get(hub, options->credential, &watch->user);
	if (r == 0)
		r = root_get(hub, &options->root, &watch->node);
	if (r < 0) {
		user_put(watch->user);
		free(watch->prefix);
		free(watch);
		return r;
	}

	hub_heed(hub);
	hub->roots_unknown |= hub->options.tree && watch->node->state == NODE_UNPLACED;
	if (LIST_EMPTY(&watch->node->watches))
		node_watched(&hub->tree, watch->node);
	LIST_INSERT_HEAD(&watch->node->watches, watch, same);
	LIST_INSERT_HEAD(&hub->watches, watch, all);
	hub->n_watches++;
	mask_change(hub, watch, options->mask & WATCH_MASK_ALL);
	*ret = watch;
	return 0;
}

/* Nobody is to be told anything: what is known is not kept up to date any more. */
static void forget_all(struct hub *hub)
{
	hub_heed_lost(hub);
	hub_row_clear(&hub->row);
	hub_window_clear(&hub->window);
	hub_ahead_clear(&hub->ahead);
	node_tree_forget(&hub->tree);
	hub->blocked = hub->behind = false;
	hub->roots_unknown = hub->options.tree && hub->n_watches > 0;
	if (hub->round && hub->round->under_way)
		hub->round->is_void = true;
}

struct hub_watch *hub_watch_free(struct hub_watch *watch)
{
	struct hub *hub;

	if (!watch)
		return NULL;

	hub = watch->hub;
	LIST_REMOVE(watch, same);
	LIST_REMOVE(watch, all);
	if (LIST_EMPTY(&watch->node->watches))
		node_unwatched(&hub->tree, watch->node);
	hub->n_watches--;
	mask_change(hub, watch, 0);
	user_put(watch->user);
	free(watch->prefix);
	free(watch);
	if (hub->n_watches == 0)
		forget_all(hub);
	return NULL;
}

void hub_watch_set_mask(struct hub_watch *watch, uint32_t mask)
{
	assert(watch);

	mask_change(watch->hub, watch, mask & WATCH_MASK_ALL);
}

uint32_t hub_mask(const struct hub *hub)
{
	assert(hub);

	return hub->mask;
}

size_t hub_n_watches(const struct hub *hub)
{
	assert(hub);

	return hub->n_watches;
}

bool hub_is_spent(const struct hub *hub)
{
	return hub->n_steps >= hub->options.n_slice;
}

bool hub_is_behind(const struct hub *hub)
{
	assert(hub);

	return hub->behind;
}

void hub_tell_lost(struct hub *hub, struct hub_watch *watch, const char *under, size_t n_under)
{
	/* How many they were would tell of names that it may not know. */
	hub->n_steps += HUB_STEPS_TELL;
	hub->ops->lost(0, under, n_under, watch->userdata);
}

void hub_lose(struct hub *hub)
{
	struct hub_watch *watch;

	assert(hub);

	hub->statistics.lost += hub->row.n;
	forget_all(hub);
	LIST_FOREACH(watch, &hub->watches, all)
		hub_tell_lost(hub, watch, NULL, 0);
}

void hub_overflow(struct hub *hub)
{
	assert(hub);

	hub->statistics.lost++;
	hub_lose(hub);
}

void hub_emptied(struct hub *hub)
{
	assert(hub);

	hub_window_emptied(&hub->window);
	/* Whatever happened there was fed. */
	if (hub->tree.dead_evicted)
		hub->blind = hub->statistics.events;
	hub->tree.dead_evicted = false;
	hub_ignore_emptied(hub);
	hub_hush_settle(hub, true);
}

static int pending_push(struct hub *hub, struct hub_pending *pending)
{
	int r = hub_row_push(hub, pending);

	if (r == 0)
		return 0;
	free(pending->doubt);
	hub->statistics.lost++;
	hub_lose(hub);
	return r;
}

/* Return: 0, HUB_WINDOW_KNOWN or a negative errno */
static int note(struct hub *hub, struct hub_pending *pending)
{
	const struct file_event *event = &pending->event;

	if (event->mask == FAN_ONDIR)
		return HUB_WINDOW_KNOWN;
	if (!(event->mask & FAN_ONDIR) && !(hub->mask & HUB_NAMES))
		return 0;
	return hub_window_note(&hub->window, event, hub_ignore_is_left(hub, event),
			       &pending->doubt);
}

void hub_feed(struct hub *hub, const struct file_event *event, uint64_t realtime_us)
{
	struct hub_pending pending;
	int r;

	assert(hub);
	assert(event);

	hub->statistics.events++;
	if (hub->n_watches == 0)
		return;
	if (event->overflow) {
		hub_overflow(hub);
		return;
	}

	pending = (struct hub_pending){ .event = *event,
					.seq = hub->statistics.events,
					.realtime_us = realtime_us };
	if (event->mask & FAN_DELETE_SELF && event->target.n > 0)
		hub_row_died(&hub->row, &event->target);
	/* Renames of directories are told whole in any case. */
	if (event->mask & FAN_ONDIR) {
		pending.early = event->mask & HUB_HALVES && event->mask & FAN_DELETE;
		pending.event.mask &= ~HUB_HALVES;
	}
	hub_hush_settle(hub, false);
	hub_hush_hear(hub, event, realtime_us);
	r = note(hub, &pending);
	if (r < 0)
		hub_overflow(hub);
	if (r != 0)
		return;
	/* A doubt of other names may be one of names inside. */
	if ((!pending.doubt || pending.doubt->n == pending.doubt->n_own) &&
	    hub_ignore_drop(hub, event, realtime_us)) {
		free(pending.doubt);
		return;
	}

	/* A rename waits for the next one: both may be an exchange. */
	if (STAILQ_EMPTY(&hub->row.events) && !(event->mask & FAN_RENAME) && !pending.doubt &&
	    !hub_is_spent(hub)) {
		if (!hub_event_run(hub, &pending) && pending_push(hub, &pending) == 0)
			hub->blocked = true;
		return;
	}
	if (pending_push(hub, &pending) == 0 && !hub->blocked)
		hub_row_drain(hub, false);
}

void hub_statistics(const struct hub *hub, struct hub_statistics *ret)
{
	assert(hub);
	assert(ret);

	*ret = hub->statistics;
	ret->n_nodes = hub->tree.n_nodes;
	ret->n_pending = hub->row.n;
	ret->n_ignored = hub->ignore.n_done;
	ret->evicted = hub->tree.evicted;
}
