/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/history.h"
#include "daemon/worker/state-file.h"
#include "tests/io/state-fixture.h"

/* Cut at every byte: what was whole before the cut is there, and appending goes on. */
static void test_truncated(void **state)
{
	static uint8_t whole[16384];
	struct state_loaded loaded;
	size_t ends[16], n_whole, n_ends = 0;
	uint64_t ids[32];

	for (uint64_t id = 1; id <= 8; id++) {
		assert_int_equal(append_event(id, EVENT_IO_ERROR), 0);
		ends[n_ends++] = slurp("history", whole, sizeof(whole));
	}
	n_whole = ends[n_ends - 1];

	for (size_t cut = 0; cut <= n_whole; cut++) {
		size_t expected = 0, n;

		while (expected < n_ends && ends[expected] <= cut)
			expected++;

		spill("history", whole, cut);
		n = load_ids(&loaded, ids, 32);
		assert_int_equal(n, expected);
		if (n > 0)
			assert_int_equal(ids[n - 1], expected);
		/* A cut is no reason to keep a copy. */
		assert_false(loaded.kept_aside);

		assert_int_equal(append_event(1000, EVENT_IO_ERROR), 0);
		assert_int_equal(load_ids(&loaded, ids, 32), expected + 1);
		assert_int_equal(loaded.n_damaged, 0);
	}
}

/* A cut that load never repaired: the next batch is found behind it. */
static void test_append_after_cut(void **state)
{
	static uint8_t whole[16384];
	struct state_loaded loaded;
	uint64_t ids[4];
	size_t n;

	assert_int_equal(append_event(1, EVENT_IO_ERROR), 0);
	assert_int_equal(append_event(2, EVENT_IO_ERROR), 0);
	n = slurp("history", whole, sizeof(whole));

	/* Frames end with up to 7 bytes of padding, which a hole replaces. */
	for (size_t lost = 8; lost < 48; lost++) {
		spill("history", whole, n - lost);
		assert_int_equal(append_event(3, EVENT_IO_ERROR), 0);
		assert_int_equal(load_ids(&loaded, ids, 4), 2);
		assert_int_equal(ids[0], 1);
		assert_int_equal(ids[1], 3);
		assert_true(loaded.n_damaged > 0);
	}
}

/* Every byte changed in turn: at most the one event is gone, ids never go back. */
static void test_flipped(void **state)
{
	static uint8_t whole[16384];
	struct state_loaded loaded;
	size_t n_whole;

	for (uint64_t id = 1; id <= 5; id++)
		assert_int_equal(append_event(id, EVENT_IO_ERROR), 0);
	n_whole = slurp("history", whole, sizeof(whole));

	for (size_t i = 0; i < n_whole; i++) {
		uint64_t ids[8];
		size_t n;

		whole[i] ^= (uint8_t)(1U << i % 8);
		spill("history", whole, n_whole);
		whole[i] ^= (uint8_t)(1U << i % 8);

		n = load_ids(&loaded, ids, 8);
		assert_true(n >= 4 && n <= 5);
		assert_true(loaded.last_id >= 4 && loaded.last_id <= 5);
		if (i < HISTORY_HEAD)
			assert_int_equal(n, 5);

		/* Told once: the file is clean again. */
		assert_int_equal(load_ids(&loaded, ids, 8), n);
		assert_int_equal(loaded.n_damaged, 0);
		assert_false(loaded.kept_aside);
	}

	/* However often: a bounded number of copies. */
	assert_int_equal(access(in_directory("history.corrupt-3"), F_OK), 0);
	assert_int_equal(access(in_directory("history.corrupt-4"), F_OK), -1);
}

