/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/relay.h"

/* What the other side does, and what it was asked. */
struct world {
	struct relays *relays;
	bool same; /* the process is the one that was registered */
	int answer; /* of sending */
	uint64_t now_ns;
	unsigned int n_ready, n_checks, n_sent, n_ended;
	uint32_t parent, child;
	enum relay_end why;
};

static void on_ready(struct relay *relay, void *userdata)
{
	((struct world *)userdata)->n_ready++;
}

static bool on_check(struct relay *relay, enum relay_end *ret_why, void *userdata)
{
	struct world *w = userdata;

	w->n_checks++;
	if (!w->same)
		*ret_why = RELAY_UIDS_CHANGED;
	return w->same;
}

static int on_send(struct relay *relay, uint32_t parent, uint32_t child, void *userdata)
{
	struct world *w = userdata;

	w->n_sent++;
	w->parent = parent;
	w->child = child;
	return w->answer;
}

static uint64_t on_now(void *userdata)
{
	return ((struct world *)userdata)->now_ns;
}

static void on_ended(struct relay *relay, enum relay_end why, void *userdata)
{
	struct world *w = userdata;

	w->n_ended++;
	w->why = why;
}

static const struct relay_ops ops = { on_ready, on_check, on_send, on_now, on_ended };

static int setup(void **state)
{
	static struct world w;

	w = (struct world){ .same = true };
	*state = &w;
	return relays_new(&w.relays, &ops, &w);
}

static int teardown(void **state)
{
	struct world *w = *state;

	relays_free(w->relays);
	return 0;
}

static struct relay *add(struct world *w, uint32_t pid, bool all)
{
	const struct relay_options options = {
		.pid = pid, .signal = 40, .owner = 1000, .all = all, .since_ns = 100
	};
	struct relay *relay;

	assert_int_equal(relay_add(w->relays, &options, NULL, &relay), 0);
	return relay;
}

static void fork_at(struct world *w, uint64_t ns, uint32_t parent, uint32_t child)
{
	const struct wire_proc_event event = { .kind = WIRE_PROC_FORK,
					       .monotonic_ns = ns,
					       .tid = child,
					       .tgid = child,
					       .parent_tid = parent,
					       .parent_tgid = parent };
	const struct process own = { .pid = parent, .uid = 1000, .uid_known = true };

	relays_note(w->relays, &event);
	relays_note_own(w->relays, &event, &own);
}

static void note(struct world *w, enum wire_proc_kind kind, uint64_t ns, uint32_t tid,
		 uint32_t tgid)
{
	const struct wire_proc_event event = {
		.kind = kind, .monotonic_ns = ns, .tid = tid, .tgid = tgid
	};

	relays_note(w->relays, &event);
}

static void test_refused(void **state)
{
	struct world *w = *state;
	struct relay_options options = { .pid = 50, .signal = RELAY_SIGNAL_MIN - 1 };
	struct relay *relay;

	assert_int_equal(relay_add(w->relays, &options, NULL, &relay), -EINVAL);
	options.signal = RELAY_SIGNAL_MAX + 1;
	assert_int_equal(relay_add(w->relays, &options, NULL, &relay), -EINVAL);
	options.signal = RELAY_SIGNAL_MAX;
	options.pid = 1;
	assert_int_equal(relay_add(w->relays, &options, NULL, &relay), -EINVAL);
	for (options.pid = 2; options.pid < 2 + RELAYS_MAX; options.pid++)
		assert_int_equal(relay_add(w->relays, &options, NULL, &relay), 0);
	assert_int_equal(relay_add(w->relays, &options, NULL, &relay), -ENOSPC);
	/* one that replaces needs no more room */
	options.pid = 2;
	assert_int_equal(relay_add(w->relays, &options, NULL, &relay), 0);
	assert_int_equal(w->n_ended, 1);
	assert_int_equal(w->why, RELAY_STOPPED);
}

