/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/hub-internal.h"

#define SLOTS_MIN 64
#define SLOTS_KEPT 1024 /* a table that was larger is given back */

void hub_ahead_clear(struct hub_ahead *ahead)
{
	assert(ahead);

	if (ahead->n_slots > SLOTS_KEPT) {
		free(ahead->slots);
		ahead->slots = NULL;
		ahead->n_slots = 0;
	} else if (ahead->n > 0) {
		memset(ahead->slots, 0, ahead->n_slots * sizeof(*ahead->slots));
	}
	ahead->n = 0;
	ahead->all = ahead->last = 0;
}

void hub_ahead_deinit(struct hub_ahead *ahead)
{
	assert(ahead);

	free(ahead->slots);
	*ahead = (struct hub_ahead){};
}

/* Never 0. Two names of the same hash count as one: that can only raise a doubt. */
static uint64_t hash_of(const struct handle_view *dir, const char *name, size_t n_name)
{
	return hash_number(hash_bytes(handle_hash(dir), name, n_name)) | 1;
}

static struct hub_ahead_name *slot_of(const struct hub_ahead *ahead, uint64_t hash)
{
	size_t i = (size_t)(hash >> 20) & (ahead->n_slots - 1);

	while (ahead->slots[i].hash && ahead->slots[i].hash != hash)
		i = (i + 1) & (ahead->n_slots - 1);
	return &ahead->slots[i];
}

/* Without those that nothing which waits is behind any more. */
static int table_make(struct hub_ahead *ahead, size_t n_slots, uint64_t first)
{
	struct hub_ahead old = *ahead;

	ahead->slots = calloc(n_slots, sizeof(*ahead->slots));
	if (!ahead->slots) {
		ahead->slots = old.slots;
		return -ENOMEM;
	}
	ahead->n_slots = n_slots;
	ahead->n = 0;
	for (size_t i = 0; i < old.n_slots; i++) {
		if (!old.slots[i].hash || old.slots[i].until < first)
			continue;
		*slot_of(ahead, old.slots[i].hash) = old.slots[i];
		ahead->n++;
	}
	free(old.slots);
	return 0;
}

static bool room_make(struct hub_ahead *ahead, size_t n_max, uint64_t first)
{
	size_t n_slots = ahead->n_slots ? 2 * ahead->n_slots : SLOTS_MIN;

	if (ahead->n < ahead->n_slots / 2)
		return true;
	if (table_make(ahead, n_slots < n_max ? n_slots : n_max, first) < 0)
		return false;
	/* Nearly full, it would be made anew for each of them. */
	return ahead->n < ahead->n_slots / 8 * 3;
}

void hub_ahead_add(struct hub *hub, const struct hub_doubt_name *name)
{
	const struct hub_pending *first = STAILQ_FIRST(&hub->row.events);
	struct hub_ahead *ahead = &hub->ahead;
	struct hub_ahead_name *slot;

	assert(hub);
	assert(name);

	/* Nothing was read behind it before that. */
	if (!first || !STAILQ_NEXT(first, link))
		return;
	if (ahead->last < name->until)
		ahead->last = name->until;
	if (!room_make(ahead, hub->options.n_ahead_max, first->seq)) {
		uint64_t last = ahead->last;

		hub_ahead_clear(ahead);
		ahead->all = ahead->last = last;
		return;
	}
	slot = slot_of(ahead, hash_of(&name->dir, name->name, name->n_name));
	if (!slot->hash)
		ahead->n++;
	slot->hash = hash_of(&name->dir, name->name, name->n_name);
	if (slot->until < name->until)
		slot->until = name->until;
}

static bool is_told(const struct hub_ahead *ahead, const struct file_name *name, uint64_t seq)
{
	const struct hub_ahead_name *slot;

	if (name->dir.n == 0 || name->n_name == 0)
		return false;
	if (seq <= ahead->all)
		return true;
	if (ahead->n == 0)
		return false;
	slot = slot_of(ahead, hash_of(&name->dir, name->name, name->n_name));
	return slot->hash && seq <= slot->until;
}

struct hub_doubt *hub_ahead_doubt(const struct file_event *event)
{
	const struct file_name *names[] = { &event->at, &event->to };
	struct hub_doubt *doubt;

	assert(event);

	doubt = calloc(1, sizeof(*doubt) + 2 * sizeof(doubt->names[0]));
	if (!doubt)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		if (names[i]->dir.n == 0 || names[i]->n_name == 0)
			continue;
		doubt->names[doubt->n++] = (struct hub_doubt_name){
			.dir = names[i]->dir,
			.name = names[i]->name,
			.n_name = names[i]->n_name,
			.error = HUB_NOT_ASKED,
		};
	}
	doubt->n_own = doubt->n;
	doubt->by_answer = true;
	return doubt;
}

int hub_ahead_check(struct hub *hub, struct hub_pending *pending)
{
	const struct file_event *event = &pending->event;
	struct hub_pending *second = NULL;

	assert(hub);
	assert(pending);

	if (pending->back && !pending->doubt) {
		pending->doubt = hub_ahead_doubt(event);
		return pending->doubt ? 0 : -ENOMEM;
	}
	if (pending->doubt || pending->seq > hub->ahead.last ||
	    !(event->mask & (FAN_CREATE | FAN_DELETE | FAN_RENAME)))
		return 0;
	/* Of an exchange both are told in the same way. */
	if (pending->is_second || (!is_told(&hub->ahead, &event->at, pending->seq) &&
				   !is_told(&hub->ahead, &event->to, pending->seq)))
		return 0;

	if (pending->cookie)
		second = STAILQ_NEXT(pending, link);
	pending->doubt = hub_ahead_doubt(event);
	if (second)
		second->doubt = hub_ahead_doubt(&second->event);
	if (pending->doubt && (!second || second->doubt))
		return 0;
	if (second) {
		free(second->doubt);
		second->doubt = NULL;
		second->cookie = 0;
		second->is_second = false;
	}
	free(pending->doubt);
	pending->doubt = NULL;
	return -ENOMEM;
}
