/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/watches-internal.h"
#include "include/fsevents_stream.h"

int watched_check_mask(const struct watched *watched, uint32_t mask, struct bus_refusal *refusal)
{
	if (mask & ~WATCH_MASK_ALL)
		return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS, "No such event");
	if (watched->recursive && !credential_is_root(watched->credential) &&
	    mask & (FSEVENTS_ACCESS | FSEVENTS_OPEN))
		return bus_refusal_set(refusal, SD_BUS_ERROR_ACCESS_DENIED,
				       "Only root can watch access and open with all below a "
				       "directory: everybody on that filesystem would pay for it");
	return 0;
}

static int watched_fill(struct watched *watched, const struct bus_watch_request *request, uid_t uid)
{
	struct watches *watches = watched->watches;
	const char *path = request->path ? request->path : request->shown;
	int r;

	watched->mask = request->mask;
	watched->recursive = request->recursive;
	watched->cross_mounts = request->cross_mounts && request->recursive;
	watched->held = request->hold;
	watched->latency_us = request->latency_us < BUS_WATCH_LATENCY_MIN_US
				      ? BUS_WATCH_LATENCY_MIN_US
				      : request->latency_us;
	watched->state = request->handle ? WATCHED_PLACING : WATCHED_FINDING;
	watched->uid = uid;
	watched->by_inode = !request->path && !request->handle;
	watched->inode = request->inode;
	watched->subvolume = request->subvolume;
	watched->major = request->major;
	watched->minor = request->minor;
	watched->mnt_id = request->mnt_id;
	if (request->handle) {
		const struct handle_view view = handle_view(request->handle);

		watched->handle = *request->handle;
		watched->inode = handle_inode(&view);
	}

	watched->path = strdup(path ? path : "");
	if (!watched->path)
		return -ENOMEM;
	/* Who may watch by number has leave to hear of whatever is there; of root's groups nothing depends. */
	if (watched->by_inode || uid == 0)
		r = credential_get(watches->credentials, 0, NULL, 0, &watched->credential);
	else
		r = credential_get(watches->credentials, uid, request->groups, request->n_groups,
				   &watched->credential);
	return r < 0 ? r : watch_queue_new(&watched->queue, watches->quota, uid);
}

static int on_due(sd_event_source *source, uint64_t us, void *userdata)
{
	watched_flush(userdata);
	return 0;
}

