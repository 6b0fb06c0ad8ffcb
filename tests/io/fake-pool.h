/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Workers of cardboard, which answer when the test says so: what stands here
 * takes the place of pool.c; include <cmocka.h> before.
 */

#include <errno.h>
#include <string.h>

#include "daemon/worker/pool.h"

struct pool_ticket {
	struct pool_submission submission;
	char payload[1024];
	bool cancelled, answered;
};

static struct pool_ticket tickets[32];
static size_t n_tickets;
static bool is_full; /* the pool */

/* Given by the test: what each submission must be. */
static void check_submission(const struct pool_submission *submission);

int pool_submit(struct pool *pool, const struct pool_submission *submission,
		struct pool_ticket **ret_ticket)
{
	struct pool_ticket *ticket = &tickets[n_tickets];

	if (is_full)
		return -ENOBUFS;
	assert_true(n_tickets < sizeof(tickets) / sizeof(tickets[0]));
	check_submission(submission);
	assert_true(submission->n_payload <= sizeof(ticket->payload));
	n_tickets++;
	*ticket = (struct pool_ticket){ .submission = *submission };
	memcpy(ticket->payload, submission->payload, submission->n_payload);
	if (ret_ticket)
		*ret_ticket = ticket;
	return 0;
}

void pool_cancel(struct pool_ticket *ticket)
{
	if (ticket)
		ticket->cancelled = true;
}

static inline void pool_answer_one(struct pool_ticket *ticket, enum pool_result result, int error)
{
	assert_true(!ticket->cancelled && !ticket->answered);
	ticket->answered = true;
	ticket->submission.reply(result, error < 0 ? &error : NULL, error < 0 ? sizeof(error) : 0,
				 ticket->submission.userdata);
}

/* Of the last one. */
static inline void pool_answer(enum pool_result result, int error)
{
	assert_true(n_tickets > 0);
	pool_answer_one(&tickets[n_tickets - 1], result, error);
}
