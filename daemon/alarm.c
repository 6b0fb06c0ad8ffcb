/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/alarm-internal.h"
#include "daemon/bus/bus.h"
#include "daemon/core/escape.h"
#include "daemon/manager.h"
#include "daemon/worker/job-writers.h"

#define ALARM_WRITERS_DEADLINE_US 2000000ULL

/*
 * Look-ups of writers under way or waiting: each keeps the worker of all such
 * tasks busy for a while. Further alarms share the last one, which looks at
 * the whole machine anyway.
 */
#define ALARM_LOOKUPS_MAX 4
#define ALARM_LOOKUP_IDS_MAX (4 * THRESHOLDS_MAX)

/* A look-up of writers, and the events that it is for. */
struct alarm_lookup {
	LIST_ENTRY(alarm_lookup) link; /* the latest first */
	struct manager *manager;
	struct pool_ticket *ticket;
	bool by_wchar;
	size_t n_ids;
	uint64_t ids[ALARM_LOOKUP_IDS_MAX];
};

/* Bytes below which nobody is named as a writer. */
#define ALARM_WRITERS_MIN 4096

static uint64_t alarm_realtime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int alarm_begin(struct event *event, struct monitor *monitor, enum event_code code,
		const char *source)
{
	const struct superblock *sb = monitor->fs.sb;
	const struct mount *mount = superblock_display_mount(sb);
	const char *where = mount ? mount->where : "";
	_cleanup_free_ char *type = NULL;
	int r;

	event->realtime_us = alarm_realtime();
	event->code = code;
	event->severity = event_code_severity(code);
	event->fs = sb->key;
	event->cause_uid = sb->owner_uid;
	event->user_mount = sb->owner_uid != 0;

	/* Unmounted: the last mount is what people knew it by. */
	if (!mount && sb->n_mounts > 0)
		where = sb->mounts[0]->where;

	type = escape_new(sb->type, strlen(sb->type), 0);
	if (!type)
		return -ENOMEM;

	r = details_add_bytes(&event->details, "where", where, strlen(where), 0);
	if (r < 0)
		return r;
	r = details_add_string(&event->details, "source", source, 0);
	if (r < 0)
		return r;
	return details_add_string(&event->details, "type", type, 0);
}

void alarm_lose(struct monitor *monitor, struct event *event)
{
	monitor->manager->alarms_lost++;
	event_deinit(event);
}

uint64_t alarm_publish(struct monitor *monitor, struct event *event)
{
	struct filesystem *fs = &monitor->fs;

	if (!event->test && !(fs->events & 1U << event->code)) {
		event_deinit(event);
		return 0;
	}

	monitor->manager->alarms++;
	return publisher_publish(monitor->manager->publisher, event);
}

void alarm_numbered(struct manager *manager, const struct event *event)
{
	struct superblock *sb = superblock_table_find(manager->superblocks, &event->fs);
	struct filesystem *fs;
	struct event copy;

	/* That of an unmounted one has nobody to show it. */
	if (!monitor_of(sb) || event_copy(&copy, event, false) < 0)
		return;

	fs = &monitor_of(sb)->fs;
	event_deinit(&fs->last_event);
	fs->last_event = copy;
	fs->has_last_event = true;
}

void alarm_simple(struct monitor *monitor, enum event_code code, const char *source)
{
	struct event event = {};

	if (alarm_begin(&event, monitor, code, source) < 0)
		alarm_lose(monitor, &event);
	else
		alarm_publish(monitor, &event);
}

void alarm_stalled(struct monitor *monitor, const char *operation)
{
	struct event event = {};

	if (alarm_begin(&event, monitor, EVENT_STALLED, "deadline") < 0 ||
	    details_add_string(&event.details, "operation", operation, 0) < 0)
		alarm_lose(monitor, &event);
	else
		alarm_publish(monitor, &event);
}

void alarm_test(struct monitor *monitor, enum event_code code)
{
	struct event event = { .test = true };

	if (alarm_begin(&event, monitor, code, "test") < 0 ||
	    details_add_bool(&event.details, "test", true, 0) < 0)
		alarm_lose(monitor, &event);
	else
		alarm_publish(monitor, &event);
}

static int alarm_add_crossing(struct event *event, struct monitor *monitor,
			      const struct crossing *crossing)
{
	const struct threshold *threshold = crossing->threshold;
	const struct schedule *schedule = &monitor->fs.schedule;
	uint64_t seconds;
	int r;

	r = details_add_string(&event->details, "name", threshold->spec.name, 0);
	if (r < 0)
		return r;
	r = details_add_string(&event->details, "resource",
			       threshold->spec.resource == RESOURCE_SPACE ? "space" : "inodes", 0);
	if (r < 0)
		return r;
	r = details_add_u64(&event->details, "level", threshold->level, 0);
	if (r < 0)
		return r;
	r = details_add_u64(&event->details, "hysteresis", threshold->hysteresis, 0);
	if (r < 0)
		return r;
	if (crossing->initial) {
		r = details_add_bool(&event->details, "initial", true, 0);
		if (r < 0)
			return r;
	}
	if (!crossing->below || crossing->initial)
		return 0;

	if (schedule->fill_rate >= 1) {
		r = details_add_u64(&event->details, "fill-rate", (uint64_t)schedule->fill_rate, 0);
		if (r < 0)
			return r;
	}
	seconds = schedule_seconds_to_full(schedule, &monitor->fs.usage);
	if (seconds == UINT64_MAX)
		return 0;
	return details_add_u64(&event->details, "seconds-to-full", seconds, 0);
}

