/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/name-ring.h"

#define N_BYTES 5000

static void test_kept(void **state)
{
	struct name_ring ring = {};
	char name[NAME_RING_NAME_MAX + 1], found[NAME_RING_NAME_MAX + 1];
	uint64_t first, second, longest;

	assert_int_equal(name_ring_init(&ring, N_BYTES), 0);
	first = name_ring_push(&ring, "/bin/true", 9);
	second = name_ring_push(&ring, "x", 1);
	assert_true(first > 0 && second > first);
	assert_int_equal(name_ring_find(&ring, first, found), 9);
	assert_string_equal(found, "/bin/true");
	assert_int_equal(name_ring_find(&ring, second, found), 1);
	assert_string_equal(found, "x");

	memset(name, 'y', sizeof(name));
	assert_int_equal(name_ring_push(&ring, name, NAME_RING_NAME_MAX + 1), 0);
	assert_int_equal(name_ring_push(&ring, name, 0), 0);
	longest = name_ring_push(&ring, name, NAME_RING_NAME_MAX);
	assert_int_equal(name_ring_find(&ring, longest, found), NAME_RING_NAME_MAX);
	assert_memory_equal(found, name, NAME_RING_NAME_MAX);
	assert_int_equal(name_ring_find(&ring, first, found), 9);

	/* What was never given */
	assert_int_equal(name_ring_find(&ring, 0, found), 0);
	assert_int_equal(name_ring_find(&ring, UINT64_MAX, found), 0);
	assert_int_equal(name_ring_find(&ring, ring.head + 1, found), 0);
	name_ring_deinit(&ring);
	assert_int_equal(name_ring_push(&ring, "a", 1), 0);
	assert_int_equal(name_ring_find(&ring, 1, found), 0);
}

/* Each name is there exactly while it has not been written over. */
static void test_replaced(void **state)
{
	struct {
		uint64_t id;
		char name[64];
	} pushed[2000];
	struct name_ring ring = {};
	size_t n_gone = 0;

	assert_int_equal(name_ring_init(&ring, N_BYTES), 0);
	for (size_t i = 0; i < sizeof(pushed) / sizeof(pushed[0]); i++) {
		char found[NAME_RING_NAME_MAX + 1];
		int n;

		n = snprintf(pushed[i].name, sizeof(pushed[i].name), "%zu-%.*s", i, (int)(i % 50),
			     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
		pushed[i].id = name_ring_push(&ring, pushed[i].name, (size_t)n);
		assert_int_equal(name_ring_find(&ring, pushed[i].id, found), n);

		for (size_t k = i < 400 ? 0 : i - 400; k <= i; k++) {
			bool kept = ring.head - (pushed[k].id - 1) <= N_BYTES;
			size_t n_found = name_ring_find(&ring, pushed[k].id, found);

			if (kept)
				assert_string_equal(found, pushed[k].name);
			else
				assert_int_equal(n_found, 0);
			n_gone += !kept;
		}
	}
	assert_true(n_gone > 0);
	name_ring_deinit(&ring);
}

/* Events that still wait have what the ring before gave them. */
static void test_again(void **state)
{
	char found[NAME_RING_NAME_MAX + 1];
	struct name_ring ring = {};
	uint64_t former[64], id;

	assert_int_equal(name_ring_init(&ring, N_BYTES), 0);
	for (size_t i = 0; i < sizeof(former) / sizeof(former[0]); i++)
		former[i] = name_ring_push(&ring, "former", 6);
	name_ring_deinit(&ring);
	assert_int_equal(name_ring_init(&ring, 2 * N_BYTES), 0);
	for (size_t n = 0; n < 200; n++) {
		id = name_ring_push(&ring, "of another", 10);
		assert_int_equal(name_ring_find(&ring, id, found), 10);
		assert_string_equal(found, "of another");
		for (size_t i = 0; i < sizeof(former) / sizeof(former[0]); i++)
			assert_int_equal(name_ring_find(&ring, former[i], found), 0);
	}
	name_ring_deinit(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
