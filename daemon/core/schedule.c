/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/schedule.h"

/* An observed rate is believed for about this long after it was seen. */
#define RATE_DECAY_US 2000000ULL

/* Figures that were taken closer together say more about the clock than about a rate. */
#define RATE_SPAN_MIN_US 1000ULL

#define FILL_SMOOTH_US 10000000.0

/* What would fill in more than this many seconds does not fill. */
#define FILL_RATE_MIN 1.0

/* The nearest changes of state, in both resources. */
struct distances {
	uint64_t bytes;
	uint64_t inodes;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t clamp_u64(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t elapsed(uint64_t now_us, uint64_t since_us)
{
	return now_us > since_us ? now_us - since_us : 0;
}

/* Nine tenths of the time that @rate needs for @distance: the check itself takes time too. */
static uint64_t time_to(uint64_t distance, uint64_t rate)
{
	unsigned __int128 us;

	if (distance == UINT64_MAX || rate == 0)
		return UINT64_MAX;

	us = (unsigned __int128)distance * 900000 / rate;
	return us > UINT64_MAX ? UINT64_MAX : (uint64_t)us;
}

static uint64_t rate_of(uint64_t delta, uint64_t span_us)
{
	unsigned __int128 rate = (unsigned __int128)delta * 1000000 / span_us;

	return rate > UINT64_MAX ? UINT64_MAX : (uint64_t)rate;
}

/* Exponential where the steps are small against RATE_DECAY_US. */
static uint64_t rate_decay(uint64_t rate, uint64_t span_us)
{
	return (unsigned __int128)rate * RATE_DECAY_US /
	       (RATE_DECAY_US + (unsigned __int128)span_us);
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

void schedule_init(struct schedule *schedule, const struct schedule_policy *policy)
{
	assert(schedule && policy);

	*schedule = (struct schedule){
		.policy = *policy,
		.pause_us = SCHEDULE_PAUSE_MIN_US,
		.rearm_pause_us = SCHEDULE_REARM_MIN_US,
	};
}

static bool schedule_is_quiet(const struct schedule *schedule, uint64_t now_us)
{
	uint64_t since = max_u64(schedule->last_change_us, schedule->active_us);

	return since == 0 || elapsed(now_us, since) >= schedule->pause_us;
}

static void schedule_learn_fill(struct schedule *schedule, uint64_t available, uint64_t span_us)
{
	double rate =
		((double)schedule->last_available - (double)available) * 1e6 / (double)span_us;
	double weight = (double)span_us / (FILL_SMOOTH_US + (double)span_us);

	schedule->fill_rate += (rate - schedule->fill_rate) * weight;
}

static void schedule_learn_rates(struct schedule *schedule, uint64_t now_us,
				 const struct usage *usage)
{
	uint64_t span = elapsed(now_us, schedule->last_check_us);
	uint64_t available = usage_available_bytes(usage);
	bool first = schedule->opened_us > schedule->last_check_us;
	uint64_t bytes, inodes;

	if (span < RATE_SPAN_MIN_US)
		return;

	schedule_learn_fill(schedule, available, span);

	schedule->rate = rate_decay(schedule->rate, span);
	schedule->rate_inodes = rate_decay(schedule->rate_inodes, span);

	/* Idle until the gate opened: the span says nothing about the writer. */
	if (first)
		return;

	bytes = rate_of(difference(schedule->last_available, available), span);
	inodes = rate_of(difference(schedule->last_files, usage->files_available), span);
	schedule->rate = max_u64(schedule->rate, bytes);
	schedule->rate_inodes = max_u64(schedule->rate_inodes, inodes);
}

/* Takes the figures in; Return: true when they moved since the last ones. */
static bool schedule_learn(struct schedule *schedule, uint64_t now_us, const struct usage *usage)
{
	uint64_t available = usage_available_bytes(usage);
	bool changed;

	changed = schedule->started && (available != schedule->last_available ||
					usage->files_available != schedule->last_files);

	if (schedule->started)
		schedule_learn_rates(schedule, now_us, usage);

	if (changed) {
		if (schedule_is_quiet(schedule, now_us))
			schedule->active_us = now_us;
		schedule->last_change_us = now_us;
		schedule->pause_us = min_u64(schedule->pause_us, SCHEDULE_PAUSE_GROWING_US);
	}

	schedule->last_available = available;
	schedule->last_files = usage->files_available;
	schedule->last_check_us = max_u64(schedule->last_check_us, now_us);
	schedule->started = true;
	return changed;
}

/* Nothing is gained by looking often while the observed rate has far to go. */
static uint64_t schedule_floor(const struct schedule *schedule, const struct distances *near,
			       uint64_t idle_us, uint64_t relaxed_us)
{
	uint64_t by_rate = min_u64(time_to(near->bytes, schedule->rate),
				   time_to(near->inodes, schedule->rate_inodes)) /
			   4;

	return clamp_u64(min_u64(by_rate, idle_us), SCHEDULE_MIN_US, relaxed_us);
}

static uint64_t schedule_interval_gated(const struct schedule *schedule, uint64_t now_us,
					const struct distances *near)
{
	uint64_t active = elapsed(now_us, schedule->active_us);
	uint64_t ramp = clamp_u64(active / 2, SCHEDULE_MIN_US, SCHEDULE_STEP_LATE_US);
	uint64_t step = max_u64(ramp, min_u64(time_to(near->bytes, SCHEDULE_STEP_RATE),
					      SCHEDULE_STEP_MAX_US));
	uint64_t interval;

	interval = min_u64(time_to(near->bytes, max_u64(schedule->rate, SCHEDULE_ASSUMED_RATE)),
			   time_to(near->inodes,
				   max_u64(schedule->rate_inodes, SCHEDULE_ASSUMED_INODES)));

	return max_u64(min_u64(interval, step),
		       schedule_floor(schedule, near, active / 8, SCHEDULE_RELAXED_US));
}

static uint64_t schedule_interval_plain(const struct schedule *schedule, uint64_t now_us,
					const struct distances *near)
{
	uint64_t idle = elapsed(now_us, schedule->last_change_us);
	uint64_t interval;

	interval = min_u64(time_to(near->bytes, max_u64(schedule->rate, SCHEDULE_PLAIN_RATE)),
			   time_to(near->inodes,
				   max_u64(schedule->rate_inodes, SCHEDULE_PLAIN_INODES)));

	return max_u64(interval, schedule_floor(schedule, near, idle / 4, SCHEDULE_PLAIN_IDLE_US));
}

/* What the backstop sees as well needs no timer of its own. */
static void schedule_set_due(struct schedule *schedule, uint64_t now_us, uint64_t interval)
{
	schedule->due_us =
		interval >= SCHEDULE_MAX_US ? UINT64_MAX : add_saturating(now_us, interval);
}

static enum schedule_action schedule_go_on(struct schedule *schedule, uint64_t now_us,
					   const struct distances *near)
{
	bool gated = schedule->policy.gate_possible && now_us >= schedule->rearm_us;
	uint64_t interval, quiet_us;

	if (!gated && !schedule->armed) {
		schedule_set_due(schedule, now_us, schedule_interval_plain(schedule, now_us, near));
		return SCHEDULE_WAIT;
	}

	interval = schedule_interval_gated(schedule, now_us, near);
	if (schedule->last_change_us != now_us && !schedule_is_quiet(schedule, now_us)) {
		quiet_us =
			max_u64(schedule->last_change_us, schedule->active_us) + schedule->pause_us;
		interval = min_u64(interval, max_u64(elapsed(quiet_us, now_us), SCHEDULE_MIN_US));
	}
	schedule_set_due(schedule, now_us, interval);
	return SCHEDULE_WAIT;
}

/* The gate is armed and the figures are quiet. */
static enum schedule_action schedule_guard(struct schedule *schedule, uint64_t now_us)
{
	uint64_t since = max_u64(schedule->armed_us, schedule->last_change_us);

	if (schedule->policy.delayed && elapsed(now_us, since) < schedule->policy.settle_us) {
		schedule_set_due(schedule, now_us, SCHEDULE_COMMIT_STEP_US);
		return SCHEDULE_WAIT;
	}

	/* Never opened: nobody wrote. */
	if (schedule->opened_us > 0 && elapsed(now_us, since) < SCHEDULE_LINGER_US) {
		schedule_set_due(schedule, now_us,
				 max_u64(elapsed(now_us, since), SCHEDULE_LINGER_STEP_US));
		return SCHEDULE_WAIT;
	}

	schedule->due_us = UINT64_MAX;
	return SCHEDULE_GUARDED;
}

enum schedule_action schedule_checked(struct schedule *schedule, uint64_t now_us,
				      const struct usage *usage, uint64_t distance,
				      uint64_t distance_inodes)
{
	struct distances near = { .bytes = distance, .inodes = distance_inodes };
	uint64_t stale_us;

	assert(schedule && usage);

	schedule->n_failed = 0;

	if (!usage_is_known(usage) || (distance == UINT64_MAX && distance_inodes == UINT64_MAX)) {
		schedule->due_us = UINT64_MAX;
		return schedule->armed ? SCHEDULE_GUARDED : SCHEDULE_WAIT;
	}

	schedule_learn(schedule, now_us, usage);
	if (usage->available > 0)
		near.bytes = min_u64(near.bytes, usage_available_bytes(usage));

	stale_us = schedule->armed ? schedule->armed_us : schedule->opened_us;
	if (now_us < stale_us) {
		schedule->due_us = stale_us;
		return SCHEDULE_WAIT;
	}

	if (!schedule_is_quiet(schedule, now_us))
		return schedule_go_on(schedule, now_us, &near);
	if (schedule->armed)
		return schedule_guard(schedule, now_us);

	schedule_go_on(schedule, now_us, &near);
	if (!schedule->policy.gate_possible || schedule->arming || now_us < schedule->rearm_us)
		return SCHEDULE_WAIT;

	schedule->arming = true;
	return SCHEDULE_ARM;
}

void schedule_armed(struct schedule *schedule, uint64_t now_us, bool ok)
{
	assert(schedule);

	if (!schedule->arming)
		return;
	schedule->arming = false;

	if (ok) {
		schedule->armed = true;
		schedule->armed_us = now_us;
		schedule->due_us = now_us;
		schedule->rearm_pause_us = SCHEDULE_REARM_MIN_US;
		return;
	}

	schedule->rearm_us = add_saturating(now_us, schedule->rearm_pause_us);
	schedule->rearm_pause_us = min_u64(schedule->rearm_pause_us * 2, SCHEDULE_REARM_MAX_US);
	schedule->due_us = now_us;
}

void schedule_opened(struct schedule *schedule, uint64_t now_us)
{
	uint64_t guarded;

	assert(schedule);

	guarded = elapsed(now_us, schedule->armed_us);
	if (schedule->armed && guarded < schedule->pause_us)
		schedule->pause_us = min_u64(schedule->pause_us * 2, SCHEDULE_PAUSE_MAX_US);
	else if (schedule->armed && guarded >= schedule->pause_us * 4)
		schedule->pause_us = SCHEDULE_PAUSE_MIN_US;

	schedule->armed = false;
	schedule->arming = false;
	schedule->opened_us = now_us;
	schedule->active_us = now_us;
	schedule->due_us = now_us;
}

void schedule_failed(struct schedule *schedule, uint64_t now_us)
{
	uint64_t pause = SCHEDULE_RETRY_MIN_US;

	assert(schedule);

	for (unsigned int i = 0; i < schedule->n_failed && pause < SCHEDULE_RETRY_MAX_US; i++)
		pause *= 2;
	if (pause < SCHEDULE_RETRY_MAX_US)
		schedule->n_failed++;

	schedule->due_us = add_saturating(now_us, min_u64(pause, SCHEDULE_RETRY_MAX_US));
}

uint64_t schedule_seconds_to_full(const struct schedule *schedule, const struct usage *usage)
{
	double seconds;

	assert(schedule && usage);

	if (!usage_is_known(usage) || !(schedule->fill_rate >= FILL_RATE_MIN))
		return UINT64_MAX;

	seconds = (double)usage_available_bytes(usage) / schedule->fill_rate;
	return seconds < 1.8e19 ? (uint64_t)seconds : UINT64_MAX;
}
