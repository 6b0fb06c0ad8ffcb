/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/rate.h"
#include "daemon/output/catalog.h"
#include "daemon/output/pending.h"
#include "include/fsevents_stream.h"
#include "tests/io/publisher-fixture.h"

/* Details of who did it: in history, file and journal, never in a signal. */
static void test_private(void **state)
{
	const struct detail_writer writer = { 7, 1 << 20, "dd" };
	struct fixture *f = *state;
	struct details more = {};
	struct event event;
	uint64_t id;

	start_at_once(f);
	event_make(&event, EVENT_THRESHOLD_BELOW, "/srv");
	assert_int_equal(details_add_string(&event.details, "path", "secret/name", DETAIL_PRIVATE),
			 0);
	id = publisher_publish(f->publisher, &event);
	assert_true(id > 0);
	assert_int_equal(f->n_signals, 1);
	assert_false(f->signal_private);
	assert_int_equal(journal_count(f, "FSEVENTS_PATH=secret/name"), 1);

	assert_int_equal(details_add_writers(&more, "writers", &writer, 1, DETAIL_PRIVATE), 0);
	publisher_amend(f->publisher, id, &more);
	details_deinit(&more);
	assert_int_equal(journal_count(f, "wrote most in the moments before: dd[7] 1.0 MiB"), 1);
	assert_int_equal(f->n_signals, 1);
}

/* A failing disk: 10,000 errors in history and streams, few signals and few journal entries. */
static void test_flood(void **state)
{
	struct fixture *f = *state;
	struct publisher_statistics statistics;
	uint64_t began = clock_us(CLOCK_MONOTONIC), took;
	unsigned int n;

	start_at_once(f);
	for (unsigned int i = 0; i < 10000; i++)
		assert_true(publish(f, EVENT_IO_ERROR, "/") > 0);
	for (uint64_t end = clock_us(CLOCK_MONOTONIC) + PATIENCE_US;
	     f->n_signalled < 10000 && clock_us(CLOCK_MONOTONIC) < end;)
		loop_for(f, 10000);
	took = clock_us(CLOCK_MONOTONIC) - began;
	run_all(f);

	print_message("%u signals in %lu ms\n", f->n_signals, (unsigned long)took / 1000);
	assert_true(f->n_signals < 10 + 2 * (took / US));
	assert_int_equal(f->n_signalled, 10000);
	n = journal_count(f, CATALOG_EVENT_IO_ERROR);
	assert_int_equal(n, f->n_signals);
	publisher_statistics(f->publisher, &statistics);
	assert_int_equal(statistics.events, 10000);
	assert_int_equal(statistics.signals + statistics.coalesced, 10000);
	assert_int_equal(statistics.signals, f->n_signals);
	assert_int_equal(statistics.signals_skipped, 0);
}

/* One user who does it on purpose: refused, counted, and told with the next. */
static void test_user_rate(void **state)
{
	struct fixture *f = *state;
	struct publisher_statistics statistics;
	const struct event *last;
	struct detail detail;
	uint64_t n_passed = 0, began = clock_us(CLOCK_MONOTONIC), took;

	start_at_once(f);
	for (unsigned int i = 0; i < 1000; i++) {
		struct event event;

		event_make(&event, EVENT_ENOSPC, "/home");
		event.cause_uid = 1000;
		n_passed += publisher_publish(f->publisher, &event) > 0;
	}
	took = clock_us(CLOCK_MONOTONIC) - began;
	assert_true(n_passed >= RATE_BURST &&
		    n_passed < RATE_BURST + 20 + RATE_PER_SECOND * (took / US));
	publisher_statistics(f->publisher, &statistics);
	assert_int_equal(statistics.suppressed, 1000 - n_passed);

	loop_for(f, 300000);
	{
		struct event event;

		event_make(&event, EVENT_ENOSPC, "/home");
		event.cause_uid = 1000;
		assert_true(publisher_publish(f->publisher, &event) > 0);
	}
	last = history_after(publisher_history(f->publisher),
			     history_newest(publisher_history(f->publisher)) - 1);
	assert_non_null(last);
	assert_true(details_find(&last->details, "suppressed", &detail));
	assert_int_equal(detail_u64(&detail), 1000 - n_passed);
}

