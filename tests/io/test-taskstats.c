/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/source/taskstats.h"
#include "tests/io/process-fixture.h"

#define BURN_US 100000
#define STORM 20000
#define RECORDS 4096

/* How long the kernel samples: what is told may be off by one, at 100 a second. */
#define TICK_US 10000

static int run_burner(int answers, void *ctx)
{
	struct timespec now;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec == 0 && now.tv_nsec < BURN_US * 1000);
	return 0;
}

static int run_storm(int answers, void *ctx)
{
	vfork_many(STORM);
	return 0;
}

/* Return: whether the record of this process came. */
static bool take(struct taskstats_source *taskstats, uint32_t pid, struct wire_taskstats *ret,
		 uint64_t *n, bool *lost)
{
	static struct wire_taskstats records[RECORDS];
	bool found = false;
	int r;

	while ((r = taskstats_read(taskstats, records, RECORDS, lost)) > 0) {
		*n += (uint64_t)r;
		for (int i = 0; i < r; i++) {
			if (records[i].tid != pid)
				continue;
			*ret = records[i];
			found = true;
		}
	}
	assert_int_equal(r, 0);
	return found;
}

static void test_burner(void **state)
{
	_cleanup_(taskstats_freep) struct taskstats_source *taskstats = NULL;
	struct wire_taskstats record = {};
	uint64_t n = 0, told, truth;
	struct rusage usage;
	struct child child;
	bool lost = false;
	int status;

	assert_return_code(taskstats_new(&taskstats, 0), 0);
	assert_false(taskstats_is_started(taskstats));
	assert_return_code(taskstats_start(taskstats), 0);
	assert_int_equal(taskstats_start(taskstats), -EALREADY);
	assert_true(taskstats_is_started(taskstats));

	child_start(&child, run_burner, NULL);
	child_go(&child);
	assert_int_equal(wait4(child.pid, &status, 0, &usage), child.pid);
	close(child.answers);
	assert_int_equal(status, 0);
	/* The record is sent before the one who waits is told. */
	assert_true(take(taskstats, (uint32_t)child.pid, &record, &n, &lost));
	assert_false(lost);

	told = record.user_us + record.system_us;
	truth = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
		(uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	printf("burner: %" PRIu64 " us told, %" PRIu64 " us by wait4; peak %" PRIu64
	       " KiB told, %ld KiB by wait4\n",
	       told, truth, record.peak_rss_kib, usage.ru_maxrss);
	assert_in_range(told, truth * 95 / 100 - TICK_US, truth * 105 / 100 + TICK_US);
	assert_true(record.tgid == (uint32_t)child.pid || record.tgid == 0);
	assert_int_equal(record.uid, 0);
	/* Counted in batches by each CPU. */
	assert_in_range(record.peak_rss_kib, (uint64_t)usage.ru_maxrss / 2,
			(uint64_t)usage.ru_maxrss * 2);

	taskstats_stop(taskstats);
	assert_false(taskstats_is_started(taskstats));
	taskstats_stop(taskstats);
	assert_return_code(taskstats_start(taskstats), 0);
}

static void test_storm(void **state)
{
	_cleanup_(taskstats_freep) struct taskstats_source *taskstats = NULL;
	struct taskstats_statistics statistics;
	struct wire_taskstats record;
	bool lost = false, found;
	struct child child;
	uint64_t n = 0, deadline = now_us() + PATIENCE_US;

	assert_return_code(taskstats_new(&taskstats, 0), 0);
	assert_return_code(taskstats_start(taskstats), 0);
	child_start(&child, run_storm, NULL);
	child_go(&child);
	do {
		found = take(taskstats, (uint32_t)child.pid, &record, &n, &lost);
		assert_true(now_us() < deadline);
		usleep(1000);
	} while (!found);
	assert_int_equal(child_wait(&child), 0);

	taskstats_statistics(taskstats, &statistics);
	printf("%" PRIu64 " records of %u and some exits\n", n, STORM + 1);
	assert_true(n >= STORM + 1);
	assert_int_equal(statistics.records, n);
	assert_false(lost);
	assert_int_equal(statistics.overruns, 0);
	assert_int_equal(statistics.foreign, 0);
	assert_int_equal(statistics.malformed, 0);
}

/* Nobody reads, and the buffer has room for few. */
static void test_overrun(void **state)
{
	_cleanup_(taskstats_freep) struct taskstats_source *taskstats = NULL;
	struct taskstats_statistics statistics;
	struct wire_taskstats record;
	struct child child;
	bool lost = false;
	uint64_t n = 0, deadline = now_us() + PATIENCE_US;

	assert_return_code(taskstats_new(&taskstats, 8192), 0);
	assert_return_code(taskstats_start(taskstats), 0);
	child_start(&child, run_storm, NULL);
	child_go(&child);
	assert_int_equal(child_wait(&child), 0);
	assert_false(take(taskstats, (uint32_t)child.pid, &record, &n, &lost));
	assert_true(lost);
	assert_true(n < STORM);
	taskstats_statistics(taskstats, &statistics);
	assert_true(statistics.overruns >= 1);

	/* And it goes on, where not too many others end at the same time. */
	do {
		child_start(&child, run_burner, NULL);
		child_go(&child);
		assert_int_equal(child_wait(&child), 0);
		assert_true(now_us() < deadline);
	} while (!take(taskstats, (uint32_t)child.pid, &record, &n, &lost));
	assert_null(taskstats_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burner),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_overrun),
	};

	process_fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
