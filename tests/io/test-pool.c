/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/fixture.h"

struct ordered {
	unsigned int next;
	bool done;
};

struct ordered_call {
	struct ordered *all;
	unsigned int i;
};

#define ORDERED_N 4096

static void on_ordered(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct ordered_call *call = userdata;

	assert_int_equal(result, POOL_DONE);
	assert_int_equal(call->i, call->all->next);
	call->all->next++;
	call->all->done = call->all->next == ORDERED_N;
}

static void test_order_and_bound(void **state)
{
	static struct ordered_call calls[ORDERED_N];
	struct fixture *fixture = *state;
	struct ordered all = {};
	struct pool_submission s = { .lane = POOL_LANE_LOCAL,
				     .job = JOB_CONFIG,
				     .fd = -1,
				     .payload = "e",
				     .n_payload = 1,
				     .reply = on_ordered };
	uint64_t began = now_us();

	/* The worker is not there before the loop runs: all of them queue. */
	for (unsigned int i = 0; i < ORDERED_N; i++) {
		calls[i] = (struct ordered_call){ &all, i };
		s.userdata = &calls[i];
		assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
	}
	assert_int_equal(pool_submit(fixture->pool, &s, NULL), -ENOBUFS);

	assert_true(loop_until(fixture->loop, &all.done, PATIENCE_US));
	print_message("%u jobs: %.1f us each\n", ORDERED_N, (double)(now_us() - began) / ORDERED_N);
}

static void test_replies(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	size_t n = 9000001;
	char *payload = malloc(n);

	assert_non_null(payload);
	for (size_t i = 0; i < n; i++)
		payload[i] = (char)(i * 2654435761U >> 24);
	payload[0] = 'e';

	/* Longer than any socket buffer, both ways. */
	run_task(*state, &call, payload, n);
	assert_int_equal(call.result, POOL_DONE);
	assert_int_equal(call.n_reply, n);
	assert_memory_equal(call.reply, payload, n);
	free(payload);

	run_task(*state, &call, "fail", 4);
	assert_int_equal(call.result, POOL_FAILED);
	assert_int_equal(call.error, -EUCLEAN);

	run_task(*state, &call, "huge", 4);
	assert_int_equal(call.result, POOL_FAILED);
	assert_int_equal(call.error, -EFBIG);

	run_task(*state, &call, "x", 1);
	assert_int_equal(call.result, POOL_BROKEN);

	run_task(*state, &call, "e", 1);
	assert_int_equal(call.result, POOL_DONE);
}

/* A server that reads nothing: the worker can be killed. */
static void test_stopped(void **state)
{
	_cleanup_(call_deinit) struct call hung = {}, local = {}, queued = {};
	struct fixture *fixture = *state;
	pid_t fuse = fuse_start("/mnt/stopped", "stopped");
	struct mount mount = mount_of("/mnt/stopped"), root = mount_of("/mnt");
	struct pool_statistics statistics;

	/* The worker is there, so that the time is that of the job. */
	run_statfs(fixture, &local, &root, POOL_LANE_FOREIGN, 7);

	assert_return_code(submit_statfs(fixture, &hung, &mount, POOL_LANE_FOREIGN, 7), 0);
	assert_return_code(submit_statfs(fixture, &queued, &root, POOL_LANE_FOREIGN, 7), 0);
	while (!hung.done) {
		run_statfs(fixture, &local, &root, POOL_LANE_LOCAL, 1);
		assert_int_equal(local.result, POOL_DONE);
		assert_true(local.ended_us - local.began_us < SLACK_US);
		run_statfs(fixture, &local, &root, POOL_LANE_FOREIGN, 8);
		assert_int_equal(local.result, POOL_DONE);
		assert_true(local.ended_us - local.began_us < SLACK_US);
	}

	assert_int_equal(hung.result, POOL_STALLED);
	print_message("stalled after %.1f ms, deadline %.1f ms\n",
		      (double)(hung.ended_us - hung.began_us) / 1000, DEADLINE_US / 1000.0);
	assert_in_range(hung.ended_us - hung.began_us, DEADLINE_US, PATIENCE_US);

	/* What waited behind it goes on with the next worker, or is told that this one is slow to die. */
	assert_true(loop_until(fixture->loop, &queued.done, PATIENCE_US));
	for (uint64_t end_us = now_us() + PATIENCE_US; queued.result == POOL_BLOCKED;) {
		assert_true(now_us() < end_us);
		run_statfs(fixture, &queued, &root, POOL_LANE_FOREIGN, 7);
	}
	assert_int_equal(queued.result, POOL_DONE);
	pool_statistics(fixture->pool, &statistics);
	assert_int_equal(statistics.blocked, 0);
	assert_int_equal(statistics.stalled, 1);
	assert_int_equal(statistics.killed, 1);

	kill(fuse, SIGUSR1);
	run_statfs(fixture, &hung, &mount, POOL_LANE_FOREIGN, 7);
	assert_int_equal(hung.result, POOL_DONE);
	assert_int_equal(hung.statfs.usage.available, 400);

	assert_return_code(umount2("/mnt/stopped", MNT_DETACH), errno);
	child_end(fuse);
}