static void test_all(void **state)
{
	struct world *w = *state;
	struct relay *relay = add(w, 50, true);

	relays_batch(w->relays);
	/* what was before its registration, and threads, are none of its business */
	fork_at(w, 99, 7, 8);
	note(w, WIRE_PROC_FORK, 100, 9, 8);
	assert_int_equal(w->n_sent, 0);
	fork_at(w, 100, 7, 8);
	assert_int_equal(w->parent, 7);
	assert_int_equal(w->child, 8);
	fork_at(w, 101, 8, 9);
	assert_int_equal(w->n_sent, 2);
	assert_int_equal(w->n_checks, 1);
	relays_batch(w->relays);
	fork_at(w, 102, 8, 10);
	assert_int_equal(w->n_checks, 2);
	assert_int_equal(relay_sent(relay), 3);
	assert_int_equal(relay_lost(relay), 0);
}

static void test_own(void **state)
{
	struct world *w = *state;
	const struct process others[] = {
		{ .pid = 7, .uid = 1001, .uid_known = true },
		{ .pid = 7, .uid = 1000, .uid_known = true, .uid_mixed = true },
		{ .pid = 7, .uid = 1000 },
	};
	const struct wire_proc_event event = {
		.kind = WIRE_PROC_FORK, .monotonic_ns = 100, .tid = 8, .tgid = 8, .parent_tgid = 7
	};

	add(w, 50, false);
	assert_true(relays_want_scan(w->relays) && relays_want_table(w->relays));
	assert_true(relays_want_uid(w->relays, 1000));
	assert_false(relays_want_uid(w->relays, 0));
	relays_batch(w->relays);
	fork_at(w, 100, 7, 8);
	assert_int_equal(w->n_sent, 0);

	/* one that may have missed some is not the last */
	relays_scan_begun(w->relays);
	relays_ready(w->relays, true);
	assert_int_equal(w->n_ready, 0);
	assert_true(relays_want_scan(w->relays));
	relays_scan_begun(w->relays);
	relays_ready(w->relays, false);
	assert_int_equal(w->n_ready, 1);
	assert_false(relays_want_scan(w->relays));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		relays_note_own(w->relays, &event, &others[i]);
	assert_int_equal(w->n_sent, 0);
	fork_at(w, 100, 7, 8);
	assert_int_equal(w->n_sent, 1);
}

static void test_full_queue(void **state)
{
	struct world *w = *state;
	struct relay *relay = add(w, 50, true);

	relays_batch(w->relays);
	w->answer = RELAY_E_LOST;
	fork_at(w, 100, 7, 8);
	fork_at(w, 101, 7, 9);
	assert_int_equal(relay_lost(relay), 2);
	assert_int_equal(relay_sent(relay), 0);
	relays_note_lost(w->relays, 5);
	relays_note_lost(w->relays, 0);
	assert_int_equal(relay_lost(relay), 8);
	assert_int_equal(w->n_checks, 1);

	w->answer = RELAY_E_GONE;
	fork_at(w, 102, 7, 10);
	assert_int_equal(w->n_checks, 2);
	assert_int_equal(w->n_ended, 1);
	assert_int_equal(w->why, RELAY_EXITED);
	assert_null(relays_find(w->relays, 50));
}

