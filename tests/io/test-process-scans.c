/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is wanted of the kernel and cannot be had for a while: scans of /proc, and events. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/process-world.h"

/* Longer than one waits for any other reason: see daemon/processes-feed.c. */
#define PUT_OFF_US 1000000

static const struct bus_track all_events = { .events = GROUP_EVENTS_ALL };
static struct world world;

static int run_pause(int answers, void *ctx)
{
	for (;;)
		pause();
	return 0;
}

static bool is_answered(void *ctx)
{
	return ((struct world *)ctx)->n_answers > 0;
}

static bool is_put_off(void *ctx)
{
	const struct world *all = ctx;
	int enabled = SD_EVENT_OFF;
	uint64_t at_us = 0;

	(void)sd_event_source_get_enabled(all->processes->rescan, &enabled);
	(void)sd_event_source_get_time(all->processes->rescan, &at_us);
	return enabled != SD_EVENT_OFF && at_us > now_us() + PUT_OFF_US;
}

static void set_descriptors(rlim_t n, rlim_t *ret_former)
{
	struct rlimit limit;

	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	if (ret_former)
		*ret_former = limit.rlim_cur;
	limit.rlim_cur = n;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
}

/* No descriptor is left for /proc: who waits is served once there is one. */
static void test_no_descriptor(void **state)
{
	const struct bus_sender sender = { .uid = 0, .name = ":1.1" };
	struct process_target *target;
	struct child child;
	rlim_t former = 0;

	world_start(&world, 0, "");
	child_start(&child, run_pause, NULL);
	assert_true(world_track(&world, child.pid, &all_events, 0));

	world.n_answers = world.n_refused = 0;
	assert_return_code(processes_bus_ops.target((uint32_t)child.pid, &target, &world.refusal,
						    world.processes),
			   0);
	set_descriptors(0, &former);
	processes_bus_ops.track(target, &all_events, true, &sender, (struct bus_reply *)&world,
				world.processes);
	loop_until(world.loop, is_put_off, &world);
	assert_int_equal(world.n_answers, 0);
	set_descriptors(former, NULL);
	loop_until(world.loop, is_answered, &world);
	assert_int_equal(world.n_refused, 0);

	kill(child.pid, SIGKILL);
	close(child.orders);
	assert_int_equal(child_wait(&child), SIGKILL);
	world_stop(&world);
}

static bool is_told_lost(void *ctx)
{
	return ((struct world *)ctx)->group.n_lost_unknown > 0;
}

/* What happens from then on nobody tells: who follows hears of that at once, and goes on after it. */
static void test_no_source(void **state)
{
	uint64_t followed;
	struct child child;

	world_start(&world, 0, "");
	child_start(&child, run_pause, NULL);
	assert_true(world_track(&world, child.pid, &all_events, 0));
	followed = world.group.id;
	process_source_stop(world.processes->source);
	processes_events_ops.started(-EIO, world.processes);
	loop_until(world.loop, is_told_lost, &world);
	assert_int_equal(world.group.n_lost_unknown, 1);

	world.group.n_lost_unknown = 0;
	assert_true(world_track(&world, child.pid, &all_events, 0));
	world.group.id = followed;
	assert_true(world_has_member(&world, child.pid, NULL));

	kill(child.pid, SIGKILL);
	close(child.orders);
	assert_int_equal(child_wait(&child), SIGKILL);
	world_wait_empty(&world);
	world_stop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_descriptor),
		cmocka_unit_test(test_no_source),
	};

	process_fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
