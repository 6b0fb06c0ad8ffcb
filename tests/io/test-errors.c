/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/block.h"
#include "daemon/source/errors.h"
#include "daemon/worker/job-locate.h"
#include "tests/io/fixture.h"

#define ROUNDS 100

static struct errors *errors;

struct watched {
	struct errors_member *member;
	struct mount mount;
	char where[64];
	char trigger[128];
	bool marked, told;
	int error;
	unsigned int n_marked, n_told, n_overflows;
	struct fanotify_error last;
	struct watched *free_when_told;
};

static void on_error(const struct fanotify_error *error, void *userdata)
{
	struct watched *watched = userdata;
	struct watched *doomed = watched->free_when_told;

	watched->told = true;
	watched->n_told++;
	watched->n_overflows += error->overflow;
	watched->last = *error;
	if (doomed)
		doomed->member = errors_member_free(doomed->member);
}

static void on_marked(int error, void *userdata)
{
	struct watched *watched = userdata;

	watched->marked = true;
	watched->n_marked++;
	watched->error = error;
}

static const struct errors_lane local = { .lane = POOL_LANE_LOCAL, .key = 1 };
static const struct errors_ops ops = { .error = on_error, .marked = on_marked };

static int setup(void **state)
{
	struct fixture *fixture;

	if (fixture_setup(state) < 0)
		return -1;
	fixture = *state;
	/* What the test itself waits for is not the loop's doing. */
	meter_stop(&fixture->meter);
	assert_return_code(errors_new(&errors, fixture->loop, fixture->pool), 0);
	return 0;
}

static int teardown(void **state)
{
	errors = errors_free(errors);
	return fixture_teardown(state);
}

static void watch(struct fixture *fixture, struct watched *watched, const char *where)
{
	*watched = (struct watched){};
	snprintf(watched->where, sizeof(watched->where), "%s", where);
	watched->mount = mount_of(watched->where);
	assert_return_code(errors_member_new(&watched->member, errors, &watched->mount, &local,
					     &ops, watched),
			   0);
	assert_false(watched->marked);
	assert_true(loop_until(fixture->loop, &watched->marked, PATIENCE_US));
	assert_int_equal(watched->n_marked, 1);
}

static void find_trigger(struct watched *watched)
{
	char name[BLOCK_NAME_MAX];
	struct stat st;

	assert_return_code(stat(watched->where, &st), errno);
	assert_return_code(block_name(major(st.st_dev), minor(st.st_dev), name), 0);
	snprintf(watched->trigger, sizeof(watched->trigger), "/sys/fs/ext4/%s/trigger_fs_error",
		 name);
}

static void watch_image(struct fixture *fixture, struct watched *watched, const char *where)
{
	if (!mount_image(where, "ext4", "32M")) {
		print_message("SKIPPED: mkfs.ext4 is missing\n");
		skip();
	}
	assert_return_code(mount(NULL, where, NULL, MS_REMOUNT, "errors=continue"), errno);
	watch(fixture, watched, where);
	find_trigger(watched);
	assert_int_equal(watched->error, 0);
}

static bool trigger(const char *path, unsigned int n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	for (unsigned int i = 0; i < n; i++)
		if (write(fd, "text", 4) != 4)
			return false;
	return fd >= 0 && close(fd) == 0;
}

/* Runs in a process of its own: what the daemon causes is not told. Return: its pid. */
static pid_t trigger_in_child(const struct watched *watched, unsigned int n)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(trigger(watched->trigger, n) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return child;
}

static void wait_told(struct fixture *fixture, struct watched *watched)
{
	assert_true(loop_until(fixture->loop, &watched->told, PATIENCE_US));
}

static void unwatch(struct watched *watched)
{
	watched->member = errors_member_free(watched->member);
	assert_return_code(umount2(watched->where, UMOUNT_NOFOLLOW), errno);
}

static void test_told(void **state)
{
	struct fixture *fixture = *state;
	struct errors_statistics statistics;
	struct watched watched;
	uint64_t worst = 0;

	watch_image(fixture, &watched, "/mnt/told");
	for (unsigned int i = 1; i <= 20; i++) {
		uint64_t began = now_us();
		pid_t child = trigger_in_child(&watched, 1);

		wait_told(fixture, &watched);
		if (now_us() - began > worst)
			worst = now_us() - began;
		assert_int_equal(watched.n_told, i);
		assert_int_equal(watched.last.error, EUCLEAN);
		assert_int_equal(watched.last.count, 1);
		assert_int_equal(watched.last.pid, child);
		assert_false(watched.last.overflow);
		watched.told = false;
	}
	errors_statistics(errors, &statistics);
	assert_int_equal(statistics.events, 20);
	assert_int_equal(statistics.own + statistics.unknown + statistics.overflows, 0);
	print_message("twenty errors, each told within %.1f ms\n", (double)worst / 1000);

	/* Many between two readings are one event with a count. */
	watched.n_told = 0;
	trigger_in_child(&watched, 1000);
	wait_told(fixture, &watched);
	assert_int_equal(watched.last.count, 1000);
	assert_int_equal(watched.n_told, 1);
	unwatch(&watched);
}

