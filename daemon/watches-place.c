/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/core/escape.h"
#include "daemon/watches-branch.h"
#include "include/fsevents_stream.h"

/*
 * On which superblock
 */

static struct superblock *place_again(struct watched *watched)
{
	struct superblock *sb = NULL;

	while ((sb = superblock_table_next(watched->watches->superblocks, sb)))
		if (sb->generation == watched->generation)
			return sb;
	return NULL;
}

/* Return: NULL where the table does not have it (yet). */
static struct superblock *place(struct watched *watched, const struct mount **ret_by)
{
	struct superblock *sb = NULL;
	const struct mount *mount;

	*ret_by = NULL;
	if (watched->stood && !watched->by_path)
		return place_again(watched);

	mount = superblock_table_find_mount(watched->watches->superblocks, watched->mnt_id, &sb);
	if (!mount || (watched->mount_unique && mount->unique_id &&
		       mount->unique_id != watched->mount_unique))
		return NULL;
	*ret_by = mount;
	/* It leads elsewhere as long as what was there is not mounted again. */
	if (watched->stood && sb->generation != watched->generation)
		return NULL;
	return sb;
}

/* By @mount, which leads there, as an anchor has it; with all below it one by one. */
static int place_path(struct anchor *anchor, const struct mount *mount)
{
	const char *path = anchor->watched->path, *root = mount->root;
	size_t n = strcmp(mount->where, "/") == 0 ? 0 : strlen(mount->where);

	if (strncmp(path, mount->where, n) != 0 || (path[n] != '\0' && path[n] != '/'))
		return -ENOENT;
	path += n;
	path += *path == '/';
	root += *root == '/';
	if (asprintf(&anchor->path, "%s%s%s", root, *root && *path ? "/" : "", path) < 0) {
		anchor->path = NULL;
		return -ENOMEM;
	}
	anchor->inode = anchor->watched->inode;
	return anchor->watched->recursive ? branch_new(anchor->watched) : 0;
}

/* What to do instead: nothing of it needs a mark of the whole. */
static void watched_give_up_tree(struct watched *watched, const char *type)
{
	char shown[64];

	escape(shown, sizeof(shown), type, strlen(type), 0);
	watched_give_up(
		watched, SD_BUS_ERROR_NOT_SUPPORTED,
		"On %s the kernel tells of no tree as a whole: a path can be watched with all "
		"below it, but not across mounts, and no number%s",
		shown,
		strcmp(type, "overlay") == 0
			? "; or watch the directory that its option upperdir names"
			: "");
}

static bool place_is_possible(struct watched *watched, const struct superblock *sb,
			      const struct mount *by)
{
	if (!volume_keeps_files(sb)) {
		watched_give_up_type(watched, sb->type, "it shows the kernel, and keeps no files");
		return false;
	}
	if (by && volume_mount_is_idmapped(by)) {
		watched_give_up_type(watched, sb->type, "this mount changes their owners");
		return false;
	}
	if (watched->by_path && watched->recursive && watched->cross_mounts) {
		watched_give_up_tree(watched, sb->type);
		return false;
	}
	return true;
}

static void step_place(struct watched *watched)
{
	enum side_kind kind = watched->by_path	   ? SIDE_PATH
			      : watched->recursive ? SIDE_TREE
						   : SIDE_SPOT;
	const struct mount *by;
	struct superblock *sb = place(watched, &by);
	struct volume *volume;
	uint64_t wait_us;
	int r;

	if (!sb) {
		if (watched->stood || !watched_has_patience(watched, WATCHES_PATIENCE_US))
			watched_give_up(watched, SD_BUS_ERROR_NOT_SUPPORTED,
					"It is on a filesystem that is not in the mount table");
		else
			watched_wait(watched);
		return;
	}
	if (!place_is_possible(watched, sb, by))
		return;
	if (!volume_mount(sb, &wait_us)) {
		if (wait_us > 0)
			watched_wait(watched);
		else
			watched_give_up_type(watched, sb->type, "no mount leads there");
		return;
	}

	if (!watched->type)
		watched->type = strdup(sb->type);
	r = watched->type ? volume_get(watched->watches, sb, &volume) : -ENOMEM;
	if (r == 0)
		r = anchor_new(&watched->anchor, watched, &volume->sides[kind],
			       watched->by_path ? &(struct handle){} : &watched->handle);
	if (r == 0 && watched->by_path)
		r = place_path(watched->anchor, by);
	if (r < 0) {
		/* What was made for it and has nobody. */
		watches_settle_later(watched->watches);
		if (r == -EOPNOTSUPP)
			watched_give_up_type(watched, sb->type,
					     "the kernel has no fanotify for names");
		else
			watched_give_up_errno(watched, r);
		return;
	}

	watched->generation = sb->generation;
	watched_go_on(watched, WATCHED_ASKING);
}