/* A server that has read the request: its caller cannot be killed. */
static void test_unanswered(void **state)
{
	_cleanup_(call_deinit) struct call hung = {}, local = {};
	struct fixture *fixture = *state;
	pid_t fuse = fuse_start("/mnt/unanswered", "unanswered");
	struct mount mount = mount_of("/mnt/unanswered"), root = mount_of("/mnt");

	run_statfs(fixture, &hung, &mount, POOL_LANE_FOREIGN, 9);
	assert_int_equal(hung.result, POOL_STALLED);
	wait_blocked(fixture, 1);

	for (unsigned int i = 0; i < 3; i++) {
		run_statfs(fixture, &hung, &mount, POOL_LANE_FOREIGN, 9);
		assert_int_equal(hung.result, POOL_BLOCKED);
		assert_true(hung.ended_us - hung.began_us < SLACK_US);
	}
	/* Not in the local lane either: one stuck worker for one filesystem. */
	run_statfs(fixture, &hung, &mount, POOL_LANE_LOCAL, 9);
	assert_int_equal(hung.result, POOL_BLOCKED);
	run_statfs(fixture, &local, &root, POOL_LANE_LOCAL, 1);
	assert_int_equal(local.result, POOL_DONE);

	fuse_abort("/mnt/unanswered");
	wait_blocked(fixture, 0);
	run_statfs(fixture, &hung, &mount, POOL_LANE_FOREIGN, 9);
	assert_int_equal(hung.result, POOL_DONE);
	assert_int_equal(hung.statfs.error, -ENOTCONN);

	assert_return_code(umount2("/mnt/unanswered", MNT_DETACH), errno);
	child_end(fuse);
}

/* One disk that hangs delays the others by POOL_SLOW_US at most, once. */
static void test_slow_local(void **state)
{
	_cleanup_(call_deinit) struct call hung = {}, same = {};
	static struct call other[20];
	struct fixture *fixture = *state;
	pid_t fuse = fuse_start("/mnt/slow", "unanswered");
	struct mount mount = mount_of("/mnt/slow"), root = mount_of("/mnt");

	run_statfs(fixture, &other[0], &root, POOL_LANE_LOCAL, 1);

	assert_return_code(submit_statfs(fixture, &hung, &mount, POOL_LANE_LOCAL, 2), 0);
	assert_return_code(submit_statfs(fixture, &same, &mount, POOL_LANE_LOCAL, 2), 0);
	for (size_t i = 0; i < 20; i++)
		assert_return_code(submit_statfs(fixture, &other[i], &root, POOL_LANE_LOCAL, 1), 0);

	assert_true(loop_until(fixture->loop, &other[19].done, PATIENCE_US));
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(other[i].result, POOL_DONE);
		assert_true(other[i].ended_us - other[i].began_us < POOL_SLOW_US + SLACK_US);
	}
	assert_false(hung.done);
	assert_false(same.done);

	/* Later ones do not wait at all. */
	run_statfs(fixture, &other[0], &root, POOL_LANE_LOCAL, 1);
	assert_true(other[0].ended_us - other[0].began_us < SLACK_US);

	assert_true(loop_until(fixture->loop, &same.done, PATIENCE_US));
	assert_int_equal(hung.result, POOL_STALLED);
	assert_int_equal(same.result, POOL_BLOCKED);
	assert_in_range(hung.ended_us - hung.began_us, DEADLINE_US, PATIENCE_US);

	for (size_t i = 0; i < 20; i++)
		call_deinit(&other[i]);
	fuse_abort("/mnt/slow");
	assert_return_code(umount2("/mnt/slow", MNT_DETACH), errno);
	child_end(fuse);
}

