/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/feed-world.h"

#define STEPS 3000

/* Of the runs; other ones may be given, to look for what these do not show. */
static uint64_t first_seed = 1, n_seeds = 200;
static uint64_t seed_under_way; /* 0: none */

static struct world world;

static void step(struct world *w)
{
	if (w->lossy && model_random(&w->model, 100) == 0)
		w->model.losing = !w->model.losing;
	model_step(&w->model);
}

static void hand_event(struct world *w, const struct model_event *event)
{
	if (event->lost) {
		w->lost_pending++;
		return;
	}
	/* a gap shows with the next event that comes */
	if (w->lost_pending > 0) {
		if (w->ready)
			w->lost += w->lost_pending;
		feed_lost(w->feed, w->lost_pending);
		w->lost_pending = 0;
	}
	feed_event(w->feed, &event->event);
}

/* Return: whether the socket of events was empty. */
static bool round_of(struct world *w, size_t n_max)
{
	const struct feed_clock clock = { .ticks_per_second = 100 };
	struct model *model = &w->model;
	size_t n_records = model->n_records;
	bool empty;

	feed_round_begin(w->feed, &clock);
	for (size_t n = 0; n < n_max && model->n_read < model->n_events; n++)
		hand_event(w, &model->events[model->n_read++]);
	empty = model->n_read == model->n_events;
	while (empty && model->n_records_read < n_records)
		feed_record(w->feed, &model->records[model->n_records_read++]);
	feed_round_end(w->feed, empty);
	return empty;
}

static void scan_some(struct world *w, size_t n_max)
{
	struct process_scan_entry entry;

	if (feed_wants_scan(w->feed)) {
		assert_int_equal(feed_scan_begin(w->feed), 0);
		w->scanning = true;
		w->scan_read = false;
		w->scan_pass = 0;
		w->scan_pid = 1;
	}
	if (!w->scanning || w->scan_read)
		return;

	/* Late, it would be the end of a process that the scan had seen alive. */
	model_hurry(&w->model);
	for (size_t n = 0; n < n_max && w->scan_pass < 2; n++) {
		if (model_scan_one(&w->model, w->scan_pid, &entry))
			assert_int_equal(feed_scan_add(w->feed, &entry), 0);
		if (++w->scan_pid == MODEL_PIDS) {
			w->scan_pid = 1;
			w->scan_pass++;
		}
	}
	if (w->scan_pass == 2) {
		feed_scan_end(w->feed, true);
		w->scan_read = true;
	}
}

static bool is_loss_unread(const struct world *w)
{
	for (size_t i = w->model.n_read; i < w->model.n_events; i++)
		if (w->model.events[i].lost)
			return true;

	return w->lost_pending > 0;
}

static void scan_apply(struct world *w)
{
	int r = feed_scan_apply(w->feed);

	w->applying = r == FEED_E_MORE;
	w->n_slices += w->applying;
	w->scanning = w->applying;
	if (r != 0)
		return;
	w->n_scans++;
	/* a loss that did not show yet is for the next scan */
	if (!is_loss_unread(w))
		model_scanned(&w->model);
	if (w->told_from == SIZE_MAX)
		w->told_from = w->model.n_told;
	if (w->relay_ready && w->forks_from == UINT64_MAX)
		w->forks_from = w->model.user_forks;
}

/* All that happened is known and every scan is done. */
static void settle(struct world *w)
{
	w->model.losing = false;
	model_hurry(&w->model);
	model_noise(&w->model);
	do {
		scan_some(w, SIZE_MAX);
		while (!round_of(w, SIZE_MAX))
			;
		while (w->scan_read && w->scanning) {
			scan_apply(w);
			round_of(w, SIZE_MAX);
		}
	} while (w->scanning || feed_wants_scan(w->feed));
	/* once more for the records */
	round_of(w, SIZE_MAX);
	round_of(w, SIZE_MAX);
}

static bool is_listed(const struct world *w, uint32_t pid)
{
	const struct process *process = NULL;

	while ((process = group_member_next(w->group, process)))
		if (process->pid == pid)
			return true;

	return false;
}

