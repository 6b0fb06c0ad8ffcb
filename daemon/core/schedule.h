/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * When to look at a filesystem again
 *
 * Decides, from what the last checks saw, when the next one is due and
 * whether the write gate (a one-shot fanotify mark) may stand guard instead
 * of a timer. Pure: time passes as a parameter, nothing is ever waited for.
 * It deliberately knows no threshold, only how far the nearest one is.
 *
 * With a gate
 *
 * The gate armed and the figures quiet, there is no timer but the shared
 * backstop tick. The first write opens the gate; then checks follow
 *
 * - at a distance that no writer at SCHEDULE_ASSUMED_RATE could outrun;
 * - close together at first and at most SCHEDULE_STEP_LATE_US apart, because
 *   an fallocate takes everything in one step that no rate describes (on
 *   filesystems with very much room this is stretched to what would take as
 *   long at SCHEDULE_STEP_RATE);
 * - no closer than SCHEDULE_MIN_US, and near a level no closer than
 *   SCHEDULE_RELAXED_US while the observed rate has far to go: 10 ms for one
 *   who fills at 1 GB/s, 50 ms for one who appends a log.
 *
 * Once the figures were quiet for a pause, the gate is armed again. The pause
 * starts at SCHEDULE_PAUSE_MIN_US and doubles each time the gate opens sooner
 * than the pause was long: to SCHEDULE_PAUSE_GROWING_US while the figures
 * move, to SCHEDULE_PAUSE_MAX_US while they do not, since a program that
 * overwrites in place must not make gate and checks play ping-pong. Checks go
 * on meanwhile, so a long pause makes nothing late.
 *
 * An armed gate may come with a timer (SCHEDULE_WAIT): where the figures
 * moved although it is shut (stores to mapped files do not open it), and
 * where they move only at a commit (btrfs): what was written or deleted
 * before the gate was armed shows up to two commits later and opens nothing,
 * so it is looked for every SCHEDULE_COMMIT_STEP_US during ->settle_us. And
 * everywhere for SCHEDULE_LINGER_US, less and less often: a deletion is told
 * before the kernel gives the space back, which takes a while for a large file.
 *
 * Without a gate
 *
 * The plain adaptive schedule assumes SCHEDULE_PLAIN_RATE. That is a
 * compromise: too low, and a fast writer fills the filesystem between two
 * checks; too high, and an idle filesystem costs wake-ups. While nothing
 * moves, checks are at least SCHEDULE_PLAIN_IDLE_US apart after some seconds,
 * so that an idle filesystem beside a level costs one check a second and one
 * with room none but the tick.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/usage.h"

#define SCHEDULE_MIN_US 10000ULL
#define SCHEDULE_MAX_US 60000000ULL /* the backstop */
#define SCHEDULE_RELAXED_US 50000ULL
#define SCHEDULE_STEP_LATE_US 150000ULL
#define SCHEDULE_STEP_MAX_US 2000000ULL
#define SCHEDULE_PAUSE_MIN_US 250000ULL
#define SCHEDULE_PAUSE_GROWING_US 1000000ULL
#define SCHEDULE_PAUSE_MAX_US 8000000ULL
#define SCHEDULE_COMMIT_STEP_US 800000ULL /* "above" within a second of the commit, with a margin */
#define SCHEDULE_LINGER_US 8000000ULL
#define SCHEDULE_LINGER_STEP_US 200000ULL
#define SCHEDULE_PLAIN_IDLE_US 1000000ULL
#define SCHEDULE_RETRY_MIN_US 500000ULL /* after a check without an answer; doubles */
#define SCHEDULE_RETRY_MAX_US 8000000ULL
#define SCHEDULE_REARM_MIN_US 60000000ULL /* after the gate could not be armed; doubles */
#define SCHEDULE_REARM_MAX_US 3600000000ULL

