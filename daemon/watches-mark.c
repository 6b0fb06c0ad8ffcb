/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>

#include "daemon/watches-branch.h"
#include "include/fsevents_stream.h"

/*
 * What happens to names, and what verdicts need: on every filesystem that is
 * watched as a whole. That an inode is gone saves the hub questions.
 */
#define TREE_MASK (FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_DELETE_SELF | FAN_ONDIR)

/*
 * All of the filesystem pays for these, whoever watches what: the
 * administrator's choice. Of what ordinary users write they hear when it is closed.
 */
static uint64_t tree_mask(const struct watched *watched)
{
	bool root = credential_is_root(watched->credential);
	uint64_t mask = TREE_MASK;

	if (watched->mask & FSEVENTS_CLOSE_WRITE)
		mask |= FAN_CLOSE_WRITE;
	if (watched->mask & FSEVENTS_MODIFY)
		mask |= root ? FAN_MODIFY : FAN_CLOSE_WRITE;
	if (watched->mask & FSEVENTS_OPEN && root)
		mask |= FAN_OPEN;
	if (watched->mask & FSEVENTS_ACCESS && root)
		mask |= FAN_ACCESS;
	return mask;
}

static uint64_t spot_mask(const struct watched *watched)
{
	static const struct {
		uint32_t bit;
		uint64_t mask, directory;
	} masks[] = {
		{ FSEVENTS_ACCESS, FAN_ACCESS, 0 },
		{ FSEVENTS_MODIFY, FAN_MODIFY, 0 },
		{ FSEVENTS_CLOSE_WRITE, FAN_CLOSE_WRITE, 0 },
		{ FSEVENTS_OPEN, FAN_OPEN, 0 },
		{ FSEVENTS_CREATE, 0, FAN_CREATE | FAN_RENAME },
		{ FSEVENTS_DELETE, 0, FAN_DELETE | FAN_RENAME },
		{ FSEVENTS_MOVE, 0, FAN_RENAME },
	};
	/* Attributes tell that a verdict is another one, the others that it is gone. */
	uint64_t mask = FAN_ATTRIB | FAN_DELETE_SELF | FAN_MOVE_SELF;

	if (watched->is_directory)
		mask |= FAN_EVENT_ON_CHILD | FAN_ONDIR;
	for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++)
		if (watched->mask & masks[i].bit)
			mask |= masks[i].mask | (watched->is_directory ? masks[i].directory : 0);
	return mask;
}

static uint64_t anchor_mask(const struct anchor *anchor)
{
	if (anchor->side->kind == SIDE_TREE)
		return tree_mask(anchor->watched);
	/* Which directories come and go, whoever wants to be told. */
	return spot_mask(anchor->watched) |
	       (anchor->twig ? FAN_CREATE | FAN_DELETE | FAN_RENAME : 0);
}

static bool is_same(const struct anchor *anchor, const struct handle_view *handle)
{
	const struct handle_view root = handle_view(&anchor->root);

	return handle_equal(&root, handle);
}

/* @path: as of an anchor, or NULL. Return: 0, -ENOBUFS: not now, -ENOENT: no mount leads there. */
static int side_fill(const struct side *side, const char *path, struct file_events_mark *mark)
{
	const struct superblock *sb = side->volume->sb;
	const char *below = NULL;
	uint64_t wait_us;

	*mark = (struct file_events_mark){
		.mount = path ? volume_mount_to(sb, path, &below, &wait_us)
			      : volume_mount(sb, &wait_us),
		.path = below,
		.type = sb->type,
		.major = sb->key.major,
		.minor = sb->key.minor,
		.btrfs = volume_is_btrfs(sb),
		.lane = volume_lane(sb),
		.lane_key = sb->generation,
		.owner_uid = sb->owner_uid,
	};
	if (mark->mount)
		return 0;
	return wait_us > 0 ? -ENOBUFS : -ENOENT;
}

int mark_fill(struct file_events_mark *mark, const struct anchor *anchor)
{
	int r = side_fill(anchor->side, anchor->path, mark);

	if (r < 0)
		return r;
	if (anchor->side->kind == SIDE_SPOT)
		mark->handle = handle_view(&anchor->root);
	mark->inode = anchor->inode;
	return 0;
}