static void test_ids_damaged(void **state)
{
	uint8_t whole[2048];
	struct state_loaded loaded;
	size_t n;

	assert_int_equal(reserve(EPOCH_A, 5000), 0);
	n = slurp("ids", whole, sizeof(whole));
	assert_true(n < sizeof(whole));

	for (size_t i = 0; i < n; i++) {
		whole[i] ^= (uint8_t)(1U << i % 8);
		spill("ids", whole, n);
		whole[i] ^= (uint8_t)(1U << i % 8);

		load_ids(&loaded, NULL, 0);
		assert_string_equal(loaded.epoch, "");
		assert_int_equal(loaded.reserved, 0);
		/* One copy of the first, then of the first cut, then of the second: enough. */
		assert_int_equal(loaded.kept_aside, i < 2);

		spill("ids", whole, i);
		load_ids(&loaded, NULL, 0);
		assert_string_equal(loaded.epoch, "");

		/* And written again without regard to what was there. */
		assert_int_equal(reserve(EPOCH_B, 10), 0);
		load_ids(&loaded, NULL, 0);
		assert_string_equal(loaded.epoch, EPOCH_B);
		assert_int_equal(loaded.reserved, 10);
	}
}

/* Random bytes as files: no crash, no event, no id. */
static void test_random(void **state)
{
	static uint8_t noise[65536];
	uint32_t seed = 1;

	for (unsigned int round = 0; round < 40; round++) {
		struct state_loaded loaded;
		size_t n = round * 1600;

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			noise[i] = (uint8_t)(seed >> 24);
		}

		spill("history", noise, n);
		spill("ids", noise, n > 1024 ? 1024 : n);
		assert_int_equal(load_ids(&loaded, NULL, 0), 0);
		assert_string_equal(loaded.epoch, "");
		assert_int_equal(loaded.last_id, 0);
	}
}

/* What the killed writer shares with the test: what it knows to be durable. */
struct progress {
	volatile uint64_t stored; /* appended, last id */
	volatile uint64_t reserved;
	volatile uint64_t used; /* last id handed to append */
};

_Noreturn static void write_until_killed(struct progress *progress, uint64_t id, uint64_t reserved)
{
	for (;;) {
		if (id >= reserved) {
			reserved += 16;
			if (reserve(EPOCH_A, reserved) < 0)
				_exit(1);
			progress->reserved = reserved;
		}
		progress->used = id;
		if (append_event(id, EVENT_IO_ERROR) < 0)
			_exit(1);
		progress->stored = id++;
	}
}

/* Killed at random moments: nothing durable is lost, no id is given twice. */
static void test_killed(void **state)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static uint64_t ids[4 * HISTORY_SIZE_DEFAULT];
	uint64_t next = 1, reserved = 0, total = 0;
	unsigned int seed = 7;

	assert_ptr_not_equal(progress, MAP_FAILED);

	for (unsigned int round = 0; round < 200; round++) {
		struct timespec pause = { .tv_nsec = rand_r(&seed) % 3000000 };
		struct state_loaded loaded;
		int status;
		size_t n;
		pid_t pid;

		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed(progress, next, reserved);

		/* In each tenth round not before it stored one, however busy the machine is. */
		for (unsigned int i = 0; round % 10 == 0 && i < 30000; i++) {
			if (progress->stored >= next)
				break;
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
		(void)nanosleep(&pause, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));

		n = load_ids(&loaded, ids, 4 * HISTORY_SIZE_DEFAULT);
		assert_true(loaded.last_id >= progress->stored);
		assert_true(loaded.last_id <= progress->used);
		assert_true(loaded.reserved >= progress->reserved);
		if (progress->reserved > 0)
			assert_string_equal(loaded.epoch, EPOCH_A);
		if (progress->stored > total) {
			assert_true(n > 0);
			assert_true(ids[n - 1] >= progress->stored);
		}

		total = loaded.last_id;
		reserved = loaded.reserved;
		next = total + 1 > reserved ? total + 1 : reserved;
		assert_true(next > progress->used);
	}

	print_message("200 kills, %llu ids\n", (unsigned long long)next);
	assert_true(total > 0);
	(void)munmap(progress, sizeof(*progress));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_truncated, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_append_after_cut, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_flipped, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_ids_damaged, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_random, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_killed, state_setup, state_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
