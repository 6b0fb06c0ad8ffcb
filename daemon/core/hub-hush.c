/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <linux/fanotify.h>

#include "daemon/core/hub-internal.h"
#include "include/fsevents_stream.h"

void hub_hush_init(struct hub_hush *hush, const struct hub_options *options)
{
	assert(hush);
	assert(options);

	hush->heat_min = options->n_ignore_heat ?: HUB_IGNORE_HEAT;
}

/* Where one is of which nothing is known yet, the next event of it says. */
static bool is_inside(struct hub *hub, const struct file_name *name)
{
	const struct node *node;

	if (name->dir.n == 0)
		return false;
	node = node_tree_find(&hub->tree, &name->dir);
	return node && !hub_is_outside(hub, node);
}

void hub_hush_hear(struct hub *hub, const struct file_event *event, uint64_t realtime_us)
{
	struct hub_hush *hush;
	uint64_t second;

	assert(hub);
	assert(event);

	hush = &hub->hush;
	second = realtime_us / hub->options.second_us;
	if (!hub->options.tree || event->mask & FAN_ONDIR)
		return;
	hush->now_us = realtime_us;
	if (hush->second != second) {
		hush->second = second;
		hush->heat = 0;
	}
	if (event->at.dir.n == 0)
		hush->heat++;
	else if (is_inside(hub, &event->at) || is_inside(hub, &event->to))
		hush->inside_us = realtime_us;
}

/* From here on nothing waits in the kernel, and nobody inside does anything that would be asked for. */
static bool is_worth(const struct hub *hub)
{
	const struct hub_hush *hush = &hub->hush;

	return hush->heat >= hush->heat_min &&
	       hush->now_us >= hush->inside_us + hub->options.second_us &&
	       hub->window.n_traces == 0 && STAILQ_EMPTY(&hub->row.events);
}

bool hub_hushable(struct hub *hub, bool *ret)
{
	struct hub_hush *hush;
	bool allowed;

	assert(hub);
	assert(ret);

	hush = &hub->hush;
	allowed = hub->n_watches > 0 && !(hub->mask & FSEVENTS_ATTRIB);
	/* Whether it is so decides what is ignored. */
	if (hush->refused || hub->ignore.under_way)
		return false;
	switch (hush->state) {
	case HUB_LOUD:
		if (!allowed || !is_worth(hub))
			return false;
		hush->state = HUB_HUSHING;
		hush->since_us = hush->now_us;
		hub->window.hushed = true;
		*ret = true;
		return true;
	case HUB_HUSHED:
		if (allowed && !hush->doubtful && hush->inside_us <= hush->since_us)
			return false;
		/* What they ignore would be told by nothing any more. */
		hub_heed(hub);
		hush->state = HUB_UNHUSHING;
		*ret = false;
		return true;
	case HUB_HUSHING:
	case HUB_UNHUSHING:
	case HUB_UNHUSHED:
		break;
	}
	return false;
}

void hub_hushed(struct hub *hub, enum hub_ignored outcome)
{
	struct hub_hush *hush;
	bool done = outcome == HUB_IGNORED || outcome == HUB_IGNORED_PERHAPS;

	assert(hub);
	assert(hub->hush.state == HUB_HUSHING || hub->hush.state == HUB_UNHUSHING);

	hush = &hub->hush;
	if (hush->state == HUB_HUSHING && done) {
		hush->state = HUB_HUSHED;
		hub->statistics.hushed++;
		/* Those that are ignored are so for all that it allows, as soon as they come back. */
		hub_heed(hub);
	} else if (hush->state == HUB_HUSHING) {
		hush->state = HUB_UNHUSHED;
		hush->refused = outcome == HUB_IGNORED_NEVER;
		/* Again in a second at the earliest. */
		hush->inside_us = hush->now_us;
	} else {
		hush->state = outcome == HUB_IGNORED ? HUB_UNHUSHED : HUB_HUSHED;
	}
	hush->doubtful = outcome == HUB_IGNORED_PERHAPS;
	hush->until = hub->statistics.events + HUB_WINDOW_MAX;
}

bool hub_unhush(struct hub *hub)
{
	struct hub_hush *hush;

	assert(hub);

	hush = &hub->hush;
	/* As if something had happened inside. */
	hush->inside_us = hush->now_us + 1;
	return hush->state == HUB_LOUD || hush->state == HUB_UNHUSHED;
}

bool hub_is_hushed(const struct hub *hub)
{
	assert(hub);

	return hub->hush.state == HUB_HUSHED;
}

void hub_hush_settle(struct hub *hub, bool empty)
{
	assert(hub);

	if (hub->hush.state != HUB_UNHUSHED ||
	    (!empty && hub->statistics.events <= hub->hush.until))
		return;
	hub->hush.state = HUB_LOUD;
	hub->window.hushed = false;
}