/* Each ends one of several; the others go on. */
static void test_ends(void **state)
{
	struct world *w = *state;

	for (uint32_t pid = 50; pid < 55; pid++)
		add(w, pid, true);
	relays_batch(w->relays);

	note(w, WIRE_PROC_EXEC, 99, 50, 50);
	assert_int_equal(w->n_ended, 0);
	note(w, WIRE_PROC_EXEC, 100, 50, 50);
	assert_int_equal(w->why, RELAY_EXECED);
	note(w, WIRE_PROC_UID, 100, 77, 51);
	assert_int_equal(w->why, RELAY_UIDS_CHANGED);
	assert_int_equal(w->n_ended, 2);

	/* a thread's end is none of the process while it is there */
	note(w, WIRE_PROC_EXIT, 100, 78, 52);
	assert_int_equal(w->n_ended, 2);
	w->same = false;
	note(w, WIRE_PROC_EXIT, 101, 52, 52);
	relays_batch_end(w->relays);
	assert_int_equal(w->n_ended, 3);

	/* seen before the signal, or after a loss */
	relays_batch(w->relays);
	fork_at(w, 102, 7, 8);
	assert_int_equal(w->n_ended, 5);
	assert_int_equal(w->n_sent, 0);
	assert_null(relays_next(w->relays, NULL));
	add(w, 50, true);
	relays_note_lost(w->relays, 0);
	relays_batch_end(w->relays);
	assert_int_equal(w->n_ended, 6);
}

/* However much happens within a batch, looks are few; and none where nothing did. */
static void test_check_once(void **state)
{
	struct world *w = *state;

	add(w, 50, true);
	relays_batch(w->relays);
	for (uint32_t tid = 100; tid < 1100; tid++) {
		note(w, WIRE_PROC_EXIT, 100, tid, 50);
		relays_note_lost(w->relays, 1);
	}
	assert_int_equal(w->n_checks, 0);
	relays_batch_end(w->relays);
	assert_int_equal(w->n_checks, 1);

	/* a signal after a loss waits for a look, the first time */
	relays_batch(w->relays);
	for (uint32_t i = 0; i < 10; i++) {
		relays_note_lost(w->relays, 1);
		fork_at(w, 101, 7, 8);
	}
	assert_int_equal(w->n_sent, 10);
	assert_int_equal(w->n_checks, 2);
	relays_batch_end(w->relays);
	assert_int_equal(w->n_checks, 3);
	relays_batch_end(w->relays);
	assert_int_equal(w->n_checks, 3);
}

/* One batch may be long, in signals and in time. */
static void test_check_again(void **state)
{
	struct world *w = *state;

	add(w, 50, true);
	relays_batch(w->relays);
	for (unsigned int i = 0; i < RELAY_CHECK_SIGNALS; i++)
		fork_at(w, 100, 7, 8);
	assert_int_equal(w->n_checks, 1);
	fork_at(w, 100, 7, 8);
	assert_int_equal(w->n_checks, 2);
	w->now_ns += RELAY_CHECK_NS - 1;
	fork_at(w, 100, 7, 8);
	assert_int_equal(w->n_checks, 2);
	w->now_ns++;
	w->same = false;
	fork_at(w, 100, 7, 8);
	assert_int_equal(w->n_checks, 3);
	assert_int_equal(w->n_ended, 1);
	assert_int_equal(w->n_sent, RELAY_CHECK_SIGNALS + 2);
}

/* It begins in the end, whatever the scans may have missed. */
static void test_doubtful_for_good(void **state)
{
	struct world *w = *state;
	struct relay *relay = add(w, 50, false);

	for (unsigned int i = 0; i < RELAY_DOUBTFUL_MAX; i++) {
		relays_scan_begun(w->relays);
		relays_ready(w->relays, true);
		assert_int_equal(w->n_ready, 0);
	}
	relays_scan_begun(w->relays);
	relays_ready(w->relays, true);
	assert_int_equal(w->n_ready, 1);
	assert_int_equal(relay_lost(relay), 1);
	assert_false(relays_want_scan(w->relays));
}

/* How much all users together lost is not each one's to know. */
static void test_lost_of_one(void **state)
{
	struct world *w = *state;
	struct relay *own = add(w, 50, false), *all = add(w, 51, true);

	relays_note_lost(w->relays, 1000);
	relays_note_lost(w->relays, 0);
	assert_int_equal(relay_lost(own), 2);
	assert_int_equal(relay_lost(all), 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doubtful_for_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_of_one, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
