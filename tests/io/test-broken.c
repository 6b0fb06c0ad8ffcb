/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What workers say of filesystems that gave up. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/statmount.h"
#include "tests/io/fixture.h"

/* XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN: one number; 2: without flushing the log */
#define IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_FLUSH 2U

static void shut_down(const char *where)
{
	uint32_t how = SHUTDOWN_NO_FLUSH;
	int fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_return_code(ioctl(fd, IOC_SHUTDOWN, &how), errno);
	close(fd);
}

static void image_or_skip(const char *where, const char *type, const char *size)
{
	if (!mount_image(where, type, size)) {
		print_message("SKIPPED: mkfs.%s is missing\n", type);
		skip();
	}
}

static void ask(struct fixture *fixture, struct call *call, const struct mount *mount)
{
	assert_return_code(submit_statfs(fixture, call, mount, POOL_LANE_LOCAL, 1), 0);
	assert_true(loop_until(fixture->loop, &call->done, 20000000));
	assert_int_equal(call->result, POOL_DONE);
}

static void ask_mark(struct fixture *fixture, const struct mount *mount, struct mark_reply *ret)
{
	_cleanup_(call_deinit) struct call call = {};
	struct pool_submission s = call_prepare(&call, POOL_LANE_LOCAL, 1);
	struct mark_request request = { .where = mount->where,
					.mount_id = mount_number(mount),
					.mount_id_is_unique = mount->unique_id != 0,
					.mask = FAN_CREATE };
	_cleanup_close_ int fd = -1;
	void *payload;

	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_REPORT_FID, O_RDONLY);
	assert_return_code(fd, errno);
	assert_return_code(mark_request_encode(&request, &payload, &s.n_payload), 0);
	s.job = JOB_MARK;
	s.payload = payload;
	s.fd = fd;
	s.deadline_us = 10000000;
	assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
	free(payload);
	assert_true(loop_until(fixture->loop, &call.done, 20000000));
	assert_int_equal(call.result, POOL_DONE);
	assert_return_code(mark_reply_decode(call.reply, call.n_reply, ret), 0);
}

/* statfs() goes on, the root is EIO, and the mount is told from others all the same. */
static void test_xfs(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct mark_reply mark;
	struct mount lower, upper, by_id;
	struct statfs sfs;
	struct stat st;

	image_or_skip("/mnt/xfs", "xfs", "300M");
	lower = mount_of("/mnt/xfs");
	ask(fixture, &call, &lower);
	assert_int_equal(call.statfs.error, 0);
	assert_true(call.statfs.root_known);
	assert_int_equal(call.statfs.root_error, 0);

	shut_down("/mnt/xfs");
	assert_int_equal(stat("/mnt/xfs", &st), -1);
	assert_int_equal(errno, EIO);
	by_id = lower;
	by_id.unique_id = 0;
	for (const struct mount *mount = &lower; mount; mount = mount == &lower ? &by_id : NULL) {
		ask(fixture, &call, mount);
		assert_int_equal(call.statfs.error, 0);
		assert_true(call.statfs.root_known);
		assert_int_equal(call.statfs.root_error, EIO);
		assert_return_code(statfs("/mnt/xfs", &sfs), errno);
		assert_int_equal(call.statfs.usage.blocks, sfs.f_blocks);
		assert_true(call.statfs.usage.available > 0);
	}

	ask_mark(fixture, &lower, &mark);
	assert_int_equal(mark.error, 0);
	assert_memory_equal(&mark.fsid, &sfs.f_fsid, sizeof(mark.fsid));

	/* Any other mount is not it, broken or not. */
	by_id.id++;
	ask(fixture, &call, &by_id);
	assert_int_equal(call.statfs.error, -ESTALE);
	assert_return_code(mount("/mnt/xfs", "/mnt/xfs", NULL, MS_BIND, NULL), errno);
	ask(fixture, &call, &lower);
	assert_int_equal(call.statfs.error, -ESTALE);
	assert_false(call.statfs.root_known);
	assert_return_code(umount2("/mnt/xfs", UMOUNT_NOFOLLOW), errno);
	mount_tmpfs("/mnt/upper", "size=1M");
	upper = mount_of("/mnt/upper");
	assert_return_code(mount("/mnt/upper", "/mnt/xfs", NULL, MS_MOVE, NULL), errno);
	upper.where = (char *)"/mnt/xfs";
	ask(fixture, &call, &lower);
	assert_int_equal(call.statfs.error, -ESTALE);
	ask(fixture, &call, &upper);
	assert_int_equal(call.statfs.error, 0);
	assert_int_equal(call.statfs.root_error, 0);

	assert_return_code(umount2("/mnt/xfs", UMOUNT_NOFOLLOW), errno);
	assert_return_code(umount2("/mnt/xfs", UMOUNT_NOFOLLOW), errno);
}

