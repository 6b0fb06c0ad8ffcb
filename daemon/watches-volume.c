/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <stdio.h>

#include "daemon/core/mount-options.h"
#include "daemon/watches-branch.h"

struct volume *volume_find(struct watches *watches, const struct superblock *sb)
{
	struct volume *volume;

	LIST_FOREACH(volume, &watches->volumes, all)
		if (volume->sb == sb)
			return volume;
	return NULL;
}

int volume_get(struct watches *watches, struct superblock *sb, struct volume **ret)
{
	struct volume *volume = volume_find(watches, sb);

	if (!volume) {
		volume = calloc(1, sizeof(*volume));
		if (!volume)
			return -ENOMEM;
		volume->watches = watches;
		volume->sb = sb;
		for (unsigned int i = 0; i < _SIDE_KIND_N; i++) {
			volume->sides[i].volume = volume;
			volume->sides[i].kind = (enum side_kind)i;
			TAILQ_INIT(&volume->sides[i].marking);
			STAILQ_INIT(&volume->sides[i].unmarks);
		}
		LIST_INSERT_HEAD(&watches->volumes, volume, all);
	}

	*ret = volume;
	return 0;
}

void volume_free(struct volume *volume)
{
	for (unsigned int i = 0; i < _SIDE_KIND_N; i++) {
		assert(LIST_EMPTY(&volume->sides[i].anchors));
		side_close(&volume->sides[i]);
	}
	LIST_REMOVE(volume, all);
	free(volume);
}

void volume_free_unused(struct watches *watches)
{
	struct volume *volume, *next;

	for (volume = LIST_FIRST(&watches->volumes); volume; volume = next) {
		bool used = false;

		next = LIST_NEXT(volume, all);
		for (unsigned int i = 0; i < _SIDE_KIND_N; i++) {
			if (LIST_EMPTY(&volume->sides[i].anchors)) {
				side_close(&volume->sides[i]);
			} else {
				side_settle(&volume->sides[i]);
				used = true;
			}
		}
		if (!used)
			volume_free(volume);
	}
}

enum pool_lane volume_lane(const struct superblock *sb)
{
	return superblock_class(sb) == SUPERBLOCK_LOCAL ? POOL_LANE_LOCAL : POOL_LANE_FOREIGN;
}

/* A ramfs has no space to tell of, but files. */
bool volume_keeps_files(const struct superblock *sb)
{
	return superblock_class(sb) != SUPERBLOCK_PSEUDO || strcmp(sb->type, "ramfs") == 0;
}

/* What it shows are other owners than the filesystem has. */
bool volume_mount_is_idmapped(const struct mount *mount)
{
	const char *options = mount->options, *option;
	size_t n;

	while ((option = mount_options_next(&options, &n)))
		if (n == strlen("idmapped") && memcmp(option, "idmapped", n) == 0)
			return true;
	return false;
}

/* What of @path, from the root of the superblock, is below the root of @mount; NULL: it does not show it. */
static const char *below(const struct mount *mount, const char *path)
{
	const char *root = mount->root + (mount->root[0] == '/');
	size_t n = strlen(root);

	if (n == 0)
		return path;
	if (strncmp(path, root, n) != 0 || (path[n] != '\0' && path[n] != '/'))
		return NULL;
	return path + n + (path[n] == '/');
}

/* @path NULL: whatever it shows */
static const struct mount *find_mount(const struct superblock *sb, const char *path,
				      uint64_t *ret_wait_us)
{
	const struct mount *display = superblock_display_mount(sb), *best = NULL;
	uint64_t now = watches_now(), wait_us = 0;

	for (size_t i = 0; i < sb->n_mounts; i++) {
		const struct mount *mount = sb->mounts[i];
		uint64_t old_us = mount->seen_us + WATCHES_BIRTH_US;

		if (!mount->reachable || volume_mount_is_idmapped(mount) ||
		    (path && !below(mount, path)))
			continue;
		if (old_us > now) {
			if (wait_us == 0 || old_us - now < wait_us)
				wait_us = old_us - now;
			continue;
		}
		if (!best || mount == display)
			best = mount;
	}

	*ret_wait_us = best ? 0 : wait_us;
	return best;
}

const struct mount *volume_mount(const struct superblock *sb, uint64_t *ret_wait_us)
{
	return find_mount(sb, NULL, ret_wait_us);
}

const struct mount *volume_mount_to(const struct superblock *sb, const char *path,
				    const char **ret_below, uint64_t *ret_wait_us)
{
	const struct mount *mount = find_mount(sb, path, ret_wait_us);

	if (mount)
		*ret_below = below(mount, path);
	return mount;
}

struct pool_submission volume_submission(const struct superblock *sb, enum job_kind job)
{
	return (struct pool_submission){
		.lane = volume_lane(sb),
		.lane_key = sb->generation,
		.owner_uid = sb->owner_uid,
		.job = job,
		.fd = -1,
		.deadline_us = WATCHES_DEADLINE_US,
	};
}

