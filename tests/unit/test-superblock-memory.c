/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Every allocation of an update fails once: the table must be as before, with
 * nothing leaked, and the next try must succeed. The allocator of the C library is replaced, which
 * the sanitizers do themselves: skipped there.
 */

#include <errno.h>
#include <stdbool.h>

#include "tests/unit/mount-fixture.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_INJECTION 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_INJECTION 0
#endif
#endif
#ifndef HAVE_INJECTION
#define HAVE_INJECTION 1
#endif

static bool counting;
static size_t n_until_failure;
static long n_living; /* allocations since counting began, less those freed */

#if HAVE_INJECTION
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static bool must_fail(void)
{
	return counting && n_until_failure-- == 0;
}

static void *counted(void *p)
{
	n_living += counting && p;
	return p;
}

void *malloc(size_t n)
{
	return must_fail() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	if (must_fail())
		return NULL;

	return p ? __libc_realloc(p, n) : counted(__libc_realloc(NULL, n));
}

void free(void *p)
{
	n_living -= counting && p;
	__libc_free(p);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t product;

	if (__builtin_mul_overflow(n, size, &product))
		return NULL;

	return realloc(p, product);
}
#endif

static const char before[] = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
			     "2 1 0:5 / /t rw - tmpfs t rw\n"
			     "3 1 0:6 / /u rw - tmpfs u rw\n";

static const char after[] = "1 0 8:1 / / ro - ext4 /dev/sda1 ro,emergency_ro\n"
			    "3 1 0:6 / /u rw - tmpfs u rw\n"
			    "4 3 0:6 /a /u/a rw - tmpfs u rw\n"
			    "5 1 0:7 / /v rw - tmpfs v rw\n";

static void check_before(struct fixture *fixture)
{
	const struct superblock *root = superblock_table_find_device(fixture->table, 8, 1);

	assert_string_equal(fixture->told, "");
	assert_int_equal(superblock_table_count(fixture->table), 3);
	assert_false(root->read_only);
	assert_false(root->mounts[0]->read_only);
	assert_string_equal(root->super_options, "rw");
	assert_string_equal(fixture_resolve(fixture, "/t"), "0:5");
	assert_string_equal(fixture_resolve(fixture, "/v"), "8:1");
	assert_null(superblock_table_find_mount(fixture->table, 4, NULL));
	assert_int_equal(superblock_table_find_device(fixture->table, 0, 6)->n_mounts, 1);
}

static void test_each_allocation(void **state)
{
	struct fixture *fixture = *state;
	char text[sizeof(after)];
	struct superblock_reading reading = { .text = text };
	size_t n_failed = 0;
	int r;

	if (!HAVE_INJECTION)
		skip();

	assert_int_equal(fixture_try(fixture, before), 0);
	assert_string_equal(fixture->told, "+8:1#1 +0:5#2 +0:6#3");
	fixture->told[0] = '\0';

	for (;;) {
		memcpy(text, after, sizeof(after));
		reading.n_text = sizeof(after) - 1;
		n_until_failure = n_failed;
		n_living = 0;
		counting = true;
		r = superblock_table_update(fixture->table, &reading, NULL);
		counting = false;
		if (r == 0)
			break;

		assert_int_equal(r, -ENOMEM);
		assert_int_equal(n_living, 0);
		check_before(fixture);
		n_failed++;
	}

	assert_true(n_failed > 10);
	assert_string_equal(fixture->told, "-0:5#2 +0:7#4 ~8:1#1 ~0:6#3");
	print_message("%zu allocations failed one by one\n", n_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_allocation, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
