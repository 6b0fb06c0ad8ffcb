/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "daemon/output/journal.h"
#include "daemon/processes-internal.h"

/* Of one batch; what is above it waits in the socket. */
#define RECORDS_MAX 32768
#define RECORDS_STEP 1024

/* Where events are lost faster than /proc is read. */
#define SCAN_PAUSE_MIN_US 20000
#define SCAN_PAUSE_MAX_US 2000000

/* From the end of one to the next: so many times as long as it took, up to a bound. */
#define SCAN_REST 2
#define SCAN_REST_MAX_US 1000000

/* A subscription that only the policy wants is tried again. */
#define RETRY_US 60000000

static int64_t clock_ns(clockid_t id)
{
	struct timespec now = {};

	(void)clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t now_us(void)
{
	return (uint64_t)(clock_ns(CLOCK_MONOTONIC) / 1000);
}

void processes_arm(sd_event_source *timer, uint64_t us)
{
	int r;

	r = sd_event_source_set_time(timer, now_us() + us);
	assert(r >= 0);
	r = sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
	assert(r >= 0);
}

void processes_disarm(sd_event_source *source)
{
	int r;

	r = sd_event_source_set_enabled(source, SD_EVENT_OFF);
	assert(r >= 0);
}

uint64_t processes_ticks(const struct processes *processes, uint64_t monotonic_us)
{
	const struct feed_clock *clock = &processes->clock;
	int64_t boot_us = (int64_t)monotonic_us + clock->boot_minus_monotonic_ns / 1000;

	return boot_us < 0 ? 0 : (uint64_t)boot_us * clock->ticks_per_second / 1000000;
}

/*
 * Scans
 */

/* Whatever became of it: somebody may begin and release groups without end. */
static void scan_account(struct processes *processes)
{
	uint64_t now = now_us(), took_us, pause_us;

	if (processes->scan == SCAN_NONE)
		return;

	processes->scan = SCAN_NONE;
	took_us = now - processes->scan_began_us;
	pause_us = SCAN_REST * took_us;
	processes->scan_took_us = took_us;
	processes->scan_next_us = now + (pause_us < SCAN_REST_MAX_US ? pause_us : SCAN_REST_MAX_US);
}

static void scan_stop(struct processes *processes)
{
	process_scanner_stop(processes->scanner);
	processes_disarm(processes->rescan);
	scan_account(processes);
}

static void scan_start(struct processes *processes)
{
	int r;

	/* The feed wants no other once it has begun one. */
	r = process_scanner_start(processes->scanner);
	if (r >= 0)
		r = feed_scan_begin(processes->feed);
	if (r < 0) {
		process_scanner_stop(processes->scanner);
		journal_log_limited(LOG_WARNING, NULL, "scan", "Cannot read /proc: %s",
				    strerror(-r));
		processes->scan = SCAN_NONE;
		processes_arm(processes->rescan, SCAN_PAUSE_MAX_US);
		return;
	}
	processes->scan = SCAN_READING;
	processes->scan_began_us = now_us();
}

static uint64_t scan_wait_us(const struct processes *processes)
{
	uint64_t now = now_us(), rest_us = 0;

	if (processes->scan_next_us > now)
		rest_us = processes->scan_next_us - now;
	return rest_us > processes->scan_pause_us ? rest_us : processes->scan_pause_us;
}

/*
 * At once the first time, then with pauses until one succeeds. All that wait
 * are served by one, and events go on between two.
 */
static void scan_review(struct processes *processes)
{
	int armed = SD_EVENT_OFF;
	uint64_t wait_us;

	/* What waits behind one that was applied goes before the next. */
	if (!feed_wants_scan(processes->feed) || processes->scan == SCAN_APPLYING)
		return;

	/* One that is under way was overtaken by a loss. */
	if (processes->scan != SCAN_NONE)
		scan_stop(processes);

	(void)sd_event_source_get_enabled(processes->rescan, &armed);
	if (armed != SD_EVENT_OFF)
		return;
	wait_us = scan_wait_us(processes);
	if (wait_us == 0)
		scan_start(processes);
	else
		processes_arm(processes->rescan, wait_us);

	processes->scan_pause_us =
		processes->scan_pause_us ? 2 * processes->scan_pause_us : SCAN_PAUSE_MIN_US;
	if (processes->scan_pause_us > SCAN_PAUSE_MAX_US)
		processes->scan_pause_us = SCAN_PAUSE_MAX_US;
}

void processes_rescan(struct processes *processes)
{
	if (process_source_is_started(processes->source) && feed_wants_scan(processes->feed))
		scan_start(processes);
}

static void on_scanner_entry(const struct process_scan_entry *entry, void *userdata)
{
	struct processes *processes = userdata;

	/* A failure is told by the scan itself: it is incomplete. */
	(void)feed_scan_add(processes->feed, entry);
}

static void on_scanner_done(bool complete, void *userdata)
{
	struct processes *processes = userdata;

	feed_scan_end(processes->feed, complete);
	processes->scan = SCAN_READ;
	process_source_kick(processes->source);
}

const struct process_scanner_ops processes_scanner_ops = {
	.entry = on_scanner_entry,
	.done = on_scanner_done,
};

/* Return: whether there is more to do in another turn. */
static bool scan_apply(struct processes *processes)
{
	int r = feed_scan_apply(processes->feed);

	if (r == FEED_E_MORE) {
		processes->scan = SCAN_APPLYING;
		return true;
	}

	scan_account(processes);
	if (r == 0)
		processes->scan_pause_us = 0;
	return false;
}

/*
 * Batches
 */

static void read_records(struct processes *processes)
{
	bool lost = false;
	int n = 0;

	if (!taskstats_is_started(processes->taskstats))
		return;

	processes->records_left = true;
	do {
		if (processes->n_records == processes->n_records_allocated) {
			size_t n_allocated = processes->n_records_allocated + RECORDS_STEP;
			struct wire_taskstats *records;

			if (n_allocated > RECORDS_MAX)
				break;
			records = reallocarray(processes->records, n_allocated, sizeof(*records));
			if (!records)
				break;
			processes->records = records;
			processes->n_records_allocated = n_allocated;
		}
		n = taskstats_read(processes->taskstats, processes->records + processes->n_records,
				   processes->n_records_allocated - processes->n_records, &lost);
		processes->n_records += n > 0 ? (size_t)n : 0;
		processes->records_left = n > 0;
	} while (n > 0);

	if (lost)
		feed_records_lost(processes->feed);
}

/* Those that may be of forks that are still to be read wait for them, while @empty is false. */
static void apply_records(struct processes *processes, bool empty)
{
	size_t n_kept = 0;

	for (size_t i = 0; i < processes->n_records; i++) {
		const struct wire_taskstats *record = &processes->records[i];

		if (empty || feed_awaits_record(processes->feed, record))
			feed_record(processes->feed, record);
		else
			processes->records[n_kept++] = *record;
	}
	processes->n_records = n_kept;
}

static void on_begin(void *userdata)
{
	struct processes *processes = userdata;
	int64_t monotonic_ns = clock_ns(CLOCK_MONOTONIC);

	processes->clock = (struct feed_clock){
		.boot_minus_monotonic_ns = clock_ns(CLOCK_BOOTTIME) - monotonic_ns,
		.ticks_per_second = (uint32_t)sysconf(_SC_CLK_TCK),
	};
	processes->busy++;
	processes->realtime_minus_monotonic_us =
		(uint64_t)((clock_ns(CLOCK_REALTIME) - monotonic_ns) / 1000);
	if (processes->scan == SCAN_READ)
		processes->scan = SCAN_CATCHING_UP;

	read_records(processes);
	feed_round_begin(processes->feed, &processes->clock);
}

static void on_event(const struct wire_proc_event *event, void *userdata)
{
	struct processes *processes = userdata;

	feed_event(processes->feed, event);
}

static void on_lost(uint64_t count, void *userdata)
{
	struct processes *processes = userdata;

	feed_lost(processes->feed, count);
}

static bool needs_review(const struct processes *processes)
{
	return feed_wants_scan(processes->feed) || !feed_wants_events(processes->feed) ||
	       feed_wants_records(processes->feed) != taskstats_is_started(processes->taskstats);
}

static bool on_end(bool empty, void *userdata)
{
	struct processes *processes = userdata;
	bool again;

	apply_records(processes, empty);
	/* A record that is still in the socket is not missing. */
	again = feed_round_end(processes->feed, empty && !processes->records_left);
	if ((empty && processes->scan == SCAN_CATCHING_UP) || processes->scan == SCAN_APPLYING)
		again |= scan_apply(processes);

	processes->busy--;
	processes_settle_groups(processes);
	if (needs_review(processes))
		processes_review_later(processes);
	return again || processes->records_left;
}

static struct bus_refusal refuse_all(struct processes *processes)
{
	struct bus_refusal refusal;

	processes_refuse_source(processes, &refusal);
	processes_fail_groups(processes, &refusal);
	processes_fail_relays(processes, &refusal);
	return refusal;
}

static void on_started(int error, void *userdata)
{
	struct processes *processes = userdata;
	struct bus_refusal refusal;

	processes->error = -error;
	if (error == 0) {
		processes_settle_relays(processes);
		processes_review_later(processes);
		return;
	}

	processes->subscribed = false;
	refusal = refuse_all(processes);
	/* Those that run wait for another source. */
	processes->busy++;
	feed_broke(processes->feed);
	processes->busy--;
	journal_log_limited(LOG_WARNING, NULL, "proc-connector", "%s", refusal.text);
	processes_arm(processes->retry, RETRY_US);
}

const struct process_events_ops processes_events_ops = {
	.started = on_started,
	.begin = on_begin,
	.event = on_event,
	.lost = on_lost,
	.end = on_end,
	.prompt = processes_take_prompt,
};

/*
 * What is needed
 */

static void review_records(struct processes *processes)
{
	bool wanted = feed_wants_records(processes->feed);
	int r;

	if (wanted == taskstats_is_started(processes->taskstats))
		return;

	if (!wanted) {
		taskstats_stop(processes->taskstats);
		free(processes->records);
		processes->records = NULL;
		processes->n_records = processes->n_records_allocated = 0;
		processes->records_left = false;
		return;
	}

	r = taskstats_start(processes->taskstats);
	processes->accounting_error = -r;
	if (r < 0) {
		journal_log_limited(LOG_WARNING, NULL, "taskstats",
				    "No accounting of processes: %s", strerror(-r));
		feed_records_lost(processes->feed);
	}
}

static void unsubscribe(struct processes *processes)
{
	scan_stop(processes);
	processes_disarm(processes->retry);
	processes->scan_pause_us = 0;
	process_source_stop(processes->source);
	processes->subscribed = false;
	review_records(processes);
	feed_stopped(processes->feed);
}

/* Rules alone can do with a loss: they follow everybody, and a scan finds them again. */
static bool follows_closely(const struct processes *processes)
{
	return !LIST_EMPTY(&processes->tracked) || !LIST_EMPTY(&processes->relayed) ||
	       !LIST_EMPTY(&processes->relay_questions);
}

void processes_set_module(struct processes *processes, bool present)
{
	assert(processes);

	process_source_set_module(processes->source, present);
	processes_review_later(processes);
}

void processes_review(struct processes *processes)
{
	int r;

	process_source_set_prompt(processes->source, processes_want_files(processes));
	if (!feed_wants_events(processes->feed)) {
		unsubscribe(processes);
		return;
	}
	if (processes->off) {
		refuse_all(processes);
		return;
	}

	/* Records first: those of exits that are told are there then. */
	review_records(processes);
	if (!processes->subscribed) {
		processes->subscribed = true;
		r = process_source_start(processes->source);
		if (r < 0)
			on_started(r, processes);
		return;
	}
	if (!follows_closely(processes))
		process_source_improve(processes->source);
	if (!process_source_is_started(processes->source))
		return;
	if (feed_wants_round(processes->feed))
		process_source_kick(processes->source);
	scan_review(processes);
}