int anchor_mark(struct anchor *anchor)
{
	struct side *side = anchor->side;
	uint64_t wanted = anchor_mask(anchor);
	struct file_events_mark mark;
	bool send;
	int r;

	/* One at a time: what is wanted beyond it is asked for after its answer. */
	if (anchor->asked)
		return 0;
	if (side->kind == SIDE_TREE && anchor->watched->mask & FSEVENTS_ATTRIB &&
	    !hub_unhush(side->hub)) {
		side_ignore(side);
		return -ENOBUFS;
	}
	if (branch_left(anchor))
		return 1;
	if (side->kind == SIDE_TREE && (wanted & ~side->mask) == 0)
		return 1;
	if (side->kind != SIDE_TREE && (wanted & ~anchor->mask) == 0)
		return 1;

	/* Of a tree somebody else may have asked for it. */
	send = side->kind != SIDE_TREE || (wanted & ~side->asked) != 0;
	if (send) {
		r = mark_fill(&mark, anchor);
		/* Others of its tree may be reached. */
		if (r < 0)
			return anchor->twig && anchor->twig->parent ? r : -ENOBUFS;
		mark.mask = side->kind == SIDE_TREE ? side->asked | wanted : wanted;
		r = file_events_member_mark(side->member, &mark);
		if (r < 0)
			return r;
		if (side->kind == SIDE_TREE)
			side->asked |= wanted;
		side->n_asked++;
	}

	anchor->asked = wanted;
	anchor->turn = side->n_asked;
	TAILQ_INSERT_TAIL(&side->marking, anchor, marking);
	return 0;
}

static void anchor_set_marked(struct anchor *anchor, int error)
{
	/* One of an inode has been without a mark since its source ended. */
	if (error == 0 && anchor_is_bare(anchor) && anchor->side->kind == SIDE_SPOT)
		watched_tell_lost(anchor->watched, 0, NULL, 0);
	if (error == 0)
		anchor->mask |= anchor->asked;
	anchor->asked = 0;
	TAILQ_REMOVE(&anchor->side->marking, anchor, marking);
	anchor_marked(anchor, error);
}

static void tree_on_marked(struct side *side, int error, const struct handle_view *root)
{
	struct anchor *anchor;

	if (error < 0) {
		/* Those after it are answered by themselves. */
		side->asked = side->mask;
	} else {
		side->root = (struct handle){ .type = root->type, .n = root->n };
		memcpy(side->root.bytes, root->bytes, root->n);
		if (side->n_marked == side->n_asked)
			side->mask = side->asked;
	}
	if (error == 0 && side->n_marked < side->n_asked)
		return;
	/* What happened since the other source ended. */
	if (error == 0 && side->changed)
		hub_overflow(side->hub);
	side->changed &= error < 0;

	while ((anchor = TAILQ_FIRST(&side->marking)))
		anchor_set_marked(anchor, error);
}

static void side_unmark(struct side *side, const struct handle_view *handle, uint64_t mask,
			const struct anchor *but);

/* Return: 0, or what is to be told in place of it. */
static int anchor_set_root(struct anchor *anchor, const struct handle_view *root)
{
	struct side *side = anchor->side;

	if (is_same(anchor, root))
		return 0;
	/* Another one is there by now: it is not the one that is watched. */
	if (anchor->hub_watch) {
		side_unmark(side, root, UINT64_MAX, NULL);
		return -ESTALE;
	}
	anchor->root = (struct handle){ .type = root->type, .n = root->n };
	memcpy(anchor->root.bytes, root->bytes, root->n);
	LIST_REMOVE(anchor, in_bucket);
	LIST_INSERT_HEAD(&side->buckets[handle_hash(root) % SIDE_BUCKETS], anchor, in_bucket);
	return 0;
}

void side_on_marked(int error, const struct handle_view *handle, const struct handle_view *root,
		    void *userdata)
{
	struct side *side = userdata;
	struct anchor *anchor;

	if (side_is_failed(side, error)) {
		side_change_source(side);
		return;
	}
	side->n_marked++;
	if (side->kind == SIDE_TREE) {
		tree_on_marked(side, error, root);
		return;
	}
	/* One worker does them in their order; who asked may have left. */
	anchor = TAILQ_FIRST(&side->marking);
	if (anchor && anchor->turn == side->n_marked) {
		if (error == 0 && side->kind == SIDE_PATH)
			error = anchor_set_root(anchor, root);
		anchor_set_marked(anchor, error);
	} else if (error == 0 && side->kind == SIDE_PATH) {
		side_unmark(side, root, UINT64_MAX, NULL);
	}
}

