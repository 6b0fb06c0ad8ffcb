/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/source/gate.h"
#include "tests/io/harness.h"

#define LATENESS_MAX_US 500000 /* see fixture.c */

struct fixture {
	sd_event *loop;
	struct pool *pool;
	struct gate *gate;
};

struct watched {
	struct gate_member *member;
	struct mount mount;
	char where[64];
	bool armed, opened;
	int error;
	unsigned int n_armed, n_opened;
	bool free_when_opened;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int fd;

	assert_non_null(fixture);
	assert_return_code(zygote_start(&fd), 0);
	assert_return_code(sd_event_new(&fixture->loop), 0);
	assert_return_code(pool_new(&fixture->pool, fixture->loop, fd), 0);
	assert_return_code(gate_new(&fixture->gate, fixture->loop, fixture->pool), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	gate_free(fixture->gate);
	pool_free(fixture->pool);
	sd_event_unref(fixture->loop);
	free(fixture);
	return 0;
}

static void on_opened(void *userdata)
{
	struct watched *watched = userdata;

	watched->opened = true;
	watched->n_opened++;
	if (watched->free_when_opened)
		watched->member = gate_member_free(watched->member);
}

static void on_armed(int error, void *userdata)
{
	struct watched *watched = userdata;

	watched->armed = true;
	watched->error = error;
	watched->n_armed++;
}

static const struct gate_ops ops = { .opened = on_opened, .armed = on_armed };

static void watched_init(struct watched *watched, struct fixture *fixture, const char *where)
{
	*watched = (struct watched){};
	snprintf(watched->where, sizeof(watched->where), "%s", where);
	watched->mount = mount_of(watched->where);
	assert_return_code(gate_member_new(&watched->member, fixture->gate, &ops, watched), 0);
}

static void ask(struct watched *watched)
{
	watched->armed = watched->opened = false;
	assert_return_code(gate_member_arm(watched->member, &watched->mount, POOL_LANE_LOCAL, 1, 0),
			   0);
	assert_false(watched->armed);
}

static void arm(struct fixture *fixture, struct watched *watched)
{
	ask(watched);
	assert_int_equal(gate_member_arm(watched->member, &watched->mount, POOL_LANE_LOCAL, 1, 0),
			 -EALREADY);
	assert_true(loop_until(fixture->loop, &watched->armed, PATIENCE_US));
}

enum operation {
	OP_CREATE,
	OP_WRITE,
	OP_APPEND,
	OP_FALLOCATE,
	OP_TRUNCATE,
	OP_MKDIR,
	OP_UNLINK,
	OP_CLOSE_UNLINKED,
	_OP_N,
};

static bool operate(const char *where, enum operation operation)
{
	char file[128], directory[128], block[4096] = {};
	int fd;

	snprintf(file, sizeof(file), "%s/file", where);
	snprintf(directory, sizeof(directory), "%s/directory", where);

	switch (operation) {
	case OP_CREATE:
		return mknod(file, S_IFREG | 0600, 0) == 0;
	case OP_WRITE:
		fd = open(file, O_WRONLY | O_CLOEXEC);
		return pwrite(fd, block, sizeof(block), 0) == sizeof(block);
	case OP_APPEND:
		fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
		return write(fd, block, sizeof(block)) == sizeof(block);
	case OP_FALLOCATE:
		fd = open(file, O_WRONLY | O_CLOEXEC);
		return fallocate(fd, 0, 8192, 65536) == 0;
	case OP_TRUNCATE:
		return truncate(file, 100) == 0;
	case OP_MKDIR:
		return mkdir(directory, 0700) == 0;
	case OP_UNLINK:
		return unlink(file) == 0;
	case OP_CLOSE_UNLINKED:
		fd = open(where, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		return pwrite(fd, block, sizeof(block), 0) == sizeof(block) && close(fd) == 0;
	case _OP_N:
		break;
	}

	return false;
}

/* By somebody else: what the daemon itself does opens no gate. */
static void operate_in_child(const char *where, enum operation operation)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(operate(where, operation) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void check_filesystem(struct fixture *fixture, const char *where)
{
	struct watched watched;
	uint64_t worst = 0;

	watched_init(&watched, fixture, where);
	for (enum operation operation = 0; operation < _OP_N; operation++) {
		uint64_t began;

		arm(fixture, &watched);
		assert_int_equal(watched.error, 0);
		assert_true(gate_member_is_armed(watched.member));
		loop_for(fixture->loop, 5000);
		assert_false(watched.opened);

		operate_in_child(where, operation);
		began = now_us();
		assert_true(loop_until(fixture->loop, &watched.opened, PATIENCE_US));
		if (now_us() - began > worst)
			worst = now_us() - began;
		assert_false(gate_member_is_armed(watched.member));

		/* Open it stays silent, whatever is written. */
		watched.opened = false;
		if (operation == OP_WRITE) {
			operate_in_child(where, OP_WRITE);
			loop_for(fixture->loop, 20000);
			assert_false(watched.opened);
		}
	}
	print_message("%s: opened within %.1f ms\n", where, (double)worst / 1000);

	/* An armed gate holds no reference. */
	arm(fixture, &watched);
	assert_return_code(umount2(where, UMOUNT_NOFOLLOW), errno);
	assert_int_equal(gate_member_arm(watched.member, &watched.mount, POOL_LANE_LOCAL, 1, 0),
			 -EALREADY);
	gate_member_free(watched.member);
}

static void test_tmpfs(void **state)
{
	mount_tmpfs("/mnt/tmpfs", "size=10M");
	check_filesystem(*state, "/mnt/tmpfs");
}

static void check_image(struct fixture *fixture, const char *type, const char *size)
{
	char where[32];

	snprintf(where, sizeof(where), "/mnt/%s", type);
	if (!mount_image(where, type, size)) {
		print_message("SKIPPED: mkfs.%s is missing\n", type);
		skip();
	}
	check_filesystem(fixture, where);
}

static void test_ext4(void **state)
{
	check_image(*state, "ext4", "32M");
}

static void test_xfs(void **state)
{
	check_image(*state, "xfs", "300M");
}

static void test_btrfs(void **state)
{
	check_image(*state, "btrfs", "200M");
}

/* What the daemon writes itself wakes it, and changes nothing. */
static void test_own(void **state)
{
	struct fixture *fixture = *state;
	struct gate_statistics statistics;
	struct watched watched;

	mount_tmpfs("/mnt/own", "size=10M");
	watched_init(&watched, fixture, "/mnt/own");
	arm(fixture, &watched);

	for (enum operation operation = OP_CREATE; operation <= OP_APPEND; operation++) {
		assert_true(operate("/mnt/own", operation));
		loop_for(fixture->loop, 10000);
	}
	assert_false(watched.opened);
	gate_statistics(fixture->gate, &statistics);
	assert_int_equal(statistics.own, 3);
	assert_int_equal(statistics.opened, 0);
	assert_int_equal(statistics.armed, 1);

	/* Still set: somebody else opens it, also in one batch with an own one. */
	assert_true(operate("/mnt/own", OP_TRUNCATE));
	operate_in_child("/mnt/own", OP_WRITE);
	assert_true(loop_until(fixture->loop, &watched.opened, PATIENCE_US));
	gate_member_free(watched.member);
}

/* More events than the queue holds: one opening. */
static void test_flood(void **state)
{
	struct fixture *fixture = *state;
	struct watched watched;
	struct meter meter;
	int status;
	pid_t child;

	mount_tmpfs("/mnt/flood", "size=200M");
	watched_init(&watched, fixture, "/mnt/flood");
	arm(fixture, &watched);

	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		for (unsigned int i = 0; i < 20000; i++) {
			char name[64];

			snprintf(name, sizeof(name), "/mnt/flood/%u", i);
			if (mknod(name, S_IFREG | 0600, 0) < 0)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	meter_start(&meter, fixture->loop);
	assert_true(loop_until(fixture->loop, &watched.opened, PATIENCE_US));
	loop_for(fixture->loop, 50000);
	meter_stop(&meter);
	assert_int_equal(watched.n_opened, 1);
	print_message("loop late by at most %.1f ms\n", (double)meter.worst_us / 1000);
	assert_in_range(meter.worst_us, 0, LATENESS_MAX_US);
	gate_member_free(watched.member);
}

#define MANY 100

/* More filesystems than groups: the neighbours of one are told with it, and nobody else. */
static void test_shared(void **state)
{
	static struct watched watched[MANY];
	struct fixture *fixture = *state;
	struct gate_statistics statistics;
	unsigned int opened = 0;

	for (unsigned int i = 0; i < MANY; i++) {
		char where[64];

		snprintf(where, sizeof(where), "/mnt/many-%u", i);
		mount_tmpfs(where, "size=1M");
		watched_init(&watched[i], fixture, where);
		ask(&watched[i]);
	}
	for (unsigned int i = 0; i < MANY; i++) {
		assert_true(loop_until(fixture->loop, &watched[i].armed, PATIENCE_US));
		assert_int_equal(watched[i].error, 0);
	}
	gate_statistics(fixture->gate, &statistics);
	assert_int_equal(statistics.groups, GATE_GROUPS);
	assert_int_equal(statistics.armed, MANY);

	/* Armed they cost no wake-up. */
	loop_for(fixture->loop, 20000);
	assert_int_equal(sd_event_run(fixture->loop, 300000), 0);

	operate_in_child("/mnt/many-50", OP_CREATE);
	assert_true(loop_until(fixture->loop, &watched[50].opened, PATIENCE_US));
	loop_for(fixture->loop, 20000);
	for (unsigned int i = 0; i < MANY; i++) {
		opened += watched[i].opened;
		assert_true(watched[i].opened != gate_member_is_armed(watched[i].member));
	}
	assert_in_range(opened, MANY / GATE_GROUPS, MANY / GATE_GROUPS + 1);

	/* The others are still watched. */
	for (unsigned int i = 0; i < MANY; i++) {
		if (watched[i].opened)
			continue;
		operate_in_child(watched[i].where, OP_CREATE);
		assert_true(loop_until(fixture->loop, &watched[i].opened, PATIENCE_US));
	}

	for (unsigned int i = 0; i < MANY; i++)
		gate_member_free(watched[i].member);
}

/* A mark is being set while its group opens: whatever the order, no write is missed. */
static void test_race(void **state)
{
	static struct watched watched[GATE_GROUPS + 1];
	struct fixture *fixture = *state;
	struct watched *first = &watched[0], *second = &watched[GATE_GROUPS];
	unsigned int told = 0;

	for (unsigned int i = 0; i <= GATE_GROUPS; i++) {
		char where[64];

		snprintf(where, sizeof(where), "/mnt/race-%u", i);
		mount_tmpfs(where, "size=1M");
		watched_init(&watched[i], fixture, where);
	}
	/* The last one shares with the first. */
	for (unsigned int i = 0; i <= GATE_GROUPS; i++)
		arm(fixture, &watched[i]);
	operate_in_child(first->where, OP_CREATE);
	assert_true(loop_until(fixture->loop, &second->opened, PATIENCE_US));
	assert_true(first->opened);

	for (unsigned int i = 0; i < 200; i++) {
		arm(fixture, first);
		ask(second);
		/* Both are pending when the loop looks. */
		operate_in_child(first->where, OP_WRITE);
		assert_true(loop_until(fixture->loop, &first->opened, PATIENCE_US));
		assert_true(loop_until(fixture->loop, &second->armed, PATIENCE_US));
		assert_int_equal(second->error, 0);
		loop_for(fixture->loop, 1000);

		told += second->opened;
		if (!second->opened) {
			operate_in_child(second->where, i == 0 ? OP_CREATE : OP_CLOSE_UNLINKED);
			assert_true(loop_until(fixture->loop, &second->opened, PATIENCE_US));
		}
	}
	print_message("opened while being armed: %u of 200\n", told);

	for (unsigned int i = 0; i <= GATE_GROUPS; i++)
		gate_member_free(watched[i].member);
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	struct watched watched;
	struct rlimit limit, none = {};
	int highest;

	/* No more descriptors: no group. */
	mount_tmpfs("/mnt/refused", "size=1M");
	watched_init(&watched, fixture, "/mnt/refused");
	loop_for(fixture->loop, 20000);
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	highest = dup(0);
	assert_return_code(highest, errno);
	close(highest);
	none = (struct rlimit){ (rlim_t)highest, limit.rlim_max };
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	ask(&watched);
	assert_true(loop_until(fixture->loop, &watched.armed, PATIENCE_US));
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	assert_int_equal(watched.error, -EMFILE);
	arm(fixture, &watched);
	assert_int_equal(watched.error, 0);

	/* Another mount is at the path by now. */
	gate_member_free(watched.member);
	watched_init(&watched, fixture, "/mnt/refused");
	mount_tmpfs("/mnt/refused", "size=1M");
	arm(fixture, &watched);
	assert_int_equal(watched.error, -ESTALE);
	assert_false(gate_member_is_armed(watched.member));
	gate_member_free(watched.member);

	/* No such marks there. */
	watched_init(&watched, fixture, "/proc");
	arm(fixture, &watched);
	assert_true(watched.error == -EOPNOTSUPP || watched.error == -ENODEV);
	gate_member_free(watched.member);
}

static void test_freed(void **state)
{
	struct fixture *fixture = *state;
	struct watched watched;

	mount_tmpfs("/mnt/freed", "size=1M");
	watched_init(&watched, fixture, "/mnt/freed");
	ask(&watched);
	gate_member_free(watched.member);
	loop_for(fixture->loop, 50000);
	assert_false(watched.armed);

	/* From within its own callback; the group serves the next one. */
	watched_init(&watched, fixture, "/mnt/freed");
	watched.free_when_opened = true;
	arm(fixture, &watched);
	operate_in_child("/mnt/freed", OP_CREATE);
	assert_true(loop_until(fixture->loop, &watched.opened, PATIENCE_US));
	assert_null(watched.member);

	watched_init(&watched, fixture, "/mnt/freed");
	arm(fixture, &watched);
	operate_in_child("/mnt/freed", OP_WRITE);
	assert_true(loop_until(fixture->loop, &watched.opened, PATIENCE_US));
	gate_member_free(watched.member);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tmpfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ext4, setup, teardown),
		cmocka_unit_test_setup_teardown(test_xfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_btrfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed, setup, teardown),
	};

	harness_enter();
	harness_require_fanotify();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