static void lookup_free(struct alarm_lookup *lookup)
{
	pool_cancel(lookup->ticket);
	LIST_REMOVE(lookup, link);
	free(lookup);
}

void alarm_stop(struct manager *manager)
{
	while (!LIST_EMPTY(&manager->lookups))
		lookup_free(LIST_FIRST(&manager->lookups));
}

static void lookup_amend(const struct alarm_lookup *lookup, const struct detail_writer *items,
			 size_t n_items)
{
	struct details details = {};

	if (details_add_writers(&details, "writers", items, n_items, DETAIL_PRIVATE) == 0)
		for (size_t i = 0; i < lookup->n_ids; i++)
			publisher_amend(lookup->manager->publisher, lookup->ids[i], &details);
	details_deinit(&details);
}

static void on_writers(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct alarm_lookup *lookup = userdata;
	struct detail_writer items[WRITERS_MAX];
	size_t n_others = 0;
	ssize_t n = 0;

	lookup->ticket = NULL;
	if (result == POOL_DONE)
		n = writers_reply_decode(reply, n_reply, items, WRITERS_MAX);

	/* What the daemon writes of the alarm itself is no cause of it, nor is a line in a log. */
	for (ssize_t i = 0; i < n; i++)
		if (items[i].bytes >= ALARM_WRITERS_MIN &&
		    !pool_owns_pid(lookup->manager->pool, (pid_t)items[i].pid))
			items[n_others++] = items[i];
	if (n_others > 0)
		lookup_amend(lookup, items, n_others);
	lookup_free(lookup);
}

/* Return: the look-up to join; NULL: there is room for one more. */
static struct alarm_lookup *lookup_find(struct manager *manager, bool by_wchar)
{
	struct alarm_lookup *lookup, *last = NULL;
	size_t n = 0;

	LIST_FOREACH(lookup, &manager->lookups, link) {
		n++;
		if (!last || (last->by_wchar != by_wchar && lookup->by_wchar == by_wchar))
			last = lookup;
	}
	return n < ALARM_LOOKUPS_MAX ? NULL : last;
}

static struct alarm_lookup *lookup_start(struct manager *manager, bool by_wchar)
{
	static const uint8_t flag = WRITERS_BY_WCHAR;
	struct pool_submission submission = {
		.lane = POOL_LANE_TASKS,
		.job = JOB_WRITERS,
		.fd = -1,
		.deadline_us = ALARM_WRITERS_DEADLINE_US,
		.reply = on_writers,
	};
	struct alarm_lookup *lookup;

	lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		return NULL;
	lookup->manager = manager;
	lookup->by_wchar = by_wchar;
	submission.userdata = lookup;
	if (by_wchar) {
		submission.payload = &flag;
		submission.n_payload = sizeof(flag);
	}

	if (pool_submit(manager->pool, &submission, &lookup->ticket) < 0) {
		free(lookup);
		return NULL;
	}
	LIST_INSERT_HEAD(&manager->lookups, lookup, link);
	return lookup;
}

/* Only at the alarm, and by a worker: /proc/PID/io can wait for an exec to end. */
static void alarm_ask_writers(const struct monitor *monitor, const uint64_t *ids, size_t n_ids)
{
	struct manager *manager = monitor->manager;
	/* tmpfs has no dirty pages to count. */
	bool by_wchar = strcmp(monitor->fs.sb->type, "tmpfs") == 0;
	struct alarm_lookup *lookup;

	lookup = lookup_find(manager, by_wchar) ?: lookup_start(manager, by_wchar);
	if (!lookup || n_ids > ALARM_LOOKUP_IDS_MAX - lookup->n_ids)
		return;

	memcpy(lookup->ids + lookup->n_ids, ids, n_ids * sizeof(*ids));
	lookup->n_ids += n_ids;
}

static uint64_t alarm_crossing(struct monitor *monitor, const struct crossing *crossing)
{
	enum event_code code = crossing->below ? EVENT_THRESHOLD_BELOW : EVENT_THRESHOLD_ABOVE;
	struct event event = {};

	if (alarm_begin(&event, monitor, code, "statfs") < 0 ||
	    alarm_add_crossing(&event, monitor, crossing) < 0) {
		alarm_lose(monitor, &event);
		return 0;
	}

	event.data = crossing->available;
	if (crossing->below)
		event.severity = crossing->threshold->spec.severity;
	return alarm_publish(monitor, &event);
}

void alarm_crossings(struct monitor *monitor, const struct crossing *crossings, size_t n_crossings)
{
	uint64_t ids[THRESHOLDS_MAX];
	size_t n_ids = 0;

	for (size_t i = 0; i < n_crossings; i++) {
		uint64_t id = alarm_crossing(monitor, &crossings[i]);

		if (id && crossings[i].below && !crossings[i].initial)
			ids[n_ids++] = id;
	}

	if (n_ids > 0)
		alarm_ask_writers(monitor, ids, n_ids);
}
