/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/worker/pool-internal.h"

struct pool_ticket *ticket_free(struct pool_ticket *ticket)
{
	if (!ticket)
		return NULL;

	closep(&ticket->fd);
	free(ticket->bytes);
	free(ticket);
	return NULL;
}

void tickets_free(struct tickets *tickets)
{
	struct pool_ticket *ticket;

	while ((ticket = TAILQ_FIRST(tickets))) {
		TAILQ_REMOVE(tickets, ticket, link);
		ticket_free(ticket);
	}
}

int ticket_new(struct pool_ticket **ret, struct pool *pool,
	       const struct pool_submission *submission)
{
	_cleanup_(ticket_freep) struct pool_ticket *ticket = NULL;

	ticket = calloc(1, sizeof(*ticket) + submission->n_payload);
	if (!ticket)
		return -ENOMEM;

	ticket->pool = pool;
	ticket->job = submission->job;
	ticket->key = submission->lane_key;
	ticket->deadline_us = submission->deadline_us;
	ticket->reply = submission->reply;
	ticket->userdata = submission->userdata;
	ticket->n_payload = submission->n_payload;
	if (submission->n_payload > 0)
		memcpy(ticket->payload, submission->payload, submission->n_payload);

	ticket->fd = -1;
	if (submission->fd >= 0) {
		ticket->fd = fcntl(submission->fd, F_DUPFD_CLOEXEC, 3);
		if (ticket->fd < 0)
			return errno == EMFILE || errno == ENFILE ? -ENOBUFS : -errno;
	}

	*ret = TAKE_PTR(ticket);
	return 0;
}
