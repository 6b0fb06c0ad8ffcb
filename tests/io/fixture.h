/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A pool with its zygote, and calls to it that remember their answer
 *
 * The job of the configuration is a stand-in that does as its payload says:
 * (e)cho, (f)ail, be too (h)uge, e(x)it, (s)leep.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/pool.h"
#include "tests/io/harness.h"

#define DEADLINE_US 2000000
/* What is not held up takes a millisecond; what waits for one that hangs, a whole deadline. */
#define SLACK_US 1000000

struct fixture {
	sd_event *loop;
	struct pool *pool;
	struct meter meter;
};

struct call {
	uid_t owner_uid; /* charged to; set by the caller */
	struct pool_ticket *ticket;
	enum pool_result result;
	struct statfs_reply statfs;
	uint64_t began_us, ended_us;
	unsigned int n;
	bool done;
	int error; /* of POOL_FAILED */
	void *reply;
	size_t n_reply;
};

int fixture_setup(void **state);

/** fixture_teardown() - fails when the loop was late meanwhile */
int fixture_teardown(void **state);

/** call_prepare() - a submission whose answer goes into @call */
struct pool_submission call_prepare(struct call *call, enum pool_lane lane, uint64_t key);
/** wait_blocked() - until so many lanes are blocked */
void wait_blocked(struct fixture *fixture, unsigned int n);

void call_deinit(struct call *call);

int submit_statfs(struct fixture *fixture, struct call *call, const struct mount *mount,
		  enum pool_lane lane, uint64_t key);

/* Submit and wait for the answer. */
void run_statfs(struct fixture *fixture, struct call *call, const struct mount *mount,
		enum pool_lane lane, uint64_t key);
void run_task(struct fixture *fixture, struct call *call, const void *payload, size_t n);
