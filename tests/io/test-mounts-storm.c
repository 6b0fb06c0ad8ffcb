/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The mount table source under load: a storm of mounts, more events than the
 * kernel queues, and the cost of a reading per mount.
 */

#include "tests/io/mounts-fixture.h"

#define STORM_MOUNTS 600
#define STORM_FOLDERS 23
#define STORM_LIFE 11 /* mounts later */
#define STORM_KEPT 20

/* 600 mounts and unmounts in a second by another process; each lives for 18 ms, 20 stay. */
static void storm(void)
{
	uint64_t begin = clock_us(CLOCK_MONOTONIC);
	char where[64];

	for (unsigned int i = 0; i < STORM_MOUNTS + STORM_LIFE; i++) {
		uint64_t due = begin + i * 1000000 / STORM_MOUNTS, now = clock_us(CLOCK_MONOTONIC);

		if (now < due)
			usleep((useconds_t)(due - now));

		if (i >= STORM_LIFE) {
			snprintf(where, sizeof(where), SCRATCH "/s%u",
				 (i - STORM_LIFE) % STORM_FOLDERS);
			if (umount2(where, i % 7 ? 0 : MNT_DETACH) < 0)
				_exit(1);
		}

		snprintf(where, sizeof(where), SCRATCH "/s%u", i % STORM_FOLDERS);
		mkdir(where, 0700);
		if (i < STORM_MOUNTS && mount("storm", where, "tmpfs", 0, NULL) < 0)
			_exit(2);

		snprintf(where, sizeof(where), SCRATCH "/k%u", i);
		if (i % (STORM_MOUNTS / STORM_KEPT) == 0 && i < STORM_MOUNTS &&
		    (mkdir(where, 0700) < 0 || mount("kept", where, "tmpfs", 0, NULL) < 0))
			_exit(3);
	}

	_exit(0);
}

static void test_storm(void **state)
{
	struct world *world = *state;
	struct mounts_statistics statistics;
	struct superblock *scratch = superblock_at(world, SCRATCH);
	uint64_t generation = scratch->generation, begin = clock_us(CLOCK_MONOTONIC), took;
	int status = 0;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0)
		storm();

	while (waitpid(pid, &status, WNOHANG) == 0)
		assert_return_code(sd_event_run(world->loop, 20000), 0);
	assert_int_equal(status, 0);
	took = clock_us(CLOCK_MONOTONIC) - begin;
	settle(world);
	compare_with_kernel(world);

	/* What was there all the time never went. */
	assert_ptr_equal(superblock_at(world, SCRATCH), scratch);
	assert_int_equal(scratch->generation, generation);
	assert_int_equal(world->n_added - world->n_removed, STORM_KEPT);

	mounts_statistics(world->mounts, &statistics);
	print_message("storm of %llu ms: %llu readings, %llu repeated, %llu wake-ups, %llu full "
		      "listings, %u told\n",
		      (unsigned long long)took / 1000, (unsigned long long)statistics.readings,
		      (unsigned long long)statistics.unsteady,
		      (unsigned long long)statistics.wakeups,
		      (unsigned long long)statistics.listings, world->n_added);
	assert_true(statistics.readings <= took / 25000 + 5);
	assert_true(statistics.wakeups <= 2 * statistics.readings + 5);
}

/* More events than the queue of the kernel holds, while nobody reads. */
static void test_overflow(void **state)
{
	struct world *world = *state;
	struct mounts_statistics statistics;

	assert_return_code(mkdir(SCRATCH "/o", 0700), errno);
	for (unsigned int i = 0; i < 8300; i++) {
		assert_return_code(mount(SCRATCH, SCRATCH "/o", NULL, MS_BIND, NULL), errno);
		assert_return_code(umount2(SCRATCH "/o", MNT_DETACH), errno);
	}

	mount_tmpfs(SCRATCH "/last");
	settle(world);
	compare_with_kernel(world);
	assert_string_equal(superblock_at(world, SCRATCH "/last")->mounts[0]->where,
			    SCRATCH "/last");

	mounts_statistics(world->mounts, &statistics);
	assert_int_equal(statistics.overflows,
			 strstr(mounts_source(world->mounts), "fanotify") != NULL);

	/* And it still listens. */
	assert_return_code(umount2(SCRATCH "/last", 0), errno);
	settle(world);
	assert_ptr_equal(superblock_at(world, SCRATCH "/last"), superblock_at(world, SCRATCH));
}

/* Time of the processor for a reading with all that follows, per mount, in ns. */
static uint64_t cost_per_mount(struct world *world)
{
	enum { ROUNDS = 15 };
	uint64_t spent = 0;
	size_t n_mounts = superblock_table_count(world->table);

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t before = readings(world), begin;

		mount_tmpfs(SCRATCH "/toggle");
		assert_return_code(umount2(SCRATCH "/toggle", 0), errno);
		mount_tmpfs(SCRATCH "/toggle");
		begin = clock_us(CLOCK_THREAD_CPUTIME_ID);
		while (readings(world) == before)
			assert_return_code(sd_event_run(world->loop, 1000000), 0);
		spent += clock_us(CLOCK_THREAD_CPUTIME_ID) - begin;
		assert_return_code(umount2(SCRATCH "/toggle", 0), errno);
	}

	settle(world);
	return spent * 1000 / ROUNDS / n_mounts;
}

static void test_cost_is_flat(void **state)
{
	static const unsigned int steps[] = { 100, 1000, 3000 };
	struct world *world = *state;
	uint64_t costs[3];
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (; n < steps[i]; n++) {
			char where[64];

			snprintf(where, sizeof(where), SCRATCH "/c%u", n);
			mount_tmpfs(where);
		}

		settle(world);
		costs[i] = cost_per_mount(world);
		print_message("%u mounts: %llu ns a mount and reading\n", steps[i],
			      (unsigned long long)costs[i]);
	}

	compare_with_kernel(world);
	/* Were it not flat, they would be ten and thirty times as much. */
	assert_true(costs[1] < 5 * costs[0]);
	assert_true(costs[2] < 5 * costs[0]);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cost_is_flat, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_in_namespace(run);
}