/* What the daemon itself causes, and what is of no member, is counted and dropped. */
static void test_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct errors_statistics statistics = {};
	struct watched watched;

	watch_image(fixture, &watched, "/mnt/dropped");
	assert_true(trigger(watched.trigger, 1));
	while (errors_statistics(errors, &statistics), statistics.own == 0)
		assert_true(sd_event_run(fixture->loop, PATIENCE_US) > 0);
	assert_int_equal(watched.n_told, 0);

	/* The mark stays with the superblock. */
	watched.member = errors_member_free(watched.member);
	trigger_in_child(&watched, 1);
	while (errors_statistics(errors, &statistics), statistics.unknown == 0)
		assert_true(sd_event_run(fixture->loop, PATIENCE_US) > 0);
	assert_int_equal(watched.n_told, 0);

	/* And can be asked for again. */
	watch(fixture, &watched, "/mnt/dropped");
	assert_int_equal(watched.error, 0);
	find_trigger(&watched);
	trigger_in_child(&watched, 1);
	wait_told(fixture, &watched);
	unwatch(&watched);
}

/* An error while a member's mark is being set: it is told to look. */
static void test_early(void **state)
{
	struct fixture *fixture = *state;
	struct errors_statistics statistics = {};
	struct watched watched;

	watch_image(fixture, &watched, "/mnt/early");
	errors_member_free(watched.member);
	trigger_in_child(&watched, 1);
	/* The event waits already; the answer of the worker does not yet. */
	assert_return_code(errors_member_new(&watched.member, errors, &watched.mount, &local, &ops,
					     &watched),
			   0);
	watched.told = false;
	wait_told(fixture, &watched);
	errors_statistics(errors, &statistics);
	assert_int_equal(watched.n_overflows, statistics.unknown);
	assert_int_equal(watched.n_told, 1);
	unwatch(&watched);
}

/* Copies of one image have one fsid: all are told, and may free each other meanwhile. */
static void test_copies(void **state)
{
	struct fixture *fixture = *state;
	struct watched copies[3];
	unsigned int n_told = 0;
	int r;

	r = system("cd /mnt && truncate -s 16M i0 && mkfs.ext4 -q i0 && cp i0 i1 && cp i0 i2 && "
		   "for i in 0 1 2; do mkdir copy$i && mount -o loop,errors=continue i$i copy$i; "
		   "done && rm i0 i1 i2");
	assert_int_equal(r, 0);
	for (unsigned int i = 0; i < 3; i++) {
		char where[32];

		snprintf(where, sizeof(where), "/mnt/copy%u", i);
		watch(fixture, &copies[i], where);
		assert_int_equal(copies[i].error, 0);
		find_trigger(&copies[i]);
	}

	trigger_in_child(&copies[1], 1);
	for (unsigned int i = 0; i < 3; i++)
		wait_told(fixture, &copies[i]);

	for (unsigned int i = 0; i < 3; i++) {
		copies[i].n_told = 0;
		copies[i].free_when_told = &copies[(i + 1) % 3];
	}
	copies[0].told = copies[1].told = copies[2].told = false;
	trigger_in_child(&copies[1], 1);
	while (!copies[0].told && !copies[1].told && !copies[2].told)
		assert_true(sd_event_run(fixture->loop, PATIENCE_US) > 0);
	for (unsigned int i = 0; i < 3; i++)
		n_told += copies[i].n_told;
	/* The second is gone before its turn; the third frees the first. */
	assert_int_equal(n_told, 2);
	for (unsigned int i = 0; i < 3; i++)
		unwatch(&copies[i]);
}