static int watched_build(struct watched *watched, const struct bus_watch_request *request,
			 uid_t uid, struct bus_refusal *refusal)
{
	struct watches *watches = watched->watches;
	int r;

	/* Sections are bounded by themselves, and no user's. */
	r = watched->section
		    ? 0
		    : quota_charge(watches->quota, &watched->charge, uid, QUOTA_WATCHES, 1);
	if (r == QUOTA_E_EXCEEDED)
		return bus_refusal_set(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
				       "You have too many watches: %u are allowed by 'watches' in "
				       "section [limits] of the configuration",
				       watches->limit);
	if (r == 0)
		r = watched_fill(watched, request, uid);
	if (r == -E2BIG)
		return bus_refusal_set(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
				       "You are in too many groups: who is in more than %u cannot "
				       "be asked for",
				       CREDENTIAL_GROUPS_MAX);
	if (r == 0)
		r = watches_add_timer(watches, &watched->timer, "watch", on_due, watched);
	if (r < 0)
		return bus_refusal_set(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	return watched_check_mask(watched, request->mask, refusal);
}

static int watched_make(struct watched **ret, struct watches *watches,
			const struct bus_watch_request *request, uid_t uid, struct section *section,
			struct bus_refusal *refusal)
{
	struct watched *watched;

	if (watches->off)
		return bus_refusal_set(refusal, SD_BUS_ERROR_NOT_SUPPORTED,
				       "Files are not watched: %s", watches->off);

	watched = calloc(1, sizeof(*watched));
	if (!watched)
		return bus_refusal_set(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	watched->watches = watches;
	watched->id = ++watches->last_id;
	watched->section = section;
	LIST_INSERT_HEAD(&watches->watched, watched, all);
	LIST_INSERT_HEAD(&watches->buckets[watched->id % WATCHES_BUCKETS], watched, in_bucket);
	watches->n_watched++;

	if (watched_build(watched, request, uid, refusal) < 0) {
		watched_free(watched);
		return -1;
	}
	*ret = watched;
	return 0;
}

int watched_new(struct watches *watches, const struct bus_watch_request *request,
		const struct bus_sender *sender, struct bus_reply *reply,
		struct bus_refusal *refusal)
{
	struct watched *watched;

	if (watched_make(&watched, watches, request, sender->uid, NULL, refusal) < 0)
		return -1;
	watched->reply = reply;
	watched_step(watched);
	return 0;
}

int watched_new_section(struct watched **ret, struct watches *watches,
			const struct bus_watch_request *request, struct section *section,
			struct bus_refusal *refusal)
{
	return watched_make(ret, watches, request, 0, section, refusal);
}

/* What was not taken is gone without anybody being told, but not without being counted. */
static void account_queue(struct watched *watched)
{
	struct watches_account *account = &watched->watches->account;
	struct watch_queue_statistics statistics;

	if (!watched->queue)
		return;
	watch_queue_statistics(watched->queue, &statistics);
	account->delivered += statistics.delivered;
	account->merged += statistics.merged;
	account->lost += statistics.lost + statistics.queued;
}

void watched_free(struct watched *watched)
{
	struct watches *watches = watched->watches;

	assert(!watched->reply);

	watched_abandon(watched);
	watched_close_stream(watched);
	if (watched->blocked)
		LIST_REMOVE(watched, in_blocked);
	if (watched->removed)
		LIST_REMOVE(watched, in_removed);
	LIST_REMOVE(watched, in_bucket);
	LIST_REMOVE(watched, all);
	watches->n_watched--;

	account_queue(watched);
	watch_queue_free(watched->queue);
	sd_event_source_disable_unref(watched->timer);
	credential_unref(watched->credential);
	quota_release(&watched->charge);
	free(watched->path);
	free(watched->type);
	free(watched);
}

void watched_remove(struct watched *watched)
{
	if (watched->removed)
		return;

	watched->removed = true;
	LIST_INSERT_HEAD(&watched->watches->removed, watched, in_removed);
	watches_settle_later(watched->watches);
}

void watched_fail(struct watched *watched, const struct bus_refusal *refusal)
{
	struct bus_reply *reply = TAKE_PTR(watched->reply);

	/* First, so that it is over for whoever the answer brings back here. */
	watched_remove(watched);
	if (reply)
		bus_reply_refuse(reply, refusal);
	else if (watched->section)
		section_failed(watched->section, watched, refusal);
}

void watched_tell_mount(struct watched *watched, uint32_t bit, const char *name, uint64_t inode)
{
	const struct change change = {
		.mask = bit | FSEVENTS_DIRECTORY,
		.realtime_us = watches_realtime(),
		.inode = inode,
		.name = name,
		.n_name = strlen(name),
	};

	if (watched->mask & bit)
		watched_tell(watched, &change, 0);
}

/* What is known of it and could not be told yet is not told any more. */
static bool has_pending(const struct side *side)
{
	struct hub_statistics statistics;

	hub_statistics(side->hub, &statistics);
	return statistics.n_pending > 0;
}

void watched_leave(struct watched *watched)
{
	struct bus_refusal refusal;
	bool stood = watched->state == WATCHED_STANDING;
	bool pending = stood && has_pending(watched->anchor->side);

	watched_abandon(watched);
	if (!watched->stood) {
		(void)bus_refusal_set(&refusal, SD_BUS_ERROR_FILE_NOT_FOUND, WATCHES_NOT_FOUND);
		watched_fail(watched, &refusal);
		return;
	}

	watched->state = WATCHED_ABSENT;
	if (pending)
		watched_tell_lost(watched, 0, NULL, 0);
	if (stood)
		watched_tell_mount(watched, FSEVENTS_UNMOUNT, "", watched->inode);
	if (watched->section)
		section_left(watched->section, watched);
}

int watched_set_mask(struct watched *watched, uint32_t mask, struct bus_refusal *refusal)
{
	struct anchor *anchor;

	if (watched_check_mask(watched, mask, refusal) < 0)
		return -1;

	watched->mask = mask;
	LIST_FOREACH(anchor, &watched->anchors, in_watched) {
		if (!anchor->hub_watch)
			continue;
		hub_watch_set_mask(anchor->hub_watch, mask);
		anchor_relax(anchor);
	}
	watched->since_us = 0;
	if (watched->state == WATCHED_STANDING)
		watched_step(watched);
	return 0;
}