static void check_members(struct world *w)
{
	struct group_totals totals;
	uint32_t n = 0;

	group_totals(w->group, &totals);
	for (uint32_t pid = 1; pid < MODEL_PIDS; pid++) {
		const struct model_process *process = &w->model.processes[pid];
		bool member = process->member && process->state == MODEL_LIVES;
		bool listed = is_listed(w, pid);

		n += listed;
		if (listed == member)
			continue;
		/* the stated limits: reparented, or a pid used again, while events were lost */
		assert_true(w->lossy && !w->model.careful);
		assert_true((member || process->stray) && totals.incomplete);
	}
	assert_int_equal(totals.live, n);
	assert_int_equal(w->empty, n == 0);
	assert_int_equal(totals.lost, 0);
	group_totals(w->roots, &totals);
	assert_int_equal(totals.lost, w->lost_told);
	/* what is lost after the end is not lost to the group */
	assert_true(w->empty ? w->lost_told <= w->lost : w->lost_told == w->lost);
}

static bool is_event(const struct group_event *got, const struct group_event *want)
{
	return got->kind == want->kind && got->pid == want->pid && got->status == want->status &&
	       (got->kind != GROUP_FORK || got->other == want->other);
}

/* What was told is the truth, all of it, in its order. */
static void check_told_all(const struct world *w)
{
	const struct model *model = &w->model;
	size_t i = 0;

	for (size_t at = w->told_from; at < model->n_told; at++) {
		const struct group_event *told = &model->told[at].event;

		if (model->told[at].stranger)
			continue;
		if (i < w->n_got && is_event(&w->got[i], told))
			i++;
		else /* one that a scan found with another uid already */
			assert_true(told->kind == GROUP_EXEC && model->set_uid);
	}
	assert_int_equal(i, w->n_got);
}

/*
 * With losses: nothing that did not happen to a process, in its order. The
 * threads of one may be unknown, and then the end of its leader is told for
 * its own. Where the end was lost and the pid used again, what the next one
 * does may be told of the former, if neither is there when the scan looks.
 */
static void check_told_some(const struct world *w, uint32_t pid)
{
	const struct model *model = &w->model;
	size_t at = w->told_from;

	for (size_t i = 0; i < w->n_got; i++) {
		const struct group_event *got = &w->got[i];

		if (got->pid != pid)
			continue;
		for (; at < model->n_told; at++) {
			struct model_told told = model->told[at];

			if (got->kind == GROUP_EXIT)
				told.event.status = got->status;
			else if (told.lost)
				continue;
			if (!told.stranger && is_event(got, &told.event))
				break;
		}
		assert_true(at < model->n_told);
		at++;
	}
}

/* Nothing of what another user's process executed, whatever was lost. */
static void check_told_own(const struct world *w, uint32_t pid)
{
	const struct model *model = &w->model;
	size_t at = w->told_from;

	for (size_t i = 0; i < w->n_got; i++) {
		if (w->got[i].kind != GROUP_EXEC || w->got[i].pid != pid)
			continue;
		while (at < model->n_told &&
		       !(is_event(&w->got[i], &model->told[at].event) && !model->told[at].lost))
			at++;
		assert_true(at < model->n_told);
		at++;
	}
}

static void check_told(const struct world *w)
{
	struct group_totals totals;

	group_totals(w->group, &totals);
	assert_int_equal(totals.forks + totals.execs + totals.exits, w->n_got);
	if (w->lossy) {
		for (uint32_t pid = 1; pid < MODEL_PIDS; pid++)
			if (w->model.muddled[pid])
				check_told_own(w, pid);
			else
				check_told_some(w, pid);
		return;
	}

	check_told_all(w);
	assert_int_equal(totals.incomplete, w->model.set_uid);
	if (w->empty)
		assert_int_equal(totals.user_us, w->model.user_us);
	/* else some are told of what waited while it became ready */
	if (w->relay_ready && !w->sliced)
		assert_int_equal(relay_sent(w->relay), w->model.user_forks - w->forks_from);
}

