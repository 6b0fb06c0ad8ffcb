/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/watches-internal.h"

/* Of the groups, a quarter is for root alone. */
#define GROUPS_ORDINARY (FILE_EVENTS_GROUPS_MAX / 4 * 3)

_Static_assert(WATCHES_SHARE <= GROUPS_ORDINARY / 3, "it takes several to use them up");

/* One user in one side. */
struct share {
	uid_t uid;
	size_t n_anchors;
	struct quota_charge charge;
	LIST_ENTRY(share) in_side;
};

static bool has_room(const struct side *side)
{
	struct file_events_statistics statistics;

	if (side->hub)
		return true;
	file_events_statistics(side->volume->watches->events, &statistics);
	return statistics.groups < GROUPS_ORDINARY;
}

static int share_new(struct share **ret, struct side *side, uid_t uid)
{
	_cleanup_free_ struct share *share = calloc(1, sizeof(*share));
	int r;

	if (!share)
		return -ENOMEM;
	share->uid = uid;
	r = quota_charge(side->volume->watches->quota, &share->charge, uid, QUOTA_WATCH_GROUPS, 1);
	if (r != 0)
		return r < 0 ? r : -EDQUOT;

	LIST_INSERT_HEAD(&side->shares, share, in_side);
	*ret = TAKE_PTR(share);
	return 0;
}

int share_join(struct share **ret, struct side *side, uid_t uid)
{
	struct share *share;
	int r;

	assert(ret);
	assert(side);

	*ret = NULL;
	if (uid == 0)
		return 0;
	if (!has_room(side))
		return -EUSERS;

	LIST_FOREACH(share, &side->shares, in_side)
		if (share->uid == uid)
			break;
	if (!share) {
		r = share_new(&share, side, uid);
		if (r < 0)
			return r;
	}
	share->n_anchors++;
	*ret = share;
	return 0;
}

struct share *share_leave(struct share *share)
{
	if (!share || --share->n_anchors > 0)
		return NULL;

	LIST_REMOVE(share, in_side);
	quota_release(&share->charge);
	free(share);
	return NULL;
}