bool volume_is_btrfs(const struct superblock *sb)
{
	return strcmp(sb->type, "btrfs") == 0;
}

int volume_look_up(struct watches *watches, const struct superblock *sb,
		   struct lookup_request *request, pool_reply_fn reply, void *userdata,
		   struct pool_ticket **ret_ticket)
{
	const char *path = request->n_questions > 0 ? request->questions[0].path : NULL;
	struct pool_submission submission = volume_submission(sb, JOB_LOOKUP);
	_cleanup_free_ struct lookup_question *questions = NULL;
	_cleanup_free_ void *payload = NULL;
	const struct mount *mount;
	uint64_t wait_us;
	int r;

	mount = path ? volume_mount_to(sb, path, &path, &wait_us) : volume_mount(sb, &wait_us);
	if (!mount)
		return wait_us > 0 ? -ENOBUFS : -ENOENT;
	if (path) {
		questions = calloc(request->n_questions, sizeof(*questions));
		if (!questions)
			return -ENOMEM;
		memcpy(questions, request->questions, request->n_questions * sizeof(*questions));
		for (size_t i = 0; i < request->n_questions; i++)
			questions[i].path = path;
		request->questions = questions;
	}

	request->where = mount->where;
	request->mount_id = mount_number(mount);
	request->mount_id_is_unique = mount->unique_id;
	request->btrfs = volume_is_btrfs(sb);
	r = lookup_request_encode(request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	submission.reply = reply;
	submission.userdata = userdata;
	return pool_submit(watches->pool, &submission, ret_ticket);
}

/*
 * What the source tells
 */

static void on_begin(uint64_t since_us, void *userdata)
{
	struct side *side = userdata;

	side->late_us = watches_now() - since_us;
	memset(side->volume->watches->owners, 0, sizeof(side->volume->watches->owners));
}

static void on_event(const struct file_event *event, void *userdata)
{
	struct side *side = userdata;

	if (side->kind == SIDE_TREE)
		watch_tree_heard(side->volume->watches->tree, side, event);
	if (side->kind == SIDE_PATH)
		branch_heard(side, event);
	if (event->overflow)
		hub_overflow(side->hub);
	else
		hub_feed(side->hub, event, watches_realtime());
}

static void on_end(bool empty, void *userdata)
{
	struct side *side = userdata;

	if (empty)
		hub_emptied(side->hub);
	side_ask(side);
	side_ignore(side);
}

static void on_gone(void *userdata)
{
	side_change_source(userdata);
}

static const struct file_events_ops events_ops = {
	.begin = on_begin,
	.event = on_event,
	.end = on_end,
	.marked = side_on_marked,
	.ignored = side_on_ignored,
	.gone = on_gone,
};

/*
 * What the hub tells
 */

static void on_changed(const struct change *change, void *watch_userdata)
{
	struct anchor *anchor = watch_userdata;

	if (branch_tells(anchor, change->n_name))
		watched_tell(anchor->watched, change, anchor->side->late_us);
}

static void on_lost(uint64_t count, const char *under, size_t n_under, void *watch_userdata)
{
	struct anchor *anchor = watch_userdata;

	/* All of what it has is what is below its prefix. */
	if (n_under == 0 && anchor->prefix) {
		under = anchor->prefix;
		n_under = strlen(under);
	}
	if (branch_tells(anchor, SIZE_MAX))
		watched_tell_lost(anchor->watched, count, under, n_under);
}

/*
 * The owner of its directory in /proc is its effective user, or root where
 * others may not look into it. Asked once for each batch.
 */
static bool on_owner(int32_t pid, uid_t *ret, void *userdata)
{
	struct side *side = userdata;
	struct watches *watches = side->volume->watches;
	size_t i = (uint32_t)pid % WATCHES_OWNERS;
	char path[sizeof("/proc/") + 3 * sizeof(int)];
	struct stat status;

	if (pid <= 0)
		return false;
	if (watches->owners[i].pid != pid) {
		(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
		if (stat(path, &status) < 0)
			return false;
		watches->owners[i].pid = pid;
		watches->owners[i].uid = status.st_uid;
	}
	*ret = watches->owners[i].uid;
	return true;
}

static void on_heed(void *userdata)
{
	struct side *side = userdata;

	file_events_member_heed(side->member);
}

const struct hub_ops watches_hub_ops = {
	.changed = on_changed,
	.lost = on_lost,
	.owner = on_owner,
	.heed = on_heed,
};

int side_open(struct side *side)
{
	const struct hub_options options = {
		.tree = side->kind == SIDE_TREE,
		.budget = &side->volume->watches->nodes,
	};
	_cleanup_(hub_freep) struct hub *hub = NULL;
	int r;

	if (side->hub)
		return 0;

	r = hub_new(&hub, &options, &watches_hub_ops, side);
	if (r < 0)
		return r;
	r = side_start(side, &events_ops);
	if (r < 0)
		return r;

	side->hub = TAKE_PTR(hub);
	side->pause_us = UINT64_MAX;
	side->left = false;
	return 0;
}

void side_close(struct side *side)
{
	struct watches_account *account = &side->volume->watches->account;
	struct hub_statistics statistics;

	if (!side->hub)
		return;

	pool_cancel(side->ticket);
	side->ticket = NULL;
	side->n_questions = side->n_answered = side->n_slice = 0;
	side->put_off = side->hushing = false;
	side->member = file_events_member_free(side->member);
	hub_statistics(side->hub, &statistics);
	account->denied += statistics.denied;
	account->events += statistics.events;
	account->questions += statistics.questions;
	account->outside += statistics.outside;
	account->ignored += statistics.ignored;
	account->hushed += statistics.hushed;
	side->hub = hub_free(side->hub);
	side_forget_unmarks(side);
	side->mask = side->asked = 0;
	side->n_asked = side->n_marked = 0;
	side->root = (struct handle){};
}

/*
 * Anchors
 */

static void side_set_pause(struct side *side)
{
	struct anchor *anchor;

	side->pause_us = UINT64_MAX;
	LIST_FOREACH(anchor, &side->anchors, in_side)
		if (anchor->watched->latency_us / 2 < side->pause_us)
			side->pause_us = anchor->watched->latency_us / 2;

	if (side->pause_us < FILE_EVENTS_PAUSE_MIN_US)
		side->pause_us = FILE_EVENTS_PAUSE_MIN_US;
	if (side->pause_us > FILE_EVENTS_PAUSE_MAX_US)
		side->pause_us = FILE_EVENTS_PAUSE_MAX_US;
	if (side->member)
		file_events_member_set_pause(side->member, side->pause_us);
}

void side_settle(struct side *side)
{
	if (!side->left)
		return;

	side->left = false;
	side_set_pause(side);
	side_relax(side);
}

int anchor_new(struct anchor **ret, struct watched *watched, struct side *side,
	       const struct handle *root)
{
	const struct handle_view view = handle_view(root);
	_cleanup_(share_leavep) struct share *share = NULL;
	struct anchor *anchor;
	int r;

	r = share_join(&share, side, watched->uid);
	if (r < 0)
		return r;
	r = side_open(side);
	if (r < 0)
		return r;
	anchor = calloc(1, sizeof(*anchor));
	if (!anchor)
		return -ENOMEM;

	anchor->watched = watched;
	anchor->side = side;
	anchor->root = *root;
	anchor->share = TAKE_PTR(share);
	LIST_INSERT_HEAD(&side->anchors, anchor, in_side);
	LIST_INSERT_HEAD(&side->buckets[handle_hash(&view) % SIDE_BUCKETS], anchor, in_bucket);
	LIST_INSERT_HEAD(&watched->anchors, anchor, in_watched);
	if (watched->latency_us / 2 < side->pause_us)
		side_set_pause(side);
	*ret = anchor;
	return 0;
}

struct anchor *anchor_free(struct anchor *anchor)
{
	struct side *side;

	if (!anchor)
		return NULL;

	side = anchor->side;
	watch_tree_forget(side->volume->watches->tree, anchor);
	hub_watch_free(anchor->hub_watch);
	LIST_REMOVE(anchor, in_side);
	LIST_REMOVE(anchor, in_bucket);
	LIST_REMOVE(anchor, in_watched);
	if (anchor->asked)
		TAILQ_REMOVE(&side->marking, anchor, marking);
	anchor_unmark(anchor);
	side->left = true;
	cross_unguard(anchor);
	share_leave(anchor->share);
	quota_release(&anchor->charge);
	free(anchor->prefix);
	free(anchor->path);
	free(anchor);
	return NULL;
}

void anchor_leave(struct anchor *anchor)
{
	struct hub_statistics statistics;

	if (anchor->hub_watch && !anchor->doubted) {
		hub_statistics(anchor->side->hub, &statistics);
		if (statistics.n_pending > 0)
			watched_tell_lost(anchor->watched, 0, anchor->prefix,
					  strlen(anchor->prefix));
	}
	anchor_free(anchor);
}

int anchor_stand(struct anchor *anchor)
{
	const struct hub_watch_options options = {
		.root = handle_view(&anchor->root),
		.is_directory = anchor->watched->is_directory,
		.mask = anchor->watched->mask,
		.credential = anchor->watched->credential,
		.prefix = anchor->prefix,
		.userdata = anchor,
	};

	assert(!anchor->hub_watch);

	anchor->walked = watch_tree_last_walk(anchor->side->volume->watches->tree);
	return hub_watch_new(&anchor->hub_watch, anchor->side->hub, &options);
}