static void begin(struct world *w, uint64_t seed, bool lossy, bool careful)
{
	const struct group_options options = {
		.leader = MODEL_LEADER,
		.start_ticks = 103,
		.owner = MODEL_USER,
		.events = GROUP_EVENTS_ALL,
		.accounting = true,
	};
	const struct group_options roots = { .leader = MODEL_LEADER, .start_ticks = 103 };

	memset(w, 0, sizeof(*w));
	w->next_seq = 1;
	w->lossy = lossy;
	w->sliced = seed % 2;
	w->told_from = SIZE_MAX;
	w->forks_from = UINT64_MAX;
	model_init(&w->model, seed);
	w->model.careful = careful;
	w->model.late = !lossy;
	assert_int_equal(feed_new(&w->feed, &ops, w), 0);
	assert_int_equal(group_new(&w->group, feed_groups(w->feed), &options, w), 0);
	assert_int_equal(group_new(&w->roots, feed_groups(w->feed), &roots, w), 0);
	settle(w);
	assert_true(w->ready);
}

static void begin_relay(struct world *w)
{
	const struct relay_options options = { .pid = 5000, .signal = 40, .owner = MODEL_USER };

	assert_int_equal(relay_add(feed_relays(w->feed), &options, NULL, &w->relay), 0);
	assert_true(feed_wants_scan(w->feed) || w->scanning);
}

static void end(struct world *w)
{
	struct feed_statistics statistics;
	const struct feed_clock clock = { .ticks_per_second = 100 };

	group_free(w->group);
	group_free(w->roots);
	if (w->relay)
		relay_stop(w->relay);
	while (feed_wants_round(w->feed))
		round_of(w, SIZE_MAX);
	assert_false(feed_wants_events(w->feed));
	feed_stopped(w->feed);
	feed_round_begin(w->feed, &clock);
	feed_round_end(w->feed, true);
	feed_statistics(w->feed, &statistics);
	assert_int_equal(statistics.followed, 0);
	assert_int_equal(statistics.threads, 0);
	feed_free(w->feed);
}

static void run(struct world *w, uint64_t seed, bool lossy, bool careful)
{
	begin(w, seed, lossy, careful);
	for (unsigned int i = 0; i < STEPS && !w->empty; i++) {
		step(w);
		if (i == 200)
			begin_relay(w);
		if (model_random(&w->model, 4) == 0)
			scan_some(w, model_random(&w->model, 100));
		if (model_random(&w->model, 6) == 0 &&
		    (round_of(w, model_random(&w->model, 40) + 1) || w->applying) && w->scanning &&
		    w->scan_read)
			scan_apply(w);
		if (model_random(&w->model, 50) == 0) {
			settle(w);
			check_members(w);
		}
	}
	settle(w);
	check_members(w);
	check_told(w);
}

struct summary {
	size_t n_events, n_empty, n_scans, n_slices;
	uint64_t lost;
};

static void run_seeds(bool lossy, bool careful)
{
	struct summary all = {};

	for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
		seed_under_way = seed;
		run(&world, seed, lossy, careful);
		all.n_events += world.n_got;
		all.n_empty += world.empty;
		all.n_scans += world.n_scans;
		all.n_slices += world.n_slices;
		all.lost += world.lost;
		end(&world);
	}
	seed_under_way = 0;

	print_message("%llu runs: %zu events told, %zu ended empty, %zu scans in %zu slices more, "
		      "%llu lost\n",
		      (unsigned long long)n_seeds, all.n_events, all.n_empty, all.n_scans,
		      all.n_slices, (unsigned long long)all.lost);
	assert_true(all.n_events > 5 * n_seeds && all.n_scans > n_seeds);
	assert_int_equal(all.lost > 0, lossy);
}

static void test_lossless(void **state)
{
	run_seeds(false, false);
}

static void test_losses(void **state)
{
	run_seeds(true, true);
}

static void test_losses_and_orphans(void **state)
{
	run_seeds(true, false);
}

static int teardown(void **state)
{
	if (seed_under_way > 0)
		print_message("it was with seed %llu\n", (unsigned long long)seed_under_way);
	seed_under_way = 0;
	return 0;
}

/* Arguments: the first seed, and how many. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lossless, teardown),
		cmocka_unit_test_teardown(test_losses, teardown),
		cmocka_unit_test_teardown(test_losses_and_orphans, teardown),
	};

	if (argc > 1)
		first_seed = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		n_seeds = strtoull(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
