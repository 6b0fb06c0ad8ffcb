/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Each allocation of a hub fails once: what was not told is told as a loss, nothing
 * leaks, and it goes on. The allocator of the C library is replaced, which the
 * sanitizers do themselves: skipped there.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "include/fsevents_stream.h"
#include "tests/unit/hub-sim.h"

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

#define FILES 40

static bool counting, failed;
static size_t n_until_failure;
static long n_living; /* allocations since counting began, less those freed */

#if HAVE_INJECTION
/* For strdup() of the C library, too. */
#pragma GCC visibility push(default)

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static bool must_fail(void)
{
	if (!counting || n_until_failure-- != 0)
		return false;
	failed = true;
	return true;
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

	return __builtin_mul_overflow(n, size, &product) ? NULL : realloc(p, product);
}

#pragma GCC visibility pop
#endif

struct told {
	size_t n_made, n_lost;
	bool last; /* the file that is made when all is over */
};

static struct sim sim;

static void on_changed(const struct change *change, void *userdata)
{
	struct told *told = userdata;

	told->n_made += change->mask & FSEVENTS_CREATE && !(change->mask & FSEVENTS_DIRECTORY);
	told->last = change->n_name == 4 && memcmp(change->name, "last", 4) == 0;
}

static void on_lost(uint64_t count, const char *under, size_t n_under, void *userdata)
{
	((struct told *)userdata)->n_lost++;
}

static bool on_owner(int32_t pid, uid_t *ret, void *userdata)
{
	return false;
}

static const struct hub_ops ops = { on_changed, on_lost, on_owner };

/* Known and unknown directories, merged records, doubts, an exchange. Return: files made. */
static size_t operate(uint32_t old)
{
	uint32_t dir = sim_make(&sim, 1, SIM_ROOT, "made", true);
	char name[8];

	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_true(sim_make(&sim, 1, i & 1 ? dir : old, name, false));
	}
	assert_true(sim_rename(&sim, 1, SIM_ROOT, "made", old, "moved"));
	assert_true(sim_exchange(&sim, 1, old, "0", old, "2"));
	assert_true(sim_rename(&sim, 1, old, "4", old, "x"));
	assert_true(sim_rename(&sim, 1, old, "x", old, "4"));
	assert_true(sim_chmod(&sim, 1, old, 0, 5));
	return FILES;
}

/* Return: false: it could not be made. */
static bool run(struct credential *const *credentials, struct told *told)
{
	const struct hub_options options = { .tree = true, .n_nodes_max = 64 };
	struct handle root = sim_handle(SIM_ROOT);
	struct hub_watch *watches[2] = {};
	uint32_t old;
	struct hub *hub;
	size_t n_made = 0;
	bool ready = true;

	memset(told, 0, 2 * sizeof(*told));
	sim_init(&sim);
	old = sim_make(&sim, 1, SIM_ROOT, "old", true);
	sim.n_events = 0;
	if (hub_new(&hub, &options, &ops, NULL) < 0)
		return false;
	for (size_t i = 0; i < 2; i++) {
		struct hub_watch_options one = { .root = handle_view(&root),
						 .is_directory = true,
						 .mask = WATCH_MASK_ALL,
						 .credential = credentials[i],
						 .prefix = i ? "prefix" : NULL,
						 .userdata = &told[i] };

		ready = ready && hub_watch_new(&watches[i], hub, &one) == 0;
	}
	if (ready) {
		n_made = operate(old);
		sim_settle(&sim, hub);
		/* By then the failure is over, if it came before. */
		for (size_t i = 0; i < 2; i++)
			assert_true(told[i].n_lost > 0 || told[i].n_made >= n_made);
		assert_true(sim_make(&sim, 1, SIM_ROOT, "last", false));
		sim_settle(&sim, hub);
		assert_true(told[0].last || told[0].n_lost > 0);
	}
	for (size_t i = 0; i < 2; i++)
		hub_watch_free(watches[i]);
	hub_free(hub);
	return ready;
}

static void test_each_allocation(void **state)
{
	struct credential *both[2];
	struct credentials *credentials;
	size_t n_failed = 0, n_refused = 0, n_lost = 0;
	struct told told[2];

	if (!HAVE_INJECTION)
		skip();

	assert_int_equal(credentials_new(&credentials), 0);
	assert_int_equal(credential_get(credentials, 0, NULL, 0, &both[0]), 0);
	assert_int_equal(credential_get(credentials, 1000, NULL, 0, &both[1]), 0);
	for (;; n_failed++) {
		n_until_failure = n_failed;
		n_living = 0;
		failed = false;
		counting = true;
		n_refused += !run(both, told);
		counting = false;
		assert_int_equal(n_living, 0);
		n_lost += told[0].n_lost > 0;
		if (!failed)
			break;
	}
	assert_int_equal(told[0].n_lost + told[1].n_lost, 0);
	assert_true(told[0].last);
	assert_true(n_failed > 20 && n_refused > 0 && n_lost > 0);
	print_message("%zu allocations failed one by one, %zu were told as a loss\n", n_failed,
		      n_lost);
	credential_unref(both[0]);
	credential_unref(both[1]);
	credentials_free(credentials);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