/* Somebody lists a damaged directory: who, what, and where that is. */
static void test_damaged(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct pool_submission s;
	struct locate_request request = {};
	struct locate_reply reply;
	struct errors_statistics statistics;
	struct watched watched;
	struct stat st;
	void *payload;

	make_directory("/mnt/damaged");
	if (system("command -v debugfs >/dev/null") != 0) {
		print_message("SKIPPED: debugfs is missing\n");
		skip();
	}
	assert_int_equal(
		system("cd /mnt && truncate -s 16M i && mkfs.ext4 -q i && "
		       "debugfs -w -R 'mkdir outer' i 2>/dev/null >&2 && "
		       "debugfs -w -R 'mkdir outer/inner' i 2>/dev/null >&2 && "
		       "debugfs -w -R 'zap_block -f /outer/inner -p 255 0' i 2>/dev/null && "
		       "mount -o loop,errors=continue i damaged && rm i"),
		0);
	watch(fixture, &watched, "/mnt/damaged");
	assert_return_code(stat("/mnt/damaged/outer/inner", &st), errno);
	assert_int_not_equal(system("ls /mnt/damaged/outer/inner >/dev/null 2>&1"), 0);
	wait_told(fixture, &watched);
	assert_true(watched.last.error == EUCLEAN || watched.last.error == EBADMSG);
	assert_true(watched.last.has_inode);
	assert_int_equal(watched.last.inode, st.st_ino);
	assert_true(watched.last.has_handle);

	request.where = watched.where;
	request.mount_id = watched.mount.id;
	request.handle_type = watched.last.handle_type;
	request.n_handle = watched.last.n_handle;
	memcpy(request.handle, watched.last.handle, request.n_handle);
	s = call_prepare(&call, POOL_LANE_LOCAL, 1);
	assert_return_code(locate_request_encode(&request, &payload, &s.n_payload), 0);
	s.job = JOB_LOCATE;
	s.payload = payload;
	s.deadline_us = PATIENCE_US;
	assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
	free(payload);
	assert_true(loop_until(fixture->loop, &call.done, PATIENCE_US));
	assert_int_equal(call.result, POOL_DONE);
	assert_return_code(locate_reply_decode(call.reply, call.n_reply, &reply), 0);
	assert_int_equal(reply.error, 0);
	assert_string_equal(reply.path, "outer/inner");

	/* What the worker may have caused by that is not told. */
	watched.n_told = 0;
	loop_for(fixture->loop, 20000);
	assert_int_equal(watched.n_told, 0);
	errors_statistics(errors, &statistics);
	print_message("%lu events, %lu our own\n", (unsigned long)statistics.events,
		      (unsigned long)statistics.own);
	unwatch(&watched);
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	struct watched watched;

	mount_tmpfs("/mnt/over", "size=1M");
	watched.mount = mount_of("/mnt/over");
	mount_tmpfs("/mnt/over", "size=1M");
	watched = (struct watched){ .mount = watched.mount };
	assert_return_code(errors_member_new(&watched.member, errors, &watched.mount, &local, &ops,
					     &watched),
			   0);
	assert_true(loop_until(fixture->loop, &watched.marked, PATIENCE_US));
	assert_int_equal(watched.error, -ESTALE);
	errors_member_free(watched.member);

	/* Freed before the answer: it does not come. */
	watched.n_marked = 0;
	assert_return_code(errors_member_new(&watched.member, errors, &watched.mount, &local, &ops,
					     &watched),
			   0);
	errors_member_free(watched.member);
	watch(fixture, &watched, "/mnt/over");
	assert_int_equal(watched.n_marked, 1);
	errors_member_free(watched.member);
}

/* A mark does not keep a filesystem busy. */
static void test_unmount(void **state)
{
	struct fixture *fixture = *state;
	struct watched watched;
	unsigned int n_busy = 0;
	char device[64], command[128];
	FILE *pipe;

	make_directory("/mnt/rounds");
	pipe = popen("cd /mnt && truncate -s 16M i && mkfs.ext4 -q i && losetup -f --show i", "re");
	assert_non_null(pipe);
	assert_non_null(fgets(device, sizeof(device), pipe));
	assert_int_equal(pclose(pipe), 0);
	device[strcspn(device, "\n")] = '\0';

	for (unsigned int i = 0; i < ROUNDS; i++) {
		assert_return_code(mount(device, "/mnt/rounds", "ext4", 0, NULL), errno);
		watch(fixture, &watched, "/mnt/rounds");
		assert_int_equal(watched.error, 0);
		if (umount2("/mnt/rounds", UMOUNT_NOFOLLOW) < 0) {
			assert_int_equal(errno, EBUSY);
			n_busy++;
			while (umount2("/mnt/rounds", UMOUNT_NOFOLLOW) < 0)
				assert_int_equal(errno, EBUSY);
		}
		errors_member_free(watched.member);
	}
	snprintf(command, sizeof(command), "losetup -d %s", device);
	assert_int_equal(system(command), 0);
	print_message("%u rounds, %u times busy\n", ROUNDS, n_busy);
	assert_int_equal(n_busy, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_early, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmount, setup, teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
