/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <sys/fanotify.h>

#include "daemon/watches-internal.h"

/* What may happen to files where nobody watches. Renames are told: they may lead to where somebody does. */
#define IGNORED                                                                                    \
	(FAN_CREATE | FAN_DELETE | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_MODIFY | FAN_OPEN |          \
	 FAN_ACCESS)

/*
 * In all filesystems together. Each is a mark: a quarter of the least of which
 * fs.fanotify.max_user_marks is by itself (8192), the others are for what is watched.
 */
#define IGNORED_MAX 2048

static enum hub_ignored outcome_of(int error)
{
	switch (error) {
	case 0:
		return HUB_IGNORED;
	case -EOPNOTSUPP:
		return HUB_IGNORED_NEVER;
	case -ETIME:
		return HUB_IGNORED_PERHAPS;
	}
	return HUB_IGNORED_NOT;
}

void side_on_ignored(int error, void *userdata)
{
	struct side *side = userdata;

	hub_ignored(side->hub, outcome_of(error));
	/* Who may know what is lost by that is asked for at once. */
	side_ask(side);
	side_ignore(side);
}

static bool has_room(const struct watches *watches)
{
	struct hub_statistics statistics;
	const struct volume *volume;
	size_t n = 0;

	LIST_FOREACH(volume, &watches->volumes, all) {
		const struct hub *hub = volume->sides[SIDE_TREE].hub;

		if (!hub)
			continue;
		hub_statistics(hub, &statistics);
		n += statistics.n_ignored;
	}
	return n < IGNORED_MAX;
}

void side_ignore(struct side *side)
{
	struct file_events_mark mark;
	struct handle_view handle;
	bool sent;

	if (side->kind != SIDE_TREE || side->volume->leaving || LIST_EMPTY(&side->anchors) ||
	    !hub_ignorable(side->hub, &handle))
		return;

	sent = has_room(side->volume->watches) && mark_fill(&mark, LIST_FIRST(&side->anchors));
	mark.handle = handle;
	mark.mask = IGNORED;
	sent = sent && file_events_member_ignore(side->member, &mark) == 0;
	/* It is asked for again when that much happens there again. */
	if (!sent)
		hub_ignored(side->hub, HUB_IGNORED_NOT);
}
