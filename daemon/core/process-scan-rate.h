/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How often one user may cause a scan
 *
 * Each group, and each relay to one user's forks, begins with a scan of /proc,
 * which takes the longer the more processes there are. A user has
 * SCAN_RATE_BURST_US of scanning at once, and one part in SCAN_RATE_SHARE of the
 * time in the long run; who has had it waits for a scan that another causes, or
 * until it may cause one again, at most SCAN_RATE_WAIT_US. Root may always.
 * Pure; the time is monotonic and passed in. The table is bounded: of more
 * users the one that owes least is forgotten.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SCAN_RATE_BURST_US 1000000
#define SCAN_RATE_SHARE 20
#define SCAN_RATE_WAIT_US 10000000
#define SCAN_RATE_MIN_US 10000 /* what each costs at least */
#define SCAN_RATE_USERS 64

/* Zeroed at first. */
struct scan_rate {
	struct scan_rate_user {
		uid_t uid;
		uint64_t debt_us, as_of_us;
		uint64_t scan; /* it is charged for */
	} users[SCAN_RATE_USERS];
	size_t n_users;
};

/**
 * scan_rate_wait() - may it cause a scan?
 * @scan:	the number of the one that would begin next, from 1 on: who is charged for it may
 *
 * Return: 0, else after how many microseconds.
 */
uint64_t scan_rate_wait(const struct scan_rate *rate, uid_t uid, uint64_t scan, uint64_t now_us);

/**
 * scan_rate_charge() - it causes one; once for each @scan
 * @took_us:	what the last one took
 */
void scan_rate_charge(struct scan_rate *rate, uid_t uid, uint64_t scan, uint64_t took_us,
		      uint64_t now_us);
