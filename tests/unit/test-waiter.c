/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/waiter.h"

#define CROWD 1000
#define BATCH 32
#define PAUSE_US 20000
#define COST_US 100

static void test_one(void **state)
{
	struct waiter_queue queue;
	struct waiter waiter = {}, *due = NULL;

	waiter_queue_init(&queue);
	assert_int_equal(waiter_queue_due(&queue), UINT64_MAX);
	waiter_queue_set(&queue, &waiter, UINT64_MAX);
	assert_int_equal(waiter_queue_pop(&queue, UINT64_MAX - 1, &due, 1), 0);

	waiter_queue_set(&queue, &waiter, 1000);
	assert_int_equal(waiter_queue_due(&queue), 1000);
	assert_int_equal(waiter_queue_pop(&queue, 999, &due, 1), 0);
	assert_int_equal(waiter_queue_pop(&queue, 1000, &due, 0), 0);
	assert_int_equal(waiter_queue_pop(&queue, 1000, &due, 1), 1);
	assert_ptr_equal(due, &waiter);
	assert_false(waiter.queued);
	assert_int_equal(waiter_queue_due(&queue), UINT64_MAX);
	assert_int_equal(waiter_queue_pop(&queue, 1000, &due, 1), 0);
}

/* Another time keeps the place, none gives it up. */
static void test_places(void **state)
{
	struct waiter waiters[3] = {}, *due[3];
	struct waiter_queue queue;

	waiter_queue_init(&queue);
	for (size_t i = 0; i < 3; i++)
		waiter_queue_set(&queue, &waiters[i], 1000 + i);
	waiter_queue_set(&queue, &waiters[0], 2000);
	waiter_queue_set(&queue, &waiters[1], UINT64_MAX);
	assert_int_equal(waiter_queue_due(&queue), 1002);
	waiter_queue_set(&queue, &waiters[1], 10);
	assert_int_equal(waiter_queue_due(&queue), 10);

	assert_int_equal(waiter_queue_pop(&queue, 2000, due, 3), 3);
	assert_ptr_equal(due[0], &waiters[0]);
	assert_ptr_equal(due[1], &waiters[2]);
	assert_ptr_equal(due[2], &waiters[1]);
}

/* More are due at any time than can be served, and each wants to be served again at once. */
static void test_fair(void **state)
{
	static struct waiter waiters[CROWD];
	unsigned int served[CROWD] = {}, most = 0, least = UINT32_MAX;
	struct waiter *due[BATCH];
	struct waiter_queue queue;
	uint64_t now = 1000000;

	waiter_queue_init(&queue);
	for (size_t i = 0; i < CROWD; i++)
		waiter_queue_set(&queue, &waiters[i], now);

	for (unsigned int round = 0; round < 10 * CROWD / BATCH; round++) {
		size_t n = waiter_queue_pop(&queue, now, due, BATCH);

		assert_int_equal(n, BATCH);
		for (size_t i = 0; i < n; i++) {
			served[due[i] - waiters]++;
			now += COST_US;
			waiter_queue_set(&queue, due[i], now + PAUSE_US);
		}
	}

	for (size_t i = 0; i < CROWD; i++) {
		most = served[i] > most ? served[i] : most;
		least = served[i] < least ? served[i] : least;
	}
	assert_in_range(least, 9, 10);
	assert_in_range(most, least, least + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_fair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
