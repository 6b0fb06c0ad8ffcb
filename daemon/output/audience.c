/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/output/audience.h"
#include "daemon/output/unread.h"

struct listener {
	struct listener *next;
	struct stream *stream;
	struct quota_charge charge;
	char *owner;
};

struct audience {
	sd_event *loop;
	struct quota *quota;
	const struct history *history;
	struct listener *listeners;
	struct unread *unread; /* of those that have gone */
	uint64_t n_listeners;
	uint64_t lost; /* of streams that are closed */
};

static struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;

	stream_free(listener->stream);
	quota_release(&listener->charge);
	free(listener->owner);
	free(listener);
	return NULL;
}

DEFINE_FREEP(listener, listener_free)

static void audience_remove(struct audience *audience, struct listener **link)
{
	struct listener *listener = *link;
	struct stream_statistics statistics;

	stream_statistics(listener->stream, &statistics);
	audience->lost += statistics.lost;
	audience->n_listeners--;
	*link = listener->next;
	unread_keep(audience->unread, stream_take_fd(listener->stream), &listener->charge);
	listener_free(listener);
}

static const struct history *on_history(void *userdata)
{
	const struct audience *audience = userdata;

	return audience->history;
}

static void on_closed(struct stream *stream, void *userdata)
{
	struct audience *audience = userdata;

	for (struct listener **link = &audience->listeners; *link; link = &(*link)->next)
		if ((*link)->stream == stream) {
			audience_remove(audience, link);
			return;
		}
}

static const struct stream_ops audience_stream_ops = {
	.history = on_history,
	.closed = on_closed,
};

int audience_new(struct audience **ret, sd_event *loop, struct quota *quota)
{
	_cleanup_(audience_freep) struct audience *audience = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(quota);

	audience = calloc(1, sizeof(*audience));
	if (!audience)
		return -ENOMEM;

	audience->loop = sd_event_ref(loop);
	audience->quota = quota;
	r = unread_new(&audience->unread, loop);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(audience);
	return 0;
}

struct audience *audience_free(struct audience *audience)
{
	if (!audience)
		return NULL;

	while (audience->listeners)
		audience_remove(audience, &audience->listeners);

	assert(audience->n_listeners == 0);
	unread_free(audience->unread);
	sd_event_unref(audience->loop);
	free(audience);
	return NULL;
}

void audience_begin(struct audience *audience, const struct history *history)
{
	assert(audience);
	assert(history);
	assert(!audience->listeners);

	audience->history = history;
}

int audience_open(struct audience *audience, const struct audience_member *member,
		  const struct stream_options *options, int *ret_fd)
{
	_cleanup_(listener_freep) struct listener *listener = NULL;
	int r;

	assert(audience);
	assert(audience->history);
	assert(member && member->owner);
	assert(options);
	assert(ret_fd);

	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;

	listener->owner = strdup(member->owner);
	if (!listener->owner)
		return -ENOMEM;

	r = quota_charge(audience->quota, &listener->charge, member->uid, QUOTA_STREAMS, 1);
	if (r == QUOTA_E_EXCEEDED)
		return AUDIENCE_E_LIMIT;
	if (r < 0)
		return r;

	r = stream_new(&listener->stream, ret_fd, audience->loop, options, &audience_stream_ops,
		       audience);
	if (r < 0)
		return r;

	listener->next = audience->listeners;
	audience->listeners = TAKE_PTR(listener);
	audience->n_listeners++;
	return 0;
}

void audience_owner_gone(struct audience *audience, const char *owner)
{
	struct listener **link;

	assert(audience);
	assert(owner);

	for (link = &audience->listeners; *link;) {
		if (strcmp((*link)->owner, owner) == 0)
			audience_remove(audience, link);
		else
			link = &(*link)->next;
	}
}

void audience_kick(struct audience *audience)
{
	assert(audience);

	for (struct listener *l = audience->listeners; l; l = l->next)
		stream_kick(l->stream);
}

void audience_statistics(const struct audience *audience, struct audience_statistics *ret)
{
	assert(audience);
	assert(ret);

	ret->streams = audience->n_listeners;
	ret->lost = audience->lost;

	for (const struct listener *l = audience->listeners; l; l = l->next) {
		struct stream_statistics statistics;

		stream_statistics(l->stream, &statistics);
		ret->lost += statistics.lost;
	}
}