/* A hundred filesystems of one user that all hang, then as many of root. */
static void test_caps(void **state)
{
	static struct call calls[100];
	struct fixture *fixture = *state;
	pid_t fuse = fuse_start("/mnt/caps", "unanswered");
	struct mount mount = mount_of("/mnt/caps"), root = mount_of("/mnt");
	_cleanup_(call_deinit) struct call local = {};
	unsigned int count[POOL_FAILED + 1] = {};

	for (unsigned int i = 0; i < 100; i++) {
		calls[i].owner_uid = 1000;
		assert_return_code(
			submit_statfs(fixture, &calls[i], &mount, POOL_LANE_FOREIGN, 100 + i), 0);
	}
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(loop_until(fixture->loop, &calls[i].done, PATIENCE_US));
		count[calls[i].result]++;
	}
	assert_int_equal(count[POOL_STALLED], POOL_FOREIGN_PER_UID);
	assert_int_equal(count[POOL_LIMIT], 100 - POOL_FOREIGN_PER_UID);

	memset(count, 0, sizeof(count));
	for (unsigned int i = 0; i < 100; i++) {
		calls[i].owner_uid = 0;
		assert_return_code(
			submit_statfs(fixture, &calls[i], &mount, POOL_LANE_FOREIGN, 300 + i), 0);
	}
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(loop_until(fixture->loop, &calls[i].done, PATIENCE_US));
		count[calls[i].result]++;
	}
	assert_int_equal(count[POOL_STALLED], POOL_FOREIGN_MAX - POOL_FOREIGN_PER_UID);
	assert_int_equal(count[POOL_LIMIT], 100 - POOL_FOREIGN_MAX + POOL_FOREIGN_PER_UID);

	/* Local disks have their own. */
	run_statfs(fixture, &local, &root, POOL_LANE_LOCAL, 1);
	assert_int_equal(local.result, POOL_DONE);
	assert_true(local.ended_us - local.began_us < SLACK_US);

	/* A lane that was dropped still counts while its worker cannot die. */
	for (unsigned int i = 0; i < 100; i++)
		pool_drop_lane(fixture->pool, 300 + i);
	run_statfs(fixture, &local, &root, POOL_LANE_FOREIGN, 999);
	assert_int_equal(local.result, POOL_LIMIT);

	fuse_abort("/mnt/caps");
	wait_blocked(fixture, 0);
	/* More than there may be workers: idle ones make room. */
	for (unsigned int i = 0; i < 100; i++) {
		run_statfs(fixture, &local, &root, POOL_LANE_FOREIGN, 500 + i);
		assert_int_equal(local.result, POOL_DONE);
	}

	for (unsigned int i = 0; i < 100; i++)
		call_deinit(&calls[i]);
	assert_return_code(umount2("/mnt/caps", MNT_DETACH), errno);
	child_end(fuse);
}

static void test_cancel_and_drop(void **state)
{
	static struct call calls[6];
	struct fixture *fixture = *state;
	pid_t fuse = fuse_start("/mnt/cancel", "stopped");
	struct mount mount = mount_of("/mnt/cancel"), root = mount_of("/mnt");

	/* One running, four in the queue, which is full then. */
	run_statfs(fixture, &calls[0], &root, POOL_LANE_FOREIGN, 20);
	for (unsigned int i = 0; i < 5; i++) {
		calls[i].n = 0;
		assert_return_code(submit_statfs(fixture, &calls[i], &mount, POOL_LANE_FOREIGN, 20),
				   0);
	}
	assert_int_equal(submit_statfs(fixture, &calls[5], &mount, POOL_LANE_FOREIGN, 20),
			 -ENOBUFS);

	pool_cancel(calls[0].ticket);
	pool_cancel(calls[2].ticket);
	pool_drop_lane(fixture->pool, 20);
	/* It has its answer, which was not called yet. */
	pool_cancel(calls[3].ticket);
	loop_for(fixture->loop, 100000);
	assert_int_equal(calls[0].n, 0);
	assert_int_equal(calls[2].n, 0);
	assert_int_equal(calls[3].n, 0);
	for (unsigned int i = 1; i < 5; i += 3) {
		assert_int_equal(calls[i].n, 1);
		assert_int_equal(calls[i].result, POOL_BROKEN);
	}

	/* The key is as good as new. */
	run_statfs(fixture, &calls[0], &root, POOL_LANE_FOREIGN, 20);
	assert_int_equal(calls[0].result, POOL_DONE);
	pool_drop_lane(fixture->pool, 20);

	/* Dropped while its worker is on the way, and while nothing is known of it. */
	assert_return_code(submit_statfs(fixture, &calls[1], &root, POOL_LANE_FOREIGN, 21), 0);
	pool_drop_lane(fixture->pool, 21);
	pool_drop_lane(fixture->pool, 22);
	assert_true(loop_until(fixture->loop, &calls[1].done, PATIENCE_US));
	assert_int_equal(calls[1].result, POOL_BROKEN);

	for (size_t i = 0; i < 6; i++)
		call_deinit(&calls[i]);
	assert_return_code(umount2("/mnt/cancel", MNT_DETACH), errno);
	child_end(fuse);
}

