/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/fanotify.h>

#include "daemon/watches-internal.h"
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
	return anchor->side->kind == SIDE_TREE ? tree_mask(anchor->watched)
					       : spot_mask(anchor->watched);
}

static bool is_same(const struct anchor *anchor, const struct handle_view *handle)
{
	const struct handle_view root = handle_view(&anchor->root);

	return handle_equal(&root, handle);
}

/* Return: false: it cannot be touched now. */
static bool mark_fill(struct file_events_mark *mark, const struct anchor *anchor)
{
	const struct superblock *sb = anchor->side->volume->sb;
	uint64_t wait_us;

	*mark = (struct file_events_mark){
		.mount = volume_mount(sb, &wait_us),
		.btrfs = volume_is_btrfs(sb),
		.lane = volume_lane(sb),
		.lane_key = sb->generation,
		.owner_uid = sb->owner_uid,
	};
	if (anchor->side->kind == SIDE_SPOT)
		mark->handle = handle_view(&anchor->root);
	return mark->mount;
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
	if (side->kind == SIDE_TREE && (wanted & ~side->mask) == 0)
		return 1;
	if (side->kind == SIDE_SPOT && (wanted & ~anchor->mask) == 0)
		return 1;

	/* Of a tree somebody else may have asked for it. */
	send = side->kind == SIDE_SPOT || (wanted & ~side->asked) != 0;
	if (send) {
		if (!mark_fill(&mark, anchor))
			return -ENOBUFS;
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

	while ((anchor = TAILQ_FIRST(&side->marking)))
		anchor_set_marked(anchor, error);
}

void side_on_marked(int error, const struct handle_view *handle, const struct handle_view *root,
		    void *userdata)
{
	struct side *side = userdata;
	struct anchor *anchor;

	side->n_marked++;
	if (side->kind == SIDE_TREE) {
		tree_on_marked(side, error, root);
		return;
	}
	/* One worker does them in their order; who asked may have left. */
	anchor = TAILQ_FIRST(&side->marking);
	if (anchor && anchor->turn == side->n_marked)
		anchor_set_marked(anchor, error);
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
	if ((side->mask & taxes & ~needed) == 0 || !mark_fill(&mark, LIST_FIRST(&side->anchors)))
		return;

	mark.mask = side->mask & taxes & ~needed;
	if (file_events_member_unmark(side->member, &mark) < 0)
		return;
	side->mask &= ~mark.mask;
	side->asked &= ~mark.mask;
}

/* What no other one needs of it. */
static void spot_unmark(const struct anchor *anchor, uint64_t mask)
{
	const struct handle_view root = handle_view(&anchor->root);
	struct side *side = anchor->side;
	const struct anchor *other;
	struct file_events_mark request;

	LIST_FOREACH(other, &side->buckets[handle_hash(&root) % SIDE_BUCKETS], in_bucket)
		if (other != anchor && is_same(other, &root))
			mask &= ~(other->mask | other->asked);
	if (mask == 0 || !mark_fill(&request, anchor))
		return;

	request.mask = mask;
	/* Otherwise it goes with the last one. */
	(void)file_events_member_unmark(side->member, &request);
}

void anchor_relax(struct anchor *anchor)
{
	uint64_t needless = anchor->mask & ~anchor_mask(anchor);

	if (anchor->side->kind == SIDE_TREE) {
		side_relax(anchor->side);
		return;
	}
	if (needless == 0 || anchor->asked || anchor->side->volume->leaving)
		return;
	spot_unmark(anchor, needless);
	anchor->mask &= ~needless;
}

void anchor_unmark(struct anchor *anchor)
{
	struct side *side = anchor->side;

	/* Of a tree at the settling; the last one takes the group with it. */
	if (side->kind == SIDE_SPOT && !LIST_EMPTY(&side->anchors) && !side->volume->leaving)
		spot_unmark(anchor, anchor->mask | anchor->asked);
}
