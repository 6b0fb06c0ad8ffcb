/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/core/rate.h"

#define SECOND 1000000ULL

static bool take(struct rate *rate, uint64_t now_us, uint32_t uid, enum event_code code,
		 uint64_t *ret_suppressed)
{
	return rate_take(rate, now_us, &(struct event){ .cause_uid = uid, .code = code },
			 ret_suppressed);
}

static void test_burst_and_rate(void **state)
{
	uint64_t suppressed = 77, passed = 0;
	struct rate *rate;

	assert_int_equal(rate_new(&rate), 0);
	for (unsigned int i = 0; i < RATE_BURST; i++) {
		assert_true(take(rate, SECOND, 1000, EVENT_MOUNTED, &suppressed));
		assert_int_equal(suppressed, 0);
	}
	suppressed = 77;
	for (unsigned int i = 0; i < 50; i++)
		assert_false(take(rate, SECOND, 1000, EVENT_MOUNTED, &suppressed));
	assert_int_equal(suppressed, 77);
	assert_int_equal(rate_suppressed(rate), 50);

	/* Another user, and another code of the same, are not held up. */
	assert_true(take(rate, SECOND, 1001, EVENT_MOUNTED, &suppressed));
	assert_true(take(rate, SECOND, 1000, EVENT_CORRUPTED, &suppressed));
	assert_int_equal(suppressed, 0);

	assert_true(take(rate, 2 * SECOND, 1000, EVENT_MOUNTED, &suppressed));
	assert_int_equal(suppressed, 50);

	/* In the long run: 100 tries a second for 100 s. */
	for (uint64_t us = 3 * SECOND; us < 103 * SECOND; us += SECOND / 100)
		passed += take(rate, us, 1000, EVENT_MOUNTED, &suppressed);
	/* and what was saved up in the two seconds before */
	assert_in_range(passed, 100 * RATE_PER_SECOND, 102 * RATE_PER_SECOND);
	rate_free(rate);
}

static void test_exempt(void **state)
{
	uint64_t suppressed;
	struct rate *rate;

	assert_int_equal(rate_new(&rate), 0);
	for (unsigned int i = 0; i < 10 * RATE_BURST; i++) {
		assert_true(take(rate, 0, 0, EVENT_ENOSPC, &suppressed));
		assert_true(rate_take(rate, 0, &(struct event){ .cause_uid = 1, .test = true },
				      &suppressed));
	}
	assert_int_equal(rate_suppressed(rate), 0);
	rate_free(rate);
}

static void test_many_users(void **state)
{
	uint64_t suppressed, passed = 0;
	struct rate *rate;

	assert_int_equal(rate_new(&rate), 0);
	for (uint32_t uid = 1; uid <= 65536; uid++)
		passed += take(rate, SECOND, uid, EVENT_ENOSPC, &suppressed);

	/* All past the table share one allowance. */
	assert_int_equal(passed, RATE_USERS + RATE_BURST);

	/* Those in the table are still who they were. */
	for (unsigned int i = 0; i < RATE_BURST - 1; i++)
		assert_true(take(rate, SECOND, 1, EVENT_ENOSPC, &suppressed));
	assert_false(take(rate, SECOND, 1, EVENT_ENOSPC, &suppressed));

	/* Once they were quiet, there is room for others. */
	assert_true(take(rate, 2 * SECOND, 70000, EVENT_ENOSPC, &suppressed));
	for (unsigned int i = 0; i < RATE_BURST - 1; i++)
		assert_true(take(rate, 2 * SECOND, 70000, EVENT_ENOSPC, &suppressed));
	rate_free(rate);
}

static void test_clock(void **state)
{
	uint64_t suppressed;
	struct rate *rate;

	assert_int_equal(rate_new(&rate), 0);
	assert_true(take(rate, UINT64_MAX / 2, 5, EVENT_ENOSPC, &suppressed));
	/* A time that stands still or goes back gives nothing and breaks nothing. */
	for (unsigned int i = 0; i < 10 * RATE_BURST; i++)
		(void)take(rate, 0, 5, EVENT_ENOSPC, &suppressed);
	assert_true(take(rate, UINT64_MAX / 2 + SECOND, 5, EVENT_ENOSPC, &suppressed));
	rate_free(rate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_and_rate),
		cmocka_unit_test(test_exempt),
		cmocka_unit_test(test_many_users),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
