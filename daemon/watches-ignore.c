/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <sys/fanotify.h>

#include "daemon/watches-internal.h"

/*
 * What may happen to files where nobody watches, as far as the filesystem is marked with it: who does
 * anything else would pay for that being ignored. Renames are told: they may lead to where somebody
 * watches. Where halves of them are told, that does.
 */
#define IGNORED                                                                                    \
	(FAN_CREATE | FAN_DELETE | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_MODIFY | FAN_OPEN |          \
	 FAN_ACCESS)
#define HALVES (FAN_MOVED_FROM | FAN_MOVED_TO)

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

	if (side->hushing) {
		side->hushing = false;
		hub_hushed(side->hub, outcome_of(error));
		/* Where it has ended, what waits in the kernel is the last of before. */
		file_events_member_read(side->member);
	} else {
		hub_ignored(side->hub, outcome_of(error));
	}
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

static void side_hush(struct side *side)
{
	struct file_events_mark mark;
	bool hush, sent;

	if (side->by_module || !hub_hushable(side->hub, &hush))
		return;

	/* Who is about to stand may want to hear what would not be told. */
	sent = (!hush || TAILQ_EMPTY(&side->marking)) &&
	       mark_fill(&mark, LIST_FIRST(&side->anchors)) == 0;
	mark.mask = FAN_ATTRIB | FAN_DELETE_SELF | HALVES;
	sent = sent && file_events_member_hush(side->member, &mark, hush) == 0;
	side->hushing = sent;
	if (!sent)
		hub_hushed(side->hub, HUB_IGNORED_NOT);
}

void side_ignore(struct side *side)
{
	struct file_events_mark mark;
	struct handle_view handle;
	bool sent;

	if (side->kind != SIDE_TREE || side->volume->leaving || LIST_EMPTY(&side->anchors))
		return;
	side_hush(side);
	if (!hub_ignorable(side->hub, &handle))
		return;

	sent = has_room(side->volume->watches) && mark_fill(&mark, LIST_FIRST(&side->anchors)) == 0;
	mark.handle = handle;
	mark.mask = IGNORED & side->asked;
	if (hub_is_hushed(side->hub))
		mark.mask |= FAN_RENAME | HALVES;
	sent = sent && file_events_member_ignore(side->member, &mark) == 0;
	/* It is asked for again when that much happens there again. */
	if (!sent)
		hub_ignored(side->hub, HUB_IGNORED_NOT);
}
