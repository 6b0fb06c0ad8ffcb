/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "daemon/output/journal.h"
#include "daemon/processes-internal.h"

/* Below the bus, above the scanner. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

void processes_review_later(struct processes *processes)
{
	int r;

	/* At the end, when the loop has ended, nothing is needed any more. */
	if (sd_event_get_state(processes->loop) == SD_EVENT_FINISHED)
		return;
	r = sd_event_source_set_enabled(processes->review, SD_EVENT_ONESHOT);
	assert(r >= 0);
}

void processes_arm_members(struct processes *processes)
{
	int r;

	r = sd_event_source_set_enabled(processes->members, SD_EVENT_ONESHOT);
	assert(r >= 0);
}

void processes_flush_later(struct processes *processes)
{
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(processes->flush, &enabled);
	if (enabled != SD_EVENT_OFF && !processes->flush_blocked)
		return;
	processes->flush_blocked = false;
	processes_arm(processes->flush, PROCESSES_LATENCY_US);
}

void processes_refuse_source(struct processes *processes, struct bus_refusal *refusal)
{
	if (processes->off)
		(void)bus_refusal_set(refusal, SD_BUS_ERROR_NOT_SUPPORTED,
				      "Processes are not followed: %s", processes->off);
	else
		(void)bus_refusal_set(refusal, SD_BUS_ERROR_NOT_SUPPORTED,
				      "The kernel tells nothing of processes here: %s",
				      strerror(processes->error));
}

static int on_review(sd_event_source *source, void *userdata)
{
	struct processes *processes = userdata;

	processes_review(processes);
	processes_settle_groups(processes);
	return 0;
}

static int on_members(sd_event_source *source, void *userdata)
{
	processes_read_members(userdata);
	return 0;
}

static int on_rescan(sd_event_source *source, uint64_t us, void *userdata)
{
	processes_rescan(userdata);
	return 0;
}

static int on_patience(sd_event_source *source, uint64_t us, void *userdata)
{
	processes_end_patience(userdata);
	return 0;
}

static int on_retry(sd_event_source *source, uint64_t us, void *userdata)
{
	processes_review_later(userdata);
	return 0;
}

static int on_look(sd_event_source *source, uint64_t us, void *userdata)
{
	processes_look_again(userdata);
	return 0;
}

static int on_flush(sd_event_source *source, uint64_t us, void *userdata)
{
	processes_flush(userdata);
	return 0;
}

const char *processes_source(const struct processes *processes)
{
	struct processes *self = (struct processes *)processes;

	assert(processes);

	if (processes->error == 0 && !processes->off)
		return process_source_name(processes->source);
	(void)snprintf(self->source_text, sizeof(self->source_text), "none: %s",
		       processes->off ? processes->off : strerror(processes->error));
	return processes->source_text;
}

const char *processes_accounting_source(const struct processes *processes)
{
	struct processes *self = (struct processes *)processes;

	assert(processes);

	if (processes->accounting_error == 0 && !processes->off)
		return "taskstats";
	(void)snprintf(self->accounting_text, sizeof(self->accounting_text), "none: %s",
		       processes->off ? processes->off : strerror(processes->accounting_error));
	return processes->accounting_text;
}

void processes_statistics(const struct processes *processes, bool root,
			  void (*add)(const char *key, uint64_t value, void *ctx), void *ctx)
{
	struct process_events_statistics source;
	struct taskstats_statistics taskstats;
	struct feed_statistics feed;

	assert(processes && add);

	if (!root)
		return;

	process_source_statistics(processes->source, &source);
	taskstats_statistics(processes->taskstats, &taskstats);
	feed_statistics(processes->feed, &feed);
	add("process-batches", source.batches, ctx);
	add("process-events", source.events, ctx);
	add("process-lost", source.lost, ctx);
	add("process-overruns", source.overruns, ctx);
	add("process-foreign", source.foreign, ctx);
	add("process-scans", feed.scans, ctx);
	add("process-scans-put-off", processes->put_off, ctx);
	add("process-followed", feed.followed, ctx);
	add("process-dropped", processes->dropped, ctx);
	add("accounting-records", taskstats.records, ctx);
	add("accounting-overruns", taskstats.overruns, ctx);
}

void processes_set_off(struct processes *processes, const char *why)
{
	assert(processes && why);
	assert(!processes->subscribed);

	processes->off = why;
}

void processes_set_bus(struct processes *processes, struct bus *bus)
{
	assert(processes);

	processes->bus = bus;
}