void side_relax(struct side *side)
{
	const uint64_t taxes = FAN_MODIFY | FAN_OPEN | FAN_ACCESS | FAN_CLOSE_WRITE;
	const struct anchor *anchor = LIST_FIRST(&side->anchors);
	struct file_events_mark mark;
	uint64_t needed = 0;

	/* The last one takes the group with it, and so the mark. */
	if (side->kind != SIDE_TREE || !anchor || side->volume->leaving || !(side->mask & taxes))
		return;
	LIST_FOREACH(anchor, &side->anchors, in_side)
		needed |= anchor_mask(anchor) | anchor->asked;
	if ((side->mask & taxes & ~needed) == 0 || mark_fill(&mark, LIST_FIRST(&side->anchors)) < 0)
		return;

	mark.mask = side->mask & taxes & ~needed;
	if (file_events_member_unmark(side->member, &mark) < 0)
		return;
	side->mask &= ~mark.mask;
	side->asked &= ~mark.mask;
}

/*
 * Taking away
 */

static void unmark_keep(struct side *side, const struct handle_view *handle, uint64_t mask)
{
	struct unmark *unmark;

	/* Otherwise it goes with the last one. Whole trees go at once. */
	if (side->n_unmarks == (side->kind == SIDE_PATH ? BRANCH_TOTAL : SIDE_UNMARKS_MAX))
		return;
	unmark = calloc(1, sizeof(*unmark));
	if (!unmark)
		return;
	unmark->handle = (struct handle){ .type = handle->type, .n = handle->n };
	memcpy(unmark->handle.bytes, handle->bytes, handle->n);
	unmark->mask = mask;
	STAILQ_INSERT_TAIL(&side->unmarks, unmark, next);
	side->n_unmarks++;
	watches_retry_later(side->volume->watches);
}

/* What no other one needs of it. */
static void side_unmark(struct side *side, const struct handle_view *handle, uint64_t mask,
			const struct anchor *but)
{
	struct file_events_mark request;
	const struct anchor *other;
	int r;

	LIST_FOREACH(other, &side->buckets[handle_hash(handle) % SIDE_BUCKETS], in_bucket)
		if (other != but && is_same(other, handle))
			mask &= side->kind == SIDE_PATH ? 0 : ~(other->mask | other->asked);
	if (mask == 0)
		return;

	/* One of inotify may be that of who is being marked: then it has it as well. */
	r = side->kind == SIDE_PATH && !TAILQ_EMPTY(&side->marking)
		    ? -ENOBUFS
		    : side_fill(side, NULL, &request);
	if (r == 0) {
		request.handle = *handle;
		request.mask = mask;
		r = file_events_member_unmark(side->member, &request);
	}
	if (r == -ENOBUFS || r == -ENOMEM)
		unmark_keep(side, handle, mask);
}

void side_unmark_again(struct side *side)
{
	size_t left = side->n_unmarks;

	/* As long as there is room. */
	for (; left > 0 && side->n_unmarks == left; left--) {
		_cleanup_free_ struct unmark *unmark = STAILQ_FIRST(&side->unmarks);
		const struct handle_view handle = handle_view(&unmark->handle);

		STAILQ_REMOVE_HEAD(&side->unmarks, next);
		side->n_unmarks--;
		if (!side->volume->leaving)
			side_unmark(side, &handle, unmark->mask, NULL);
	}
}

void side_forget_unmarks(struct side *side)
{
	struct unmark *unmark;

	while ((unmark = STAILQ_FIRST(&side->unmarks))) {
		STAILQ_REMOVE_HEAD(&side->unmarks, next);
		free(unmark);
	}
	side->n_unmarks = 0;
}

void anchor_relax(struct anchor *anchor)
{
	const struct handle_view root = handle_view(&anchor->root);
	uint64_t needless = anchor->mask & ~anchor_mask(anchor);

	if (anchor->side->kind == SIDE_TREE) {
		side_relax(anchor->side);
		return;
	}
	/* Of inotify nothing but all is taken away. */
	if (needless == 0 || anchor->asked || anchor->side->volume->leaving ||
	    anchor->side->kind == SIDE_PATH)
		return;
	side_unmark(anchor->side, &root, needless, anchor);
	anchor->mask &= ~needless;
}

void anchor_unmark(struct anchor *anchor)
{
	const struct handle_view root = handle_view(&anchor->root);
	struct side *side = anchor->side;

	/* Of a tree at the settling; the last one takes the group with it. */
	if (side->kind == SIDE_TREE || LIST_EMPTY(&side->anchors) || side->volume->leaving)
		return;
	/* One that was not marked yet is seen to when it is. */
	if (root.n > 0)
		side_unmark(side, &root, anchor->mask | anchor->asked, anchor);
}
