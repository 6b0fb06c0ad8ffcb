/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/core/quota.h"

static const struct quota_limit limits[_QUOTA_KIND_N] = {
	[QUOTA_STREAMS] = { .per_uid = 4, .total = 10 },
	[QUOTA_REPLY_BYTES] = { .per_uid = UINT64_MAX, .total = UINT64_MAX },
};

static void test_per_user(void **state)
{
	struct quota_charge charges[4] = {}, more = {};
	struct quota *quota;

	assert_int_equal(quota_new(&quota, limits), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(quota_charge(quota, &charges[i], 1000, QUOTA_STREAMS, 1), 0);
	assert_int_equal(quota_used(quota, 1000, QUOTA_STREAMS), 4);

	assert_int_equal(quota_charge(quota, &more, 1000, QUOTA_STREAMS, 1), QUOTA_E_EXCEEDED);
	assert_null(more.quota);
	assert_int_equal(quota_used(quota, 1000, QUOTA_STREAMS), 4);

	/* Others, root among them, and other kinds have their own. */
	assert_int_equal(quota_charge(quota, &more, 0, QUOTA_STREAMS, 4), 0);
	assert_int_equal(quota_used(quota, 1000, QUOTA_REPLY_BYTES), 0);

	quota_release(&charges[0]);
	quota_release(&charges[0]); /* idempotent */
	assert_int_equal(quota_used(quota, 1000, QUOTA_STREAMS), 3);
	assert_int_equal(quota_charge(quota, &charges[0], 1000, QUOTA_STREAMS, 1), 0);

	for (unsigned int i = 0; i < 4; i++)
		quota_release(&charges[i]);
	quota_release(&more);
	assert_int_equal(quota_total(quota, QUOTA_STREAMS), 0);
	quota_free(quota);
}

static void test_total(void **state)
{
	struct quota_charge charges[4] = {};
	struct quota *quota;

	assert_int_equal(quota_new(&quota, limits), 0);
	assert_int_equal(quota_charge(quota, &charges[0], 1, QUOTA_STREAMS, 4), 0);
	assert_int_equal(quota_charge(quota, &charges[1], 2, QUOTA_STREAMS, 4), 0);
	assert_int_equal(quota_charge(quota, &charges[2], 3, QUOTA_STREAMS, 3), QUOTA_E_EXCEEDED);
	assert_int_equal(quota_used(quota, 3, QUOTA_STREAMS), 0);
	assert_int_equal(quota_charge(quota, &charges[2], 3, QUOTA_STREAMS, 2), 0);
	assert_int_equal(quota_total(quota, QUOTA_STREAMS), 10);
	for (unsigned int i = 0; i < 4; i++)
		quota_release(&charges[i]);
	quota_free(quota);
}

/* Others, however many, leave root its part. */
static void test_reserved(void **state)
{
	struct quota_charge charges[4] = {};
	struct quota *quota;

	assert_int_equal(quota_new(&quota, limits), 0);
	quota_set_limit(quota, QUOTA_STREAMS,
			(struct quota_limit){ .per_uid = 4, .total = 8, .reserved = 2 });
	assert_int_equal(quota_charge(quota, &charges[0], 1, QUOTA_STREAMS, 4), 0);
	assert_int_equal(quota_charge(quota, &charges[1], 2, QUOTA_STREAMS, 3), QUOTA_E_EXCEEDED);
	assert_int_equal(quota_charge(quota, &charges[1], 2, QUOTA_STREAMS, 2), 0);
	assert_int_equal(quota_charge(quota, &charges[2], 3, QUOTA_STREAMS, 1), QUOTA_E_EXCEEDED);
	assert_int_equal(quota_charge(quota, &charges[3], 0, QUOTA_STREAMS, 3), QUOTA_E_EXCEEDED);
	assert_int_equal(quota_charge(quota, &charges[3], 0, QUOTA_STREAMS, 2), 0);
	for (unsigned int i = 0; i < 4; i++)
		quota_release(&charges[i]);
	quota_free(quota);
}

static void test_edges(void **state)
{
	struct quota_charge zero = {}, huge = {}, one = {};
	struct quota *quota;

	assert_int_equal(quota_new(&quota, limits), 0);
	assert_int_equal(quota_charge(quota, &zero, 5, QUOTA_STREAMS, 0), 0);
	assert_null(zero.quota);
	quota_release(&zero);

	assert_int_equal(quota_charge(quota, &huge, 5, QUOTA_REPLY_BYTES, UINT64_MAX), 0);
	assert_int_equal(quota_charge(quota, &one, 5, QUOTA_REPLY_BYTES, 1), QUOTA_E_EXCEEDED);
	assert_int_equal(quota_charge(quota, &one, 6, QUOTA_REPLY_BYTES, 1), QUOTA_E_EXCEEDED);
	quota_move(&zero, &huge);
	quota_release(&huge);
	assert_int_equal(quota_used(quota, 5, QUOTA_REPLY_BYTES), UINT64_MAX);
	quota_release(&zero);
	assert_int_equal(quota_used(quota, 5, QUOTA_REPLY_BYTES), 0);
	assert_int_equal(quota_charge(quota, &one, (uid_t)-1, QUOTA_REPLY_BYTES, 1), 0);
	quota_release(&one);
	assert_null(quota_free(quota));
}

/* Users of one chain, released in another order than charged. */
static void test_many_users(void **state)
{
	static struct quota_charge charges[5000];
	struct quota *quota;

	assert_int_equal(quota_new(&quota, limits), 0);
	for (unsigned int i = 0; i < 5000; i++)
		assert_int_equal(quota_charge(quota, &charges[i], i * 64, QUOTA_REPLY_BYTES, i + 1),
				 0);
	for (unsigned int i = 0; i < 5000; i++)
		assert_int_equal(quota_used(quota, i * 64, QUOTA_REPLY_BYTES), i + 1);
	for (unsigned int i = 0; i < 5000; i += 2)
		quota_release(&charges[i]);
	for (unsigned int i = 0; i < 5000; i++)
		assert_int_equal(quota_used(quota, i * 64, QUOTA_REPLY_BYTES), i % 2 ? i + 1 : 0);
	for (unsigned int i = 0; i < 5000; i++)
		quota_release(&charges[i]);
	assert_int_equal(quota_total(quota, QUOTA_REPLY_BYTES), 0);
	quota_free(quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_per_user),   cmocka_unit_test(test_total),
		cmocka_unit_test(test_reserved),   cmocka_unit_test(test_edges),
		cmocka_unit_test(test_many_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