/* More before the ids are known than may wait: the worst are kept, in order. */
static void test_pending(void **state)
{
	struct fixture *f = *state;
	struct publisher_statistics statistics;

	start(f);
	for (unsigned int i = 0; i < PENDING_EVENTS; i++)
		assert_int_equal(publish(f, EVENT_MOUNTED, "/"), 0);
	assert_int_equal(publish(f, EVENT_CORRUPTED, "/a"), 0);
	assert_int_equal(publish(f, EVENT_MOUNTED, "/"), 0);
	assert_int_equal(publish(f, EVENT_SHUTDOWN, "/b"), 0);
	publisher_statistics(f->publisher, &statistics);
	assert_int_equal(statistics.pending_dropped, 3);
	run_all(f);
	publisher_statistics(f->publisher, &statistics);
	assert_int_equal(statistics.events, PENDING_EVENTS);
	assert_int_equal(history_newest(publisher_history(f->publisher)) -
				 publisher_epoch_first_id(f->publisher) + 1,
			 PENDING_EVENTS);

	{
		const struct history *history = publisher_history(f->publisher);
		const struct event *event = history_after(history, history_newest(history) - 2);

		assert_non_null(event);
		assert_int_equal(event->code, EVENT_CORRUPTED);
		event = history_after(history, event->id);
		assert_int_equal(event->code, EVENT_SHUTDOWN);
	}
}

/* Streams: charged, live, private as asked, closed with their owner. */
static void test_streams(void **state)
{
	struct fixture *f = *state;
	struct publisher_statistics statistics;
	uint8_t packet[FSEVENTS_PACKET_MAX];
	int fds[4];
	ssize_t n;

	start(f);
	assert_int_equal(publisher_open_stream(f->publisher, 0, false, 5, ":1.1", &fds[0]),
			 -EAGAIN);
	run_all(f);

	assert_int_equal(publisher_open_stream(f->publisher, 0, false, 5, ":1.1", &fds[0]), 0);
	assert_int_equal(publisher_open_stream(f->publisher, 0, true, 5, ":1.2", &fds[1]), 0);
	assert_int_equal(publisher_open_stream(f->publisher, 0, false, 5, ":1.3", &fds[2]),
			 PUBLISHER_E_LIMIT);
	assert_int_equal(publisher_open_stream(f->publisher, 0, false, 6, ":1.3", &fds[2]), 0);
	assert_int_equal(publisher_open_stream(f->publisher, 0, false, 7, ":1.4", &fds[3]),
			 PUBLISHER_E_LIMIT);
	publisher_statistics(f->publisher, &statistics);
	assert_int_equal(statistics.streams, 3);

	assert_true(publish(f, EVENT_CORRUPTED, "/") > 0);
	loop_for(f, 200000);
	n = recv(fds[0], packet, sizeof(packet), MSG_DONTWAIT);
	assert_true(n > (ssize_t)sizeof(struct fsevents_hello));
	assert_int_equal(((struct fsevents_record *)packet)->kind, FSEVENTS_KIND_HELLO);

	publisher_owner_gone(f->publisher, ":1.9");
	publisher_owner_gone(f->publisher, ":1.1");
	while ((n = recv(fds[0], packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		;
	assert_int_equal(n, 0);
	assert_int_equal(close(fds[0]), 0);

	/* The reader goes: its place is free again. */
	assert_int_equal(close(fds[1]), 0);
	loop_for(f, 200000);
	publisher_statistics(f->publisher, &statistics);
	assert_int_equal(statistics.streams, 1);
	assert_int_equal(quota_used(f->quota, 5, QUOTA_STREAMS), 0);

	stop(f);
	while ((n = recv(fds[2], packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		;
	assert_int_equal(n, 0);
	assert_int_equal(close(fds[2]), 0);
	assert_int_equal(quota_total(f->quota, QUOTA_STREAMS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_private, publisher_setup, publisher_teardown),
		cmocka_unit_test_setup_teardown(test_flood, publisher_setup, publisher_teardown),
		cmocka_unit_test_setup_teardown(test_user_rate, publisher_setup,
						publisher_teardown),
		cmocka_unit_test_setup_teardown(test_pending, publisher_setup, publisher_teardown),
		cmocka_unit_test_setup_teardown(test_streams, publisher_setup, publisher_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
