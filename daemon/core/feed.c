/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/feed-internal.h"

static void on_relay_ready(struct relay *relay, void *userdata)
{
	struct feed *feed = userdata;

	if (feed->ops->relay.ready)
		feed->ops->relay.ready(relay, feed->userdata);
}

static bool on_relay_check(struct relay *relay, enum relay_end *ret_why, void *userdata)
{
	struct feed *feed = userdata;

	return feed->ops->relay.check(relay, ret_why, feed->userdata);
}

static int on_relay_send(struct relay *relay, uint32_t parent, uint32_t child, void *userdata)
{
	struct feed *feed = userdata;

	return feed->ops->relay.send(relay, parent, child, feed->userdata);
}

static uint64_t on_relay_now(void *userdata)
{
	struct feed *feed = userdata;

	return feed->ops->relay.now_ns(feed->userdata);
}

static void on_relay_ended(struct relay *relay, enum relay_end why, void *userdata)
{
	struct feed *feed = userdata;

	feed->relays_changed = true;
	feed->ops->relay.ended(relay, why, feed->userdata);
}

static const struct relay_ops relay_ops = {
	.ready = on_relay_ready,
	.check = on_relay_check,
	.send = on_relay_send,
	.now_ns = on_relay_now,
	.ended = on_relay_ended,
};

int feed_new(struct feed **ret, const struct feed_ops *ops, void *userdata)
{
	_cleanup_(feed_freep) struct feed *feed = NULL;
	int r;

	assert(ret && ops);
	assert(ops->relay.check && ops->relay.send && ops->relay.now_ns && ops->relay.ended);

	feed = calloc(1, sizeof(*feed));
	if (!feed)
		return -ENOMEM;
	feed->ops = ops;
	feed->userdata = userdata;
	feed->clock.ticks_per_second = 100;
	TAILQ_INIT(&feed->ended);
	r = process_table_new(&feed->table);
	if (r == 0)
		r = groups_new(&feed->groups, feed->table, &ops->group, userdata);
	if (r == 0)
		r = relays_new(&feed->relays, &relay_ops, feed);
	if (r == 0)
		r = process_policy_new(&feed->policy, &ops->policy, userdata);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(feed);
	return 0;
}

struct feed *feed_free(struct feed *feed)
{
	if (!feed)
		return NULL;

	process_scan_free(feed->scan);
	if (feed->purging)
		process_walk_end(&feed->purge);
	relays_free(feed->relays);
	process_policy_free(feed->policy);
	/* no group is left, and so no set: a process holds none */
	groups_free(feed->groups);
	process_table_free(feed->table);
	free(feed->events);
	free(feed->records);
	free(feed);
	return NULL;
}

struct groups *feed_groups(struct feed *feed)
{
	assert(feed);

	return feed->groups;
}

struct relays *feed_relays(struct feed *feed)
{
	assert(feed);

	return feed->relays;
}

struct process_policy *feed_policy(struct feed *feed)
{
	assert(feed);

	return feed->policy;
}

int feed_set_rules(struct feed *feed, const struct process_rule *rules, size_t n_rules)
{
	struct process *process;
	int r;

	assert(feed);

	r = process_policy_set_rules(feed->policy, rules, n_rules);
	if (r < 0)
		return r;

	for (process = process_table_next(feed->table, NULL); process;
	     process = process_table_next(feed->table, process))
		process->rules = 0;
	feed->rules_changed = process_policy_is_active(feed->policy);
	feed->scan_matches = false;
	feed->purge_wanted = true;
	return 0;
}

void feed_set_user(struct feed *feed, const char *name, uint32_t uid)
{
	assert(feed && name);

	process_policy_set_user(feed->policy, name, uid);
	feed->rules_changed = process_policy_is_active(feed->policy);
	feed->scan_matches = false;
}

bool feed_needs_table(const struct feed *feed)
{
	return groups_want_events(feed->groups) || process_policy_is_active(feed->policy) ||
	       relays_want_table(feed->relays);
}

