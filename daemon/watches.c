/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/watches-branch.h"

/* Below the bus. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* What is due at one time is due by one sign: there is nothing to bring together. */
#define ACCURACY_US 1

static uint64_t clock_us(clockid_t id)
{
	struct timespec now = {};

	(void)clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t watches_now(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t watches_realtime(void)
{
	return clock_us(CLOCK_REALTIME);
}

/* At the end, when the loop has ended, nothing is needed any more. */
static bool is_over(sd_event_source *source)
{
	return sd_event_get_state(sd_event_source_get_event(source)) == SD_EVENT_FINISHED;
}

void watches_arm(sd_event_source *timer, uint64_t us)
{
	int r;

	if (is_over(timer))
		return;
	r = sd_event_source_set_time(timer, watches_now() + us);
	assert(r >= 0);
	r = sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
	assert(r >= 0);
}

void watches_arm_unless(sd_event_source *timer, uint64_t us)
{
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(timer, &enabled);
	if (enabled == SD_EVENT_OFF)
		watches_arm(timer, us);
}

void watches_disarm(sd_event_source *source)
{
	int r;

	if (is_over(source))
		return;
	r = sd_event_source_set_enabled(source, SD_EVENT_OFF);
	assert(r >= 0);
}

static void defer(sd_event_source *source)
{
	int r;

	if (is_over(source))
		return;
	r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	assert(r >= 0);
}

void watches_settle_later(struct watches *watches)
{
	defer(watches->settle);
}

void watches_tell_more(struct watches *watches)
{
	defer(watches->more);
}

void watches_retry_later(struct watches *watches)
{
	watches_arm_unless(watches->retry, WATCHES_RETRY_US);
}

struct watched *watches_find(struct watches *watches, uint64_t id)
{
	struct watched *watched;

	LIST_FOREACH(watched, &watches->buckets[id % WATCHES_BUCKETS], in_bucket)
		if (watched->id == id)
			return watched->removed ? NULL : watched;

	return NULL;
}

static void settle(struct watches *watches)
{
	for (unsigned int i = 0; i < WATCHES_SETTLE_MAX && !LIST_EMPTY(&watches->removed); i++)
		watched_free(LIST_FIRST(&watches->removed));
	/* Once for all of them, not for each. */
	if (LIST_EMPTY(&watches->removed))
		volume_free_unused(watches);
	else
		watches_settle_later(watches);
	branches_settle(watches);
	if (watches->tree)
		watch_tree_settle(watches->tree);
}

static int on_settle(sd_event_source *source, void *userdata)
{
	settle(userdata);
	return 0;
}

/* The table is what it will be: who is absent may be back, and trees have others in them. */
static int on_review(sd_event_source *source, void *userdata)
{
	struct watches *watches = userdata;
	struct watched *watched;

	/* While it changed, something may have been told by half of it. */
	quiets_forget_places(watches);
	LIST_FOREACH(watched, &watches->watched, all)
		watched_return(watched);
	sections_review(watches);
	if (watches->tree)
		watch_tree_review(watches->tree);
	return 0;
}

static int on_retry(sd_event_source *source, uint64_t us, void *userdata)
{
	struct watches *watches = userdata;
	struct watched *watched, *last = TAILQ_LAST(&watches->waiting, watched_queue);
	struct volume *volume;

	/* Who waits on is behind the last one. */
	for (unsigned int i = 0; i < WATCHES_STEPS_MAX && last; i++) {
		watched = TAILQ_FIRST(&watches->waiting);
		if (watched == last)
			last = NULL;
		TAILQ_REMOVE(&watches->waiting, watched, in_waiting);
		watched->waits = false;
		watched_step(watched);
	}
	if (!TAILQ_EMPTY(&watches->waiting))
		watches_retry_later(watches);

	LIST_FOREACH(volume, &watches->volumes, all)
		for (unsigned int i = 0; i < _SIDE_KIND_N; i++) {
			side_ask_again(&volume->sides[i]);
			side_unmark_again(&volume->sides[i]);
		}
	branches_again(watches);
	if (watches->tree)
		watch_tree_ask_again(watches->tree);
	return 0;
}

static int on_unblock(sd_event_source *source, uint64_t us, void *userdata)
{
	watches_unblock(userdata);
	return 0;
}

/*
 * The mount table
 */

static void review_later(struct watches *watches)
{
	quiets_forget_places(watches);
	if (watches->n_watched > 0 || !LIST_EMPTY(&watches->sections))
		defer(watches->review);
}

void watches_superblock_added(struct watches *watches, struct superblock *sb)
{
	assert(watches && sb);

	review_later(watches);
}

void watches_superblock_changed(struct watches *watches, struct superblock *sb)
{
	watches_superblock_added(watches, sb);
}

void watches_superblock_removed(struct watches *watches, struct superblock *sb)
{
	struct volume *volume;
	struct anchor *anchor;

	assert(watches && sb);

	volume = volume_find(watches, sb);
	review_later(watches);
	if (!volume)
		return;

	volume->leaving = true;
	/* What happened until then. */
	for (unsigned int i = 0; i < _SIDE_KIND_N; i++)
		if (volume->sides[i].hub)
			file_events_member_read(volume->sides[i].member);
	for (unsigned int i = 0; i < _SIDE_KIND_N; i++) {
		while ((anchor = LIST_FIRST(&volume->sides[i].anchors))) {
			if (anchor == anchor->watched->anchor || anchor->twig)
				watched_leave(anchor->watched);
			else
				anchor_leave(anchor);
		}
	}
	volume_free(volume);
	pool_drop_lane(watches->pool, sb->generation);
}

/*
 * What is told of it
 */

/* Those of today and those that are gone. */
static void sum_up(const struct watches *watches, struct watches_account *sum, uint64_t *ret_queued)
{
	struct watch_queue_statistics queue;
	struct hub_statistics hub;
	const struct watched *watched;
	const struct volume *volume;

	*sum = watches->account;
	*ret_queued = 0;
	LIST_FOREACH(watched, &watches->watched, all) {
		watch_queue_statistics(watched->queue, &queue);
		sum->delivered += queue.delivered;
		sum->merged += queue.merged;
		sum->lost += queue.lost;
		*ret_queued += queue.queued;
	}
	LIST_FOREACH(volume, &watches->volumes, all) {
		for (unsigned int i = 0; i < _SIDE_KIND_N; i++) {
			if (!volume->sides[i].hub)
				continue;
			hub_statistics(volume->sides[i].hub, &hub);
			sum->denied += hub.denied;
			sum->events += hub.events;
			sum->questions += hub.questions;
			sum->outside += hub.outside;
			sum->ignored += hub.ignored;
			sum->hushed += hub.hushed;
		}
	}
}

/*
 * received + gaps = delivered + merged + denied + lost + queued, where one
 * event that two watches match is two:
 *
 *	received	matched a watch, or is told of its mounts; also what was
 *			lost with a known count
 *	gaps		losses of unknown extent, once for each watch
 *	delivered	records that were sent
 *	merged		into a record that was sent, or waits
 *	denied		not told: the receiver may not know
 *	lost		told, or to be told, as a loss; gaps, too; and what waited
 *			for a watch that was removed
 *	queued		records that wait
 */
void watches_statistics(const struct watches *watches, bool root,
			void (*add)(const char *key, uint64_t value, void *ctx), void *ctx)
{
	struct file_events_statistics events;
	struct watches_account sum;
	uint64_t queued, directories, unwatched;

	assert(watches && add);

	if (!root)
		return;

	file_events_statistics(watches->events, &events);
	sum_up(watches, &sum, &queued);
	add("watches", watches->n_watched, ctx);
	add("watch-groups", events.groups, ctx);
	branches_count(watches, &directories, &unwatched);
	add("watch-directories", directories, ctx);
	add("watch-directories-left", unwatched, ctx);
	add("watch-batches", events.batches, ctx);
	add("watch-events", events.events, ctx);
	add("watch-events-own", events.own, ctx);
	add("watch-events-malformed", events.malformed, ctx);
	add("watch-overflows", events.overflows, ctx);
	add("watch-events-taken", sum.events, ctx);
	add("watch-questions", sum.questions, ctx);
	add("watch-events-outside", sum.outside, ctx);
	add("watch-ignored", sum.ignored, ctx);
	add("watch-hushed", sum.hushed, ctx);
	add("watch-received", sum.told + sum.denied + sum.lost_before, ctx);
	add("watch-gaps", sum.gaps, ctx);
	add("watch-delivered", sum.delivered, ctx);
	add("watch-merged", sum.merged, ctx);
	add("watch-denied", sum.denied, ctx);
	add("watch-lost", sum.lost + sum.gaps, ctx);
	add("watch-queued", queued, ctx);
}

/*
 * Its life
 */

void watches_set_off(struct watches *watches, const char *why)
{
	assert(watches && why);
	assert(watches->n_watched == 0);

	watches->off = why;
}

void watches_set_bus(struct watches *watches, struct bus *bus)
{
	assert(watches);

	watches->bus = bus;
}

int watches_configure(struct watches *watches, const struct config *config)
{
	const struct config_limits *limits;

	assert(watches);
	assert(config);

	limits = config_limits(config);
	watches->limit = limits->watches;
	quota_set_limit(watches->quota, QUOTA_WATCHES,
			(struct quota_limit){ .per_uid = limits->watches,
					      .total = WATCHES_TOTAL,
					      .reserved = WATCHES_TOTAL / 4 });
	quota_set_limit(watches->quota, QUOTA_DIRECTORIES,
			(struct quota_limit){ .per_uid = WATCHES_DIRECTORIES,
					      .total = BRANCH_TOTAL,
					      .reserved = BRANCH_TOTAL / 4 });
	/* Of what several share, each has its own part: all together are bounded otherwise. */
	quota_set_limit(watches->quota, QUOTA_WATCH_GROUPS,
			(struct quota_limit){ .per_uid = WATCHES_SHARE, .total = UINT64_MAX });
	return sections_configure(watches, config);
}

void watches_tick(struct watches *watches)
{
	assert(watches);

	sections_tick(watches);
	branches_tick(watches);
	watch_tree_tick(watches->tree);
}

static int source_init(sd_event_source *source, const char *name)
{
	int r;

	r = sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(source, name);
	r = sd_event_source_set_exit_on_failure(source, true);
	return r < 0 ? r : sd_event_source_set_priority(source, PRIORITY);
}

int watches_add_timer(struct watches *watches, sd_event_source **ret, const char *name,
		      sd_event_time_handler_t handler, void *userdata)
{
	int r;

	r = sd_event_add_time(watches->loop, ret, CLOCK_MONOTONIC, 0, ACCURACY_US, handler,
			      userdata);
	return r < 0 ? r : source_init(*ret, name);
}

static int add_defer(struct watches *watches, sd_event_source **ret, const char *name,
		     sd_event_handler_t handler)
{
	int r;

	r = sd_event_add_defer(watches->loop, ret, handler, watches);
	return r < 0 ? r : source_init(*ret, name);
}

static int add_parts(struct watches *watches)
{
	int r;

	r = add_defer(watches, &watches->settle, "watches-settle", on_settle);
	if (r >= 0)
		r = add_defer(watches, &watches->more, "watches-more", watches_on_more);
	if (r >= 0)
		r = add_defer(watches, &watches->review, "watches-review", on_review);
	if (r >= 0)
		r = watches_add_timer(watches, &watches->retry, "watches-retry", on_retry, watches);
	if (r >= 0)
		r = watches_add_timer(watches, &watches->unblock, "watches-unblock", on_unblock,
				      watches);
	if (r >= 0)
		r = credentials_new(&watches->credentials);
	if (r >= 0)
		r = file_events_new(&watches->events, watches->loop, watches->pool);
	if (r >= 0)
		r = unread_new(&watches->unread, watches->loop);
	if (r >= 0)
		r = watch_tree_new(&watches->tree, watches);
	return r;
}

int watches_new(struct watches **ret, sd_event *loop, const struct watches_options *options)
{
	_cleanup_(watches_freep) struct watches *watches = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(options->quota && options->pool && options->superblocks);

	watches = calloc(1, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	watches->loop = sd_event_ref(loop);
	watches->quota = options->quota;
	watches->pool = options->pool;
	watches->superblocks = options->superblocks;
	watches->nodes.n_max = WATCHES_NODE_BYTES;
	TAILQ_INIT(&watches->waiting);
	watches->state_directory = options->state_directory;
	quiets_init(watches);

	r = add_parts(watches);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(watches);
	return 0;
}

static void answer_all(struct watches *watches)
{
	struct bus_refusal refusal;
	struct watched *watched;

	(void)bus_refusal_set(&refusal, SD_BUS_ERROR_NO_REPLY, "The daemon stops");
	LIST_FOREACH(watched, &watches->watched, all)
		if (watched->reply)
			bus_reply_refuse(TAKE_PTR(watched->reply), &refusal);
}

struct watches *watches_free(struct watches *watches)
{
	struct volume *volume;

	if (!watches)
		return NULL;

	/* The bus knows of its end already, but the answers are owned here. */
	watches->bus = NULL;
	LIST_FOREACH(volume, &watches->volumes, all)
		volume->leaving = true;
	answer_all(watches);
	sections_free(&watches->sections);
	quiets_deinit(watches);
	while (!LIST_EMPTY(&watches->watched))
		watched_free(LIST_FIRST(&watches->watched));
	if (watches->events)
		volume_free_unused(watches);
	assert(LIST_EMPTY(&watches->volumes));

	watch_tree_free(watches->tree);
	unread_free(watches->unread);
	file_events_free(watches->events);
	credentials_free(watches->credentials);
	sd_event_source_disable_unref(watches->settle);
	sd_event_source_disable_unref(watches->more);
	sd_event_source_disable_unref(watches->review);
	sd_event_source_disable_unref(watches->retry);
	sd_event_source_disable_unref(watches->unblock);
	sd_event_unref(watches->loop);
	free(watches);
	return NULL;
}