static void test_ext4(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct statmount_super super;
	struct mount broken;
	int r;

	image_or_skip("/mnt/ext4", "ext4", "32M");
	broken = mount_of("/mnt/ext4");
	r = statmount_super(broken.unique_id, true, &super);
	if (r == 0) {
		assert_false(super.read_only);
		assert_false(super.emergency_ro);
		assert_false(super.shutdown);
	}

	shut_down("/mnt/ext4");
	ask(fixture, &call, &broken);
	assert_int_equal(call.statfs.error, 0);
	assert_true(call.statfs.root_known);
	if (r == 0) {
		assert_return_code(statmount_super(broken.unique_id, true, &super), 0);
		assert_true(super.shutdown);
		assert_false(super.read_only);
		/* What was not asked for is not read. */
		assert_return_code(statmount_super(broken.unique_id, false, &super), 0);
		assert_false(super.shutdown);
	}
	print_message("ext4 after a shutdown: root %d, statmount %d\n", call.statfs.root_error, r);
	assert_return_code(umount2("/mnt/ext4", UMOUNT_NOFOLLOW), errno);
}

/* errors=remount-ro: read-only after an error, which no flag shows on newer kernels. */
static void test_emergency(void **state)
{
	struct statmount_super super;
	struct mount broken;
	struct stat st;
	char command[128];
	uint64_t end;

	image_or_skip("/mnt/emergency", "ext4", "32M");
	assert_return_code(mount(NULL, "/mnt/emergency", NULL, MS_REMOUNT, "errors=remount-ro"),
			   errno);
	broken = mount_of("/mnt/emergency");
	if (statmount_super(broken.unique_id, true, &super) < 0) {
		print_message("SKIPPED: this kernel has no statmount()\n");
		skip();
	}
	assert_false(super.read_only || super.emergency_ro || super.shutdown);

	assert_return_code(stat("/mnt/emergency", &st), errno);
	snprintf(command, sizeof(command),
		 "echo text >/sys/fs/ext4/$(basename $(readlink /sys/dev/block/%u:%u))/"
		 "trigger_fs_error",
		 major(st.st_dev), minor(st.st_dev));
	assert_int_equal(system(command), 0);
	end = now_us() + PATIENCE_US;
	do
		assert_return_code(statmount_super(broken.unique_id, true, &super), 0);
	while (!super.emergency_ro && !super.read_only && now_us() < end);
	assert_true(super.emergency_ro || super.read_only);
	assert_false(super.shutdown);
	assert_int_equal(mkdir("/mnt/emergency/directory", 0700), -1);
	assert_int_equal(errno, EROFS);
	print_message("after an error: %s\n", super.emergency_ro ? "emergency_ro" : "ro");
	assert_return_code(umount2("/mnt/emergency", UMOUNT_NOFOLLOW), errno);
	assert_int_equal(statmount_super(broken.unique_id, true, &super), -ENOENT);
}

static void fill(const char *path)
{
	static const char zeros[4096];
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/* A commit that cannot be written, since the image has no room: the transaction is aborted. */
static void test_btrfs(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct mount broken;
	struct stat st;
	int fd;

	mount_tmpfs("/mnt/small", "size=16M");
	image_or_skip("/mnt/small/btrfs", "btrfs", "200M");
	fill("/mnt/small/ballast");
	fd = open("/mnt/small/btrfs/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_equal(syncfs(fd), -1);
	close(fd);

	broken = mount_of("/mnt/small/btrfs");
	ask(fixture, &call, &broken);
	assert_int_equal(call.statfs.error, 0);
	assert_true(call.statfs.usage.read_only);
	assert_true(call.statfs.root_known);
	assert_int_equal(call.statfs.root_error, stat("/mnt/small/btrfs", &st) < 0 ? errno : 0);
	print_message("btrfs after an abort: root %d\n", call.statfs.root_error);
	assert_return_code(umount2("/mnt/small/btrfs", UMOUNT_NOFOLLOW), errno);
}

/* The test itself waits for disks, which is not the loop's doing. */
static int setup(void **state)
{
	struct fixture *fixture;

	if (fixture_setup(state) < 0)
		return -1;
	fixture = *state;
	meter_stop(&fixture->meter);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_xfs, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_ext4, setup, fixture_teardown),
		cmocka_unit_test(test_emergency),
		cmocka_unit_test_setup_teardown(test_btrfs, setup, fixture_teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
