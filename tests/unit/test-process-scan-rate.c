/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/process-scan-rate.h"

#define USER 1000
#define TOOK_US 50000
#define SECOND_US 1000000ULL

/* Asks each millisecond. Return: how many scans it caused. */
static unsigned int run(struct scan_rate *rate, uid_t uid, uint64_t from_us, uint64_t to_us)
{
	unsigned int n = 0;

	for (uint64_t now_us = from_us; now_us < to_us; now_us += 1000) {
		if (scan_rate_wait(rate, uid, now_us + 1, now_us) > 0)
			continue;
		scan_rate_charge(rate, uid, now_us + 1, TOOK_US, now_us);
		n++;
	}
	return n;
}

static void test_burst_and_share(void **state)
{
	const unsigned int burst = SCAN_RATE_BURST_US / TOOK_US;
	struct scan_rate rate = {};
	unsigned int n;

	n = run(&rate, USER, SECOND_US, 101 * SECOND_US);
	assert_in_range(n, burst + 99, burst + 102);
	/* another is not concerned, nor is root ever */
	assert_int_equal(scan_rate_wait(&rate, USER + 1, 1, 101 * SECOND_US), 0);
	assert_int_equal(run(&rate, 0, 0, SECOND_US), 1000);
	/* and all of it comes back */
	assert_in_range(run(&rate, USER, 1000 * SECOND_US, 1000 * SECOND_US + 100000), burst,
			burst + 2);
}

static void test_bounds(void **state)
{
	struct scan_rate rate = {};

	/* those who wait for one scan are charged once */
	for (unsigned int i = 0; i < 1000; i++)
		scan_rate_charge(&rate, USER, 7, SCAN_RATE_BURST_US, SECOND_US);
	assert_int_equal(scan_rate_wait(&rate, USER, 10, SECOND_US), 0);
	/* one that took long is not paid for ever, and who is charged for it may have it */
	scan_rate_charge(&rate, USER, 8, 3600 * SECOND_US, SECOND_US);
	assert_int_equal(scan_rate_wait(&rate, USER, 8, SECOND_US), 0);
	assert_int_equal(scan_rate_wait(&rate, USER, 10, SECOND_US), SCAN_RATE_WAIT_US);
	assert_int_equal(scan_rate_wait(&rate, USER, 10, SECOND_US + SCAN_RATE_WAIT_US), 0);
	/* more users than there is room for: who owes most is remembered */
	for (uid_t uid = 2000; uid < 2000 + 2 * SCAN_RATE_USERS; uid++)
		scan_rate_charge(&rate, uid, 9, TOOK_US, SECOND_US);
	assert_int_equal(rate.n_users, SCAN_RATE_USERS);
	assert_int_equal(scan_rate_wait(&rate, USER, 10, SECOND_US), SCAN_RATE_WAIT_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_and_share),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