#define SCHEDULE_ASSUMED_RATE (2ULL << 30) /* bytes/s behind the gate */
#define SCHEDULE_STEP_RATE (64ULL << 30) /* bytes/s of an fallocate */
#define SCHEDULE_PLAIN_RATE (500ULL << 20) /* bytes/s without a gate */
#define SCHEDULE_ASSUMED_INODES 1000000ULL /* inodes/s behind the gate */
#define SCHEDULE_PLAIN_INODES 50000ULL /* inodes/s without a gate */

enum schedule_action {
	SCHEDULE_WAIT, /* check at ->due_us; the gate stays as it is */
	SCHEDULE_ARM, /* arm the gate, then check once more at once */
	SCHEDULE_GUARDED, /* the gate is armed: only the backstop */
};

struct schedule_policy {
	bool gate_possible; /* a mark can be set on this filesystem */
	bool delayed; /* figures move only at a commit (btrfs) */
	uint64_t settle_us; /* delayed: how long to go on looking once the gate is armed */
};

/* Times are CLOCK_MONOTONIC: neither a clock that is set nor a suspend counts. */
struct schedule {
	struct schedule_policy policy;
	uint64_t due_us; /* UINT64_MAX: by the shared tick only */
	uint64_t last_check_us;
	uint64_t last_change_us;
	uint64_t active_us; /* since when there is activity: the gate opened, or figures moved */
	uint64_t opened_us; /* when the gate last opened */
	uint64_t armed_us; /* when it was last armed */
	uint64_t rearm_us; /* not armed again before */
	uint64_t last_available; /* bytes */
	uint64_t last_files;
	uint64_t rate; /* bytes/s in either direction, decayed maximum */
	uint64_t rate_inodes; /* the same in inodes/s */
	uint64_t pause_us; /* of quiet before the gate is armed again */
	uint64_t rearm_pause_us;
	double fill_rate; /* bytes/s, smoothed over 10 s; negative when it empties */
	unsigned int n_failed; /* checks without an answer, in a row */
	bool arming; /* SCHEDULE_ARM was returned, no answer yet */
	bool armed;
	bool started; /* a usage was seen */
};

/** schedule_init() - a check is due at once */
void schedule_init(struct schedule *schedule, const struct schedule_policy *policy);

/**
 * schedule_checked() - a check has its result
 * @now_us:	when the figures were taken; figures taken before the gate
 *		last opened or was armed are known to be stale, and the next
 *		check is then due at once
 * @distance:	bytes to the nearest change of a threshold, UINT64_MAX: none
 * @distance_inodes: the same in inodes
 *
 * Bytes to "full" count as a distance too once there is any other. May be
 * called for checks that were not due (a tick, a question by a client).
 *
 * Return: what to do; ->due_us is set in any case and may lie in the past
 * (check at once). SCHEDULE_ARM is returned once until schedule_armed() or
 * schedule_opened() was called; its ->due_us is a time to fall back on.
 */
enum schedule_action schedule_checked(struct schedule *schedule, uint64_t now_us,
				      const struct usage *usage, uint64_t distance,
				      uint64_t distance_inodes);

/**
 * schedule_armed() - the answer to SCHEDULE_ARM
 * @ok:		the gate is armed, and a check is due at once; false: it could
 *		not be, the plain schedule serves until it is tried again
 *		after SCHEDULE_REARM_MIN_US (set ->policy.gate_possible to
 *		false where it never will be possible)
 *
 * Ignored where none is awaited.
 */
void schedule_armed(struct schedule *schedule, uint64_t now_us, bool ok);

/** schedule_opened() - the gate saw a write; a check is due at once */
void schedule_opened(struct schedule *schedule, uint64_t now_us);

/** schedule_failed() - the check got no answer; retried with backoff */
void schedule_failed(struct schedule *schedule, uint64_t now_us);

/**
 * schedule_seconds_to_full() - at the smoothed fill rate
 *
 * The rate is as of the last check: with the gate shut it is at most one
 * tick old.
 *
 * Return: seconds, or UINT64_MAX when it does not fill or is not known.
 */
uint64_t schedule_seconds_to_full(const struct schedule *schedule, const struct usage *usage);