bool feed_wants_events(const struct feed *feed)
{
	assert(feed);

	return relays_next(feed->relays, NULL) || feed_needs_table(feed) || feed_wants_round(feed);
}

bool feed_wants_round(const struct feed *feed)
{
	assert(feed);

	return process_table_size(feed->table) > 0 &&
	       (feed->purge_wanted || feed->purging || groups_have_freed(feed->groups) ||
		feed->relays_changed);
}

bool feed_wants_records(const struct feed *feed)
{
	assert(feed);

	return groups_want_accounting(feed->groups);
}

bool feed_wants_scan(const struct feed *feed)
{
	assert(feed);

	if (feed->scan || feed->n_overdue > 0)
		return false;

	return feed->broken || feed->rules_changed || groups_want_scan(feed->groups) ||
	       relays_want_scan(feed->relays);
}

/* It is of nobody who is followed. */
static void drop_waiting(struct feed *feed)
{
	feed_drop_scan(feed);
	feed->broken = false;
	feed->lost = 0;
	feed->lost_more = false;
	process_table_set_stale(feed->table, false);
	feed_forget(feed);
}

void feed_stopped(struct feed *feed)
{
	struct slice slice;

	assert(feed && !feed_wants_events(feed));

	drop_waiting(feed);
	feed->purge_wanted = true;
	do
		slice = feed_slice(feed);
	while (!feed_purge(feed, &slice));
}

void feed_round_begin(struct feed *feed, const struct feed_clock *clock)
{
	assert(feed && clock && clock->ticks_per_second > 0);

	feed->clock = *clock;
	feed->round += feed->round_ended;
	feed->round_ended = false;
	relays_batch(feed->relays);
}

/* Return: whether there is room for one more. */
static bool reserve(void **items, size_t size, size_t n_items, size_t *n_allocated)
{
	size_t n = *n_allocated ? 2 * *n_allocated : 1024;
	void *moved;

	if (n_items < *n_allocated)
		return true;
	if (n_items >= FEED_WAITING_MAX)
		return false;

	moved = reallocarray(*items, n, size);
	if (!moved)
		return false;
	*items = moved;
	*n_allocated = n;
	return true;
}

void feed_event(struct feed *feed, const struct wire_proc_event *event)
{
	void *items;

	assert(feed && event);

	feed->statistics.events++;
	if (event->kind == WIRE_PROC_ACK || event->kind == WIRE_PROC_OTHER)
		return;

	relays_note(feed->relays, event);
	if (!feed_is_holding(feed)) {
		feed_apply(feed, event);
		return;
	}

	if (feed->n_events >= FEED_WAITING_MAX && feed->n_released > 0)
		feed_move_up(feed);
	items = feed->events;
	if (!reserve(&items, sizeof(*feed->events), feed->n_events, &feed->n_events_allocated)) {
		feed->statistics.waiting_dropped++;
		feed_lost(feed, 1);
		return;
	}
	feed->events = items;
	feed->events[feed->n_events++] = *event;
}

void feed_record(struct feed *feed, const struct wire_taskstats *record)
{
	void *items;

	assert(feed && record);

	if (!feed_is_holding(feed)) {
		feed_apply_record(feed, record, UINT64_MAX);
		return;
	}

	items = feed->records;
	if (!reserve(&items, sizeof(*feed->records), feed->n_records, &feed->n_records_allocated)) {
		feed_records_lost(feed);
		return;
	}
	feed->records = items;
	feed->records[feed->n_records++] = (struct feed_record){
		.record = *record,
		.before = feed->n_gone + feed->n_events + 1,
	};
}

bool feed_awaits_record(const struct feed *feed, const struct wire_taskstats *record)
{
	const struct process *process;

	assert(feed && record);

	/* What waits may be the end of the one whom it is of. */
	if (feed_is_holding(feed))
		return false;

	process = process_table_find_record(feed->table, record->tid, record->tgid, UINT64_MAX);
	return process && process->ended;
}

void feed_records_lost(struct feed *feed)
{
	assert(feed);

	groups_note_records_lost(feed->groups);
}