static size_t own_processes(const struct pool *pool, pid_t ret[static 16])
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) && n < 16) {
		pid_t pid = atoi(entry->d_name);

		if (pid != getpid() && pool_owns_pid(pool, pid))
			ret[n++] = pid;
	}
	closedir(dir);
	return n;
}

/* The daemon is killed: zygote and workers go with it. */
static void test_killed(void **state)
{
	pid_t pids[16] = {}, child;
	int out[2];
	ssize_t n;

	assert_return_code(pipe2(out, O_CLOEXEC), errno);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct fixture fixture = {};
		struct mount root = mount_of("/mnt");
		struct call call = {};
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (zygote_start(&fd) < 0 || sd_event_new(&fixture.loop) < 0 ||
		    pool_new(&fixture.pool, fixture.loop, fd) < 0)
			_exit(1);
		for (uint64_t key = 1; key <= 3; key++)
			run_statfs(&fixture, &call, &root, POOL_LANE_FOREIGN, key);
		n = (ssize_t)(own_processes(fixture.pool, pids) * sizeof(*pids));
		_exit(write(out[1], pids, (size_t)n) == n && pause());
	}

	close(out[1]);
	n = read(out[0], pids, sizeof(pids));
	close(out[0]);
	/* The zygote, the reserved worker, three others. */
	assert_int_equal(n, 5 * sizeof(*pids));
	for (size_t i = 0; i < 5; i++)
		assert_true(process_exists(pids[i]));

	child_end(child);
	for (uint64_t end = now_us() + PATIENCE_US; now_us() < end; usleep(1000)) {
		size_t alive = 0;

		for (size_t i = 0; i < 5; i++)
			alive += process_exists(pids[i]);
		if (alive == 0)
			return;
	}
	fail_msg("a worker outlived the daemon");
}

static void test_zygote_killed(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct mount root = mount_of("/mnt");
	pid_t pids[16];
	uint64_t end;
	size_t n;

	run_statfs(fixture, &call, &root, POOL_LANE_LOCAL, 1);
	n = own_processes(fixture->pool, pids);
	assert_int_equal(n, 2);
	/* The one that was there first. */
	kill(pids[0] < pids[1] ? pids[0] : pids[1], SIGKILL);
	for (end = now_us() + PATIENCE_US;
	     (process_exists(pids[0]) || process_exists(pids[1])) && now_us() < end;)
		loop_for(fixture->loop, 1000);
	assert_false(process_exists(pids[0]));
	assert_false(process_exists(pids[1]));

	/* The next one is there within a second or two. */
	for (end = now_us() + PATIENCE_US; now_us() < end;) {
		assert_return_code(submit_statfs(fixture, &call, &root, POOL_LANE_LOCAL, 1), 0);
		assert_true(loop_until(fixture->loop, &call.done, PATIENCE_US));
		if (call.result == POOL_DONE)
			break;
		assert_int_equal(call.result, POOL_BROKEN);
	}
	assert_int_equal(call.result, POOL_DONE);
}

/* Once all is done nothing wakes the loop. */
static void test_idle(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct mount root = mount_of("/mnt");
	uint64_t end;
	unsigned int wakeups = 0;

	run_statfs(fixture, &call, &root, POOL_LANE_LOCAL, 1);
	run_statfs(fixture, &call, &root, POOL_LANE_FOREIGN, 2);
	meter_stop(&fixture->meter);
	loop_for(fixture->loop, 50000);

	/* Through the end of the idle foreign worker. */
	for (end = now_us() + 14000000; now_us() < end;)
		wakeups += sd_event_run(fixture->loop, end - now_us()) > 0;
	print_message("wake-ups while idle: %u\n", wakeups);
	/* A timer that goes on would be as many as there are seconds. */
	assert_in_range(wakeups, 1, 8);

	struct pool_statistics statistics;

	pool_statistics(fixture->pool, &statistics);
	assert_int_equal(statistics.workers, 1);
	assert_int_equal(sd_event_run(fixture->loop, 1000000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_and_bound, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_replies, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_stopped, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_unanswered, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_slow_local, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_caps, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_cancel_and_drop, fixture_setup,
						fixture_teardown),
		cmocka_unit_test(test_killed),
		cmocka_unit_test_setup_teardown(test_zygote_killed, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_idle, fixture_setup, fixture_teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
