/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/notices-internal.h"

/* Sentences of a summary; of the rest the number is told. */
#define SUMMARY_LINES 5

static enum screen_urgency urgency_of(enum event_severity severity)
{
	switch (severity) {
	case SEVERITY_INFO:
	case SEVERITY_NOTICE:
		return SCREEN_LOW;
	case SEVERITY_WARNING:
		return SCREEN_NORMAL;
	case SEVERITY_CRITICAL:
	case _SEVERITY_N:
		break;
	}
	return SCREEN_CRITICAL;
}

bool notices_can_open(const struct board_notice *notice)
{
	return notice->where[0] == '/' && !notice->left && notice->family != BOARD_STALL &&
	       notice->family != BOARD_FROZEN;
}

static int send_one(struct notices *notices, const struct board_notice *notice)
{
	const struct board_cause *cause = board_worst(notice);
	char title[128];

	snprintf(title, sizeof(title), "%s%s", notice->test ? "Test: " : "", board_title(notice));
	return screen_show(notices->screen, &(const struct screen_notice){
						    .replaces = notice->shown_id,
						    .urgency = urgency_of(cause->severity),
						    .title = title,
						    .body = cause->text,
						    .can_open = notices_can_open(notice),
						    .can_mute = notice->identity,
					    });
}

/* The worst first, then the latest. */
static int compare_worst(const void *a, const void *b)
{
	const struct board_cause *x = board_worst(*(const struct board_notice *const *)a);
	const struct board_cause *y = board_worst(*(const struct board_notice *const *)b);

	if (x->severity != y->severity)
		return x->severity < y->severity ? 1 : -1;
	return x->id < y->id ? 1 : x->id > y->id ? -1 : 0;
}

static int send_summary(struct notices *notices, struct board_notice **items, size_t n_items)
{
	_cleanup_free_ char *body = NULL;
	size_t n_body = 0, n_tests = 0;
	char title[128];
	FILE *file = open_memstream(&body, &n_body);

	if (!file)
		return -ENOMEM;
	qsort(items, n_items, sizeof(*items), compare_worst);
	for (size_t i = 0; i < n_items; i++)
		n_tests += items[i]->test;
	for (size_t i = 0; i < n_items && i < SUMMARY_LINES; i++)
		fprintf(file, "%s%s", i == 0 ? "" : "\n", board_worst(items[i])->text);
	if (n_items > SUMMARY_LINES)
		fprintf(file, "\nand %zu more", n_items - SUMMARY_LINES);
	if (fclose(file) != 0)
		return -ENOMEM;

	snprintf(title, sizeof(title), "%s%zu messages about filesystems",
		 n_tests == n_items ? "Test: " : "", n_items);
	return screen_show(notices->screen,
			   &(const struct screen_notice){
				   .replaces = board_summary(notices->board),
				   .urgency = urgency_of(board_worst(items[0])->severity),
				   .title = title,
				   .body = body,
			   });
}

void notices_send(struct notices *notices)
{
	struct board_notice *items[BOARD_MAX], *notice = NULL;
	size_t n = 0;
	int r;

	while ((notice = board_next(notices->board, notice)))
		if (notice->due)
			items[n++] = notice;
	if (n == 0)
		return;

	notices->sends_summary = n > 1;
	r = n > 1 ? send_summary(notices, items, n) : send_one(notices, items[0]);
	notices->sent_us = notices_now(notices);
	if (r < 0) {
		agent_log("cannot show a notice: %s", strerror(-r));
		return;
	}
	for (size_t i = 0; i < n; i++)
		notices->sending[i] = (struct notices_sending){
			.serial = items[i]->serial,
			.cause_id = board_worst(items[i])->id,
		};
	notices->n_sending = n;
}

void notices_sent(struct notices *notices, uint32_t id)
{
	size_t n = notices->n_sending, n_found = 0;

	notices->n_sending = 0;
	if (!id)
		return;

	for (size_t i = 0; i < n; i++) {
		const struct notices_sending *sending = &notices->sending[i];
		struct board_notice *notice = board_find_serial(notices->board, sending->serial);

		if (!notice)
			continue;
		n_found++;
		board_shown(notices->board, notice, notices->sends_summary ? 0 : id,
			    notices_now(notices));
		/* Another happened while it was on its way. */
		notice->due = board_worst(notice)->id != sending->cause_id;
	}
	if (notices->sends_summary)
		board_set_summary(notices->board, id);
	else if (n_found == 0)
		screen_close(notices->screen, id);
}