static int add_timer(struct processes *processes, sd_event_source **ret, const char *name,
		     sd_event_time_handler_t handler)
{
	int r;

	r = sd_event_add_time(processes->loop, ret, CLOCK_MONOTONIC, 0, 1000, handler, processes);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(*ret, name);
	r = sd_event_source_set_exit_on_failure(*ret, true);
	return r < 0 ? r : sd_event_source_set_priority(*ret, PRIORITY);
}

static int add_defer(struct processes *processes, sd_event_source **ret, const char *name,
		     sd_event_handler_t handler)
{
	int r;

	r = sd_event_add_defer(processes->loop, ret, handler, processes);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(*ret, name);
	r = sd_event_source_set_exit_on_failure(*ret, true);
	return r < 0 ? r : sd_event_source_set_priority(*ret, PRIORITY);
}

static int add_sources(struct processes *processes)
{
	int r;

	r = add_defer(processes, &processes->review, "processes-review", on_review);
	if (r >= 0)
		r = add_defer(processes, &processes->members, "processes-members", on_members);
	if (r < 0)
		return r;

	r = add_timer(processes, &processes->rescan, "processes-rescan", on_rescan);
	if (r >= 0)
		r = add_timer(processes, &processes->retry, "processes-retry", on_retry);
	if (r >= 0)
		r = add_timer(processes, &processes->patience, "processes-patience", on_patience);
	if (r >= 0)
		r = add_timer(processes, &processes->look, "processes-look", on_look);
	if (r >= 0)
		r = add_timer(processes, &processes->flush, "processes-flush", on_flush);
	return r;
}

static int add_parts(struct processes *processes, const struct process_source_options *source)
{
	int r;

	processes->feed_ops = (struct feed_ops){
		.group = processes_group_ops,
		.relay = processes_relay_ops,
		.policy = processes_policy_ops,
		.identify = processes_identify,
		.read_uids = processes_read_uids,
	};

	r = feed_new(&processes->feed, &processes->feed_ops, processes);
	if (r >= 0)
		r = process_source_new(&processes->source, processes->loop, source,
				       &processes_events_ops, processes);
	if (r >= 0)
		r = process_scanner_new(&processes->scanner, processes->loop,
					&processes_scanner_ops, processes);
	if (r >= 0)
		r = unread_new(&processes->unread, processes->loop);
	if (r >= 0)
		r = taskstats_new(&processes->taskstats, 0);
	return r;
}

int processes_new(struct processes **ret, sd_event *loop, const struct processes_options *options,
		  const struct processes_ops *ops, void *userdata)
{
	_cleanup_(processes_freep) struct processes *processes = NULL;
	const struct process_source_options source = { .pool = options->pool,
						       .buffer = options->source_buffer };
	int r;

	assert(ret);
	assert(loop);
	assert(options->quota);
	assert(ops && ops->warn);

	processes = calloc(1, sizeof(*processes));
	if (!processes)
		return -ENOMEM;
	processes->loop = sd_event_ref(loop);
	STAILQ_INIT(&processes->questions);
	processes->quota = options->quota;
	processes->ops = ops;
	processes->userdata = userdata;

	r = add_sources(processes);
	if (r < 0)
		return r;
	r = add_parts(processes, &source);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(processes);
	return 0;
}

/* Where the bus has left before, nobody hears it, but the answers are owned here. */
static void answer_all(struct processes *processes)
{
	struct bus_refusal refusal;

	(void)bus_refusal_set(&refusal, SD_BUS_ERROR_NO_REPLY, "The daemon stops");
	processes_fail_groups(processes, &refusal);
	processes_fail_relays(processes, &refusal);
}

struct processes *processes_free(struct processes *processes)
{
	if (!processes)
		return NULL;

	/* The bus knows of its end already. */
	processes->bus = NULL;
	answer_all(processes);
	while (!LIST_EMPTY(&processes->tracked))
		tracked_free(LIST_FIRST(&processes->tracked));

	unread_free(processes->unread);
	process_source_free(processes->source);
	process_scanner_free(processes->scanner);
	taskstats_free(processes->taskstats);
	feed_free(processes->feed);
	assert(LIST_EMPTY(&processes->relayed));

	assert(STAILQ_EMPTY(&processes->questions));
	sd_event_source_disable_unref(processes->review);
	sd_event_source_disable_unref(processes->members);
	sd_event_source_disable_unref(processes->rescan);
	sd_event_source_disable_unref(processes->retry);
	sd_event_source_disable_unref(processes->patience);
	sd_event_source_disable_unref(processes->look);
	sd_event_source_disable_unref(processes->flush);
	sd_event_unref(processes->loop);
	free(processes->records);
	free(processes);
	return NULL;
}