void feed_forget(struct feed *feed)
{
	free(feed->events);
	free(feed->records);
	feed->n_gone += feed->n_events;
	feed->events = NULL;
	feed->records = NULL;
	feed->n_events = feed->n_events_allocated = feed->n_released = feed->n_overdue = 0;
	feed->n_certain = feed->n_foreseen = feed->n_replay = 0;
	feed->n_records = feed->n_records_allocated = feed->n_records_taken = 0;
}

bool feed_take_records(struct feed *feed, struct slice *slice)
{
	while (feed->n_records_taken < feed->n_records) {
		const struct feed_record *item = &feed->records[feed->n_records_taken++];

		feed_apply_record(feed, &item->record, item->before);
		if (!slice_spend(slice, 1) && feed->n_records_taken < feed->n_records)
			return false;
	}

	feed_forget(feed);
	return true;
}

void feed_drop_scan(struct feed *feed)
{
	feed->scan = process_scan_free(feed->scan);
	feed->scan_phase = FEED_SCAN_READ;
}

void feed_tell_lost(struct feed *feed)
{
	if (feed->lost > 0)
		groups_note_lost(feed->groups, feed->lost);
	if (feed->lost_more)
		groups_note_lost(feed->groups, 0);
	feed->lost = 0;
	feed->lost_more = false;
}

void feed_lost(struct feed *feed, uint64_t count)
{
	bool more;

	assert(feed);

	feed->statistics.lost += count;
	relays_note_lost(feed->relays, count);
	if (!feed_needs_table(feed) && !feed_is_holding(feed) &&
	    process_table_size(feed->table) == 0)
		return;

	/* What waits is older: a scan that is still to come knows nothing of it. */
	more = feed->n_overdue > 0;
	if (feed->broken && !more)
		feed_tell_lost(feed);
	/* Where a scan is half applied, who is in the table is not as of any time. */
	if (!feed->broken)
		feed->n_certain = feed->scan_phase == FEED_SCAN_APPLY ? 0 : feed->n_events;
	feed_drop_scan(feed);
	feed->broken = true;
	feed->lost += count;
	feed->lost_more |= count == 0;
	feed->n_overdue = feed->n_events;
	/* Once; the rest as rounds go on. */
	if (!more)
		(void)feed_release_overdue(feed);
}

void feed_broke(struct feed *feed)
{
	assert(feed);

	feed_lost(feed, 0);
	feed_tell_lost(feed);
}

struct slice feed_slice(struct feed *feed)
{
	return slice_begin(feed->ops->relay.now_ns, feed->userdata, FEED_SLICE_NS);
}

/* Whose records did not come by the round after. */
static void settle_ended(struct feed *feed, struct slice *slice)
{
	struct process *process;

	while ((process = TAILQ_FIRST(&feed->ended)) && process->round < feed->round) {
		feed_settle(feed, process, true);
		if (!slice_spend(slice, 1))
			break;
	}
}

bool feed_round_end(struct feed *feed, bool empty)
{
	struct slice slice;

	assert(feed);

	slice = feed_slice(feed);
	feed->round_ended = empty;
	relays_batch_end(feed->relays);
	if (empty && !feed_is_holding(feed))
		settle_ended(feed, &slice);
	feed->purge_wanted |= groups_take_freed(feed->groups) || feed->relays_changed;
	feed->relays_changed = false;
	feed_purge(feed, &slice);
	if (!feed_needs_table(feed) && process_table_size(feed->table) == 0)
		drop_waiting(feed);
	if (feed->n_overdue > 0)
		(void)feed_release_overdue(feed);
	return feed->n_overdue > 0 || !TAILQ_EMPTY(&feed->ended) || feed_wants_round(feed);
}

void feed_statistics(const struct feed *feed, struct feed_statistics *ret)
{
	assert(feed && ret);

	*ret = feed->statistics;
	ret->followed = process_table_size(feed->table);
	ret->threads = process_table_threads(feed->table);
}