/*
 * Whether its owner may
 */

static void asked(struct watched *watched, const struct lookup_reply *reply)
{
	const struct lookup_answer *answer = &reply->answers[0];
	bool may = credential_is_root(watched->credential) || answer->may_read;

	if (answer->error == -EOPNOTSUPP) {
		watched_give_up(watched, SD_BUS_ERROR_NOT_SUPPORTED,
				"Only directories and regular files can be watched");
		return;
	}
	if (answer->error < 0 || !may) {
		watched_give_up(watched, SD_BUS_ERROR_FILE_NOT_FOUND, WATCHES_NOT_FOUND);
		return;
	}
	/* Handles of two filesystems may be equal. */
	if (watched->stood && ((!watched->by_path && reply->identity != watched->identity) ||
			       answer->is_directory != watched->is_directory)) {
		watched_give_up(watched, SD_BUS_ERROR_FILE_NOT_FOUND, WATCHES_NOT_FOUND);
		return;
	}
	if (watched->recursive && !answer->is_directory) {
		watched_give_up(watched, SD_BUS_ERROR_INVALID_ARGS,
				"Only a directory can be watched with all below it");
		return;
	}

	watched->identity = reply->identity;
	watched->is_directory = answer->is_directory;
	watched_go_on(watched, WATCHED_MARKING);
}

static void on_asked(enum pool_result result, const void *bytes, size_t n, void *userdata)
{
	struct watched *watched = userdata;
	struct lookup_reply reply = {};
	int r;

	watched->ticket = NULL;
	if (result != POOL_DONE) {
		watched_give_up_result(watched, result);
		return;
	}
	r = lookup_reply_decode(bytes, n, 1, &reply);
	if (r == 0)
		r = reply.error;
	if (r == 0)
		asked(watched, &reply);
	/* Another mount was there at that moment. */
	else if (r == -ESTALE)
		watched_try_again(watched, -ESTALE);
	else
		watched_give_up_errno(watched, r);
	lookup_reply_deinit(&reply);
}

static void step_ask(struct watched *watched)
{
	const struct superblock *sb = watched->anchor->side->volume->sb;
	const struct lookup_credential credential = watched_lookup_credential(watched);
	const struct lookup_question question = {
		.kind = LOOKUP_ACCESS,
		.handle = handle_view(&watched->handle),
		.path = watched->anchor->path,
		.inode = watched->inode,
	};
	struct lookup_request request = {
		.credentials = &credential,
		.n_credentials = 1,
		.questions = &question,
		.n_questions = 1,
	};
	int r;

	r = volume_look_up(watched->watches, sb, &request, on_asked, watched, &watched->ticket);
	if (r < 0)
		watched_try_again(watched, r);
}

/*
 * The mark
 */

/* From now on it is there for its owner. */
static void announce(struct watched *watched)
{
	if (watched->stood) {
		watched_tell_mount(watched, FSEVENTS_MOUNT, "", watched->inode);
		watched_tell_lost(watched, 0, NULL, 0);
	} else if (watched->reply) {
		bus_reply_watch(TAKE_PTR(watched->reply), watched->id);
		watched_announced(watched);
	} else if (watched->section) {
		section_stands(watched->section, watched);
		watched_announced(watched);
	}
	watched->stood = true;
	if (watched->recursive && !watched->removed)
		watch_tree_joined(watched);
}

void watched_walked(struct watched *watched)
{
	announce(watched);
}

static void stand(struct watched *watched)
{
	struct anchor *anchor = watched->anchor;
	int r;

	/* What happened before is not for it. */
	file_events_member_read(anchor->side->member);
	r = anchor_stand(anchor);
	if (r < 0) {
		watched_give_up_errno(watched, r);
		return;
	}

	watched->state = WATCHED_STANDING;
	watched->since_us = 0;
	if (watched->branch)
		branch_begin(watched->branch);
	else
		announce(watched);
}

/*
 * For events that it did not want before: what was told until then is told on, whatever happens.
 * Or by another source, without which nothing is.
 */
static void step_mark_again(struct watched *watched)
{
	const struct side *full = NULL;
	struct anchor *anchor;
	int r;

	if (anchor_is_bare(watched->anchor)) {
		r = anchor_mark(watched->anchor);
		if (r < 0) {
			watched_try_again(watched, r);
			return;
		}
	}
	LIST_FOREACH(anchor, &watched->anchors, in_watched) {
		/* The others of it have no room either. */
		if (!anchor->hub_watch || anchor->side == full)
			continue;
		r = anchor_mark(anchor);
		if (r == -ENOBUFS)
			full = anchor->side;
		if (r < 0 && watched_has_patience(watched, WATCHES_ROOM_US))
			watched_wait(watched);
	}
}

void anchor_remarked(struct anchor *anchor, int error)
{
	struct watched *watched = anchor->watched;

	if (error < 0) {
		if (watched_has_patience(watched, WATCHES_ROOM_US))
			watched_wait(watched);
		else if (anchor_is_bare(anchor) && error != -ESTALE)
			watched_give_up_errno(watched, error);
		return;
	}
	/* It may be yet another mask by now. */
	watched->since_us = 0;
	step_mark_again(watched);
}

/* By the kind of filesystem, whoever asks. */
static bool is_refused(int error)
{
	return error == -ENODEV || error == -EXDEV || error == -EOPNOTSUPP;
}

/* A kernel before 6.8 marks no inodes where fsid is 0, as with FUSE. */
static bool may_go_by_path(const struct watched *watched)
{
	return !watched->by_path && !watched->by_inode && !watched->cross_mounts &&
	       watched->path[0] == '/';
}

static void go_by_path(struct watched *watched)
{
	watched_abandon(watched);
	watched->by_path = true;
	watched_go_on(watched, WATCHED_PLACING);
}

void anchor_marked(struct anchor *anchor, int error)
{
	struct watched *watched = anchor->watched;

	if (anchor != watched->anchor) {
		if (anchor->twig)
			branch_marked(anchor, error);
		else
			watch_tree_marked(anchor, error);
		return;
	}
	if (watched->state != WATCHED_MARKING) {
		anchor_remarked(anchor, error);
		return;
	}

	if (error == 0)
		stand(watched);
	else if (is_refused(error) && may_go_by_path(watched))
		go_by_path(watched);
	else if (is_refused(error) && watched->recursive)
		watched_give_up_tree(watched, anchor->side->volume->sb->type);
	else if (error == -ENOMEM || error == -ENOSPC || error == -ESTALE)
		watched_try_again(watched, error);
	else
		watched_give_up_type(watched, anchor->side->volume->sb->type, strerror(-error));
}

static void step_mark(struct watched *watched)
{
	int r = anchor_mark(watched->anchor);

	if (r > 0)
		stand(watched);
	else if (r < 0)
		watched_try_again(watched, r);
}

/* What came back, and is touched by the walk to it. */
static bool is_newborn(struct watched *watched)
{
	const struct superblock *sb = watched->stood ? place_again(watched) : NULL;
	uint64_t wait_us;

	return sb && !volume_mount(sb, &wait_us) && wait_us > 0;
}

void watched_step(struct watched *watched)
{
	assert(!watched->ticket);

	if (watched->removed)
		return;

	switch (watched->state) {
	case WATCHED_FINDING:
		if (is_newborn(watched))
			watched_wait(watched);
		else
			watched_find(watched);
		return;
	case WATCHED_PLACING:
		step_place(watched);
		return;
	case WATCHED_ASKING:
		step_ask(watched);
		return;
	case WATCHED_MARKING:
		step_mark(watched);
		return;
	case WATCHED_STANDING:
		step_mark_again(watched);
		return;
	case WATCHED_ABSENT:
		return;
	}
}

/* The next one that came after the last one that was tried. */
void watched_return(struct watched *watched)
{
	struct superblock *sb = NULL;

	if (watched->state != WATCHED_ABSENT || watched->removed)
		return;

	while ((sb = superblock_table_next(watched->watches->superblocks, sb)))
		if (sb->generation > watched->generation && strcmp(sb->type, watched->type) == 0)
			break;
	if (!sb)
		return;

	watched->generation = sb->generation;
	watched->since_us = 0;
	/* Where there is no handle, its path says what it is. */
	watched->state = watched->by_path ? WATCHED_FINDING : WATCHED_PLACING;
	watched_wait(watched);
}
