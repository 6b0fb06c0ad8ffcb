/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/source/btrfs.h"
#include "daemon/worker/job-writers.h"
#include "daemon/worker/protocol.h"
#include "daemon/worker/reach.h"
#include "daemon/worker/state.h"
#include "daemon/worker/worker.h"
#include "tests/io/fixture.h"

/* The plain case: what statfs says is what the job says. */
static void test_statfs(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct mount mount;
	struct statfs sfs;

	mount_tmpfs("/mnt/plain", "size=8M,nr_inodes=777");
	mount = mount_of("/mnt/plain");
	run_statfs(*state, &call, &mount, POOL_LANE_LOCAL, 1);

	assert_int_equal(call.result, POOL_DONE);
	assert_int_equal(call.statfs.error, 0);
	assert_return_code(statfs("/mnt/plain", &sfs), errno);
	assert_int_equal(call.statfs.usage.blocks, sfs.f_blocks);
	assert_int_equal(call.statfs.usage.available, sfs.f_bavail);
	assert_int_equal(call.statfs.usage.free, sfs.f_bfree);
	assert_int_equal(call.statfs.usage.block_size, sfs.f_frsize);
	assert_int_equal(call.statfs.usage.files, sfs.f_files);
	assert_int_equal(call.statfs.usage.files_available, sfs.f_ffree);
	assert_false(call.statfs.usage.read_only);
	assert_in_range(call.statfs.taken_us, call.began_us, call.ended_us);

	assert_return_code(mount_setattr(AT_FDCWD, "/mnt/plain", 0,
					 &(struct mount_attr){ .attr_set = MOUNT_ATTR_RDONLY },
					 sizeof(struct mount_attr)),
			   errno);
	run_statfs(*state, &call, &mount, POOL_LANE_LOCAL, 1);
	assert_true(call.statfs.usage.read_only);

	/* It is looked for where it is by now; and it is nowhere. */
	mount.where = (char *)"/mnt/no such";
	run_statfs(*state, &call, &mount, POOL_LANE_LOCAL, 1);
	assert_int_equal(call.result, POOL_DONE);
	assert_int_equal(call.statfs.error, 0);
	assert_int_equal(call.statfs.usage.files, sfs.f_files);
	assert_return_code(umount("/mnt/plain"), errno);
	run_statfs(*state, &call, &mount, POOL_LANE_LOCAL, 1);
	assert_int_equal(call.result, POOL_DONE);
	assert_int_equal(call.statfs.error, -ENOENT);
}

static void test_overmounted(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct mount lower, upper;

	mount_tmpfs("/mnt/over", "size=1M");
	lower = mount_of("/mnt/over");
	mount_tmpfs("/mnt/over", "size=2M");
	upper = mount_of("/mnt/over");

	run_statfs(*state, &call, &lower, POOL_LANE_LOCAL, 1);
	assert_int_equal(call.result, POOL_DONE);
	assert_int_equal(call.statfs.error, -ESTALE);
	run_statfs(*state, &call, &upper, POOL_LANE_LOCAL, 2);
	assert_int_equal(call.statfs.error, 0);

	/* By the id of mountinfo, where the kernel has no unique ones. */
	lower.unique_id = upper.unique_id = 0;
	run_statfs(*state, &call, &lower, POOL_LANE_LOCAL, 1);
	assert_int_equal(call.statfs.error, -ESTALE);
	run_statfs(*state, &call, &upper, POOL_LANE_LOCAL, 2);
	assert_int_equal(call.statfs.error, 0);
}

/* Paths that lead elsewhere between two looks: never the figures of the wrong mount. */
static void test_exchange(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct mount mount;
	unsigned int right = 0, stale = 0;
	pid_t child;

	make_directory("/mnt/x");
	make_directory("/mnt/x/a");
	make_directory("/mnt/x/b");
	mount_tmpfs("/mnt/x/a/m", "size=1M");
	mount_tmpfs("/mnt/x/b/m", "size=2M");
	mount = mount_of("/mnt/x/a/m");

	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			if (syscall(SYS_renameat2, AT_FDCWD, "/mnt/x/a", AT_FDCWD, "/mnt/x/b", 2) <
			    0)
				_exit(1);
	}

	for (uint64_t end = now_us() + 2000000, last = now_us() + PATIENCE_US;
	     now_us() < end || ((right == 0 || stale == 0) && now_us() < last);) {
		run_statfs(fixture, &call, &mount, POOL_LANE_LOCAL, 1);
		assert_int_equal(call.result, POOL_DONE);
		if (call.statfs.error == 0) {
			assert_int_equal(call.statfs.usage.blocks * call.statfs.usage.block_size,
					 1 << 20);
			right++;
		} else {
			assert_int_equal(call.statfs.error, -ESTALE);
			stale++;
		}
	}
	child_end(child);
	print_message("exchanged: %u right, %u stale\n", right, stale);
	assert_true(right > 0);
	assert_true(stale > 0);
}

static void test_writers(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct pool_submission s = call_prepare(&call, POOL_LANE_TASKS, 0);
	struct detail_writer writers[WRITERS_MAX];
	uint8_t flags = WRITERS_BY_WCHAR;
	bool found = false;
	int wrote[2];
	pid_t child;
	ssize_t n;

	assert_return_code(pipe2(wrote, O_CLOEXEC), errno);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		static char block[1 << 20];
		int fd = open("/mnt/written", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "a\nb\033c");
		for (;;) {
			if (pwrite(fd, block, sizeof(block), 0) < 0)
				_exit(1);
			(void)!write(wrote[1], "", 1);
		}
	}

	/* The first megabyte is written. */
	assert_int_equal(read(wrote[0], &flags, 1), 1);
	flags = WRITERS_BY_WCHAR;
	close(wrote[0]);
	close(wrote[1]);
	s.job = JOB_WRITERS;
	s.payload = &flags;
	s.n_payload = 1;
	s.deadline_us = PATIENCE_US;
	assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
	assert_true(loop_until(fixture->loop, &call.done, PATIENCE_US));
	child_end(child);

	assert_int_equal(call.result, POOL_DONE);
	n = writers_reply_decode(call.reply, call.n_reply, writers, WRITERS_MAX);
	assert_in_range(n, 1, WRITERS_MAX);
	for (ssize_t i = 0; i < n; i++) {
		assert_true(i == 0 || writers[i].bytes <= writers[i - 1].bytes);
		if (writers[i].pid != (uint32_t)child)
			continue;
		found = true;
		assert_string_equal(writers[i].comm, "a\\012b\\033c");
		assert_true(writers[i].bytes >= 1 << 20);
	}
	assert_true(found);

	/* Cut anywhere else than between two it is refused. */
	for (size_t k = 1; k < call.n_reply; k++)
		if (k % (call.n_reply / (size_t)n) != 0)
			assert_int_equal(writers_reply_decode(call.reply, k, writers, WRITERS_MAX),
					 -EBADMSG);
	memset((char *)call.reply + 12, 0xff, 4);
	assert_int_equal(writers_reply_decode(call.reply, call.n_reply, writers, WRITERS_MAX),
			 -EBADMSG);
	assert_int_equal(writers_reply_decode(NULL, 0, writers, WRITERS_MAX), 0);
}

/* The own state lies on a filesystem that somebody froze. */
static void test_frozen(void **state)
{
	_cleanup_(call_deinit) struct call call = {}, local = {};
	struct fixture *fixture = *state;
	struct state_request request = { .directory = "/mnt/frozen",
					 .reserved = 1000,
					 .epoch_first_id = 1,
					 .epoch = "00112233445566778899aabbccddeeff" };
	struct pool_submission s = call_prepare(&call, POOL_LANE_STATE, 0);
	struct mount root = mount_of("/mnt");
	static const enum pool_result expected[] = { POOL_STALLED, POOL_BLOCKED, POOL_DONE };
	void *payload;
	int fd;

	/* What the test itself waits for is not the loop's doing. */
	meter_stop(&fixture->meter);
	if (!mount_image("/mnt/frozen", "ext4", "32M")) {
		print_message("SKIPPED: mkfs.ext4 is missing\n");
		skip();
	}
	assert_return_code(state_request_encode(&request, &payload, &s.n_payload), 0);
	s.job = JOB_STATE_RESERVE;
	s.payload = payload;

	fd = open("/mnt/frozen", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(ioctl(fd, FIFREEZE, 0), errno);

	for (size_t i = 0; i < 3; i++) {
		uint64_t worst = fixture->meter.worst_us;

		call.done = false;
		if (expected[i] == POOL_DONE) {
			assert_return_code(ioctl(fd, FITHAW, 0), errno);
			wait_blocked(fixture, 0);
		}
		meter_start(&fixture->meter, fixture->loop);
		assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
		assert_true(loop_until(fixture->loop, &call.done, PATIENCE_US));
		assert_int_equal(call.result, expected[i]);
		wait_blocked(fixture, expected[i] != POOL_DONE);
		run_statfs(fixture, &local, &root, POOL_LANE_LOCAL, 1);
		assert_int_equal(local.result, POOL_DONE);
		assert_true(local.ended_us - local.began_us < SLACK_US);
		meter_stop(&fixture->meter);
		if (worst > fixture->meter.worst_us)
			fixture->meter.worst_us = worst;
	}

	free(payload);
	close(fd);
	assert_return_code(umount2("/mnt/frozen", 0), errno);
}

static uint64_t job_available(const char *where, const char *uuid)
{
	struct mount mount = mount_of(where);
	struct statfs_request request = { .where = where,
					  .mount_id = mount.id,
					  .btrfs_uuid = uuid };
	struct statfs_reply reply;
	void *payload, *bytes;
	size_t n;

	assert_return_code(statfs_request_encode(&request, &payload, &n), 0);
	assert_return_code(statfs_job(payload, n, &bytes, &n), 0);
	assert_return_code(statfs_reply_decode(bytes, n, &reply), 0);
	assert_int_equal(reply.error, 0);
	free(payload);
	free(bytes);
	return reply.usage.available * reply.usage.block_size;
}

/* Written and not committed: statfs does not know, the job does. */
static void test_btrfs_unsettled(void **state)
{
	static char block[1 << 20];
	struct device_number members[4];
	char uuid[BTRFS_UUID_SIZE];
	uint64_t before, blind, after, unsettled;
	struct stat st;
	int fd;

	if (!mount_image("/mnt/unsettled", "btrfs", "200M")) {
		print_message("SKIPPED: mkfs.btrfs is missing\n");
		skip();
	}

	/* Its st_dev is anonymous; the device is the loop device. */
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[512], device[128] = "", path[128];

	assert_non_null(mounts);
	while (fgets(line, sizeof(line), mounts))
		if (sscanf(line, "%127s %127s", device, path) == 2 &&
		    strcmp(path, "/mnt/unsettled") == 0)
			break;
	fclose(mounts);
	assert_return_code(stat(device, &st), errno);
	assert_return_code(btrfs_uuid_find(major(st.st_rdev), minor(st.st_rdev), uuid), 0);
	assert_true(btrfs_uuid_is_valid(uuid));
	assert_int_equal(btrfs_members(uuid, members, 4), 1);
	assert_int_equal(members[0].major, major(st.st_rdev));
	assert_int_equal(members[0].minor, minor(st.st_rdev));
	assert_int_equal(btrfs_uuid_find(4095, 1, uuid), -ENOENT);

	before = job_available("/mnt/unsettled", uuid);
	fd = open("/mnt/unsettled/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	for (unsigned int i = 0; i < 40; i++) {
		memset(block, (int)i + 1, sizeof(block));
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	}
	blind = job_available("/mnt/unsettled", NULL);
	after = job_available("/mnt/unsettled", uuid);
	/* The metadata of so much is a matter of the kernel's version. */
	print_message("btrfs before a commit: %lu KiB without its own figures, %lu KiB with them\n",
		      (unsigned long)(before - blind) >> 10, (unsigned long)(before - after) >> 10);
	assert_in_range(before - after, 40 << 20, 48 << 20);

	assert_return_code(syncfs(fd), errno);
	assert_return_code(btrfs_unsettled(uuid, &unsettled), 0);
	assert_in_range(unsettled, 0, 8 << 20);
	assert_in_range(before - job_available("/mnt/unsettled", uuid), 40 << 20, 56 << 20);
	close(fd);

	assert_false(btrfs_uuid_is_valid("../../../../etc/passwd-------------x"));
	assert_false(btrfs_uuid_is_valid(""));
	assert_int_equal(btrfs_unsettled("../x", &unsettled), -EINVAL);
	assert_int_equal(btrfs_members("..", members, 4), -EINVAL);
}

/* What the kernel refuses, it sends back as it was: with the descriptor of the root. */
static void test_send_root(void **state)
{
	struct nlmsghdr header = { .nlmsg_len = sizeof(header),
				   .nlmsg_type = 0x7fff,
				   .nlmsg_flags = NLM_F_REQUEST,
				   .nlmsg_seq = 5 };
	struct mount mount;
	struct send_root_request request = { .where = "/mnt/sent",
					     .attribute = 18,
					     .datagram = &header,
					     .n_datagram = sizeof(header) };
	struct {
		struct nlmsghdr header;
		int error;
		struct nlmsghdr sent;
		struct nlattr attribute;
		uint32_t fd;
	} answer = {};
	_cleanup_close_ int netlink = -1, next = -1;
	_cleanup_free_ void *payload = NULL;
	size_t n_payload, n;
	void *reply;

	mount_tmpfs("/mnt/sent", "size=1M");
	mount = mount_of("/mnt/sent");
	request.mount_id = mount.id;
	assert_return_code(send_root_request_encode(&request, &payload, &n_payload), 0);
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC);
	assert_return_code(netlink, errno);
	assert_return_code(send_root_job(payload, n_payload, netlink, &reply, &n), 0);
	assert_null(reply);

	assert_int_equal(recv(netlink, &answer, sizeof(answer), 0), sizeof(answer));
	assert_int_equal(answer.error, -ENOENT);
	assert_int_equal(answer.sent.nlmsg_seq, 5);
	assert_int_equal(answer.sent.nlmsg_len, sizeof(header) + 8);
	assert_int_equal(answer.attribute.nla_type, 18);
	assert_int_equal(answer.attribute.nla_len, 8);
	/* It is closed. */
	next = open("/mnt/sent", O_PATH | O_CLOEXEC);
	assert_int_equal(next, answer.fd);
	close(TAKE_FD(next));
	assert_return_code(umount("/mnt/sent"), errno);

	assert_int_equal(send_root_job(payload, n_payload, netlink, &reply, &n), -ESTALE);
	assert_int_equal(recv(netlink, &answer, sizeof(answer), 0), -1);
}

/* An inode by its handle: as long as it is there. */
static void test_send_inode(void **state)
{
	struct nlmsghdr header = { .nlmsg_len = sizeof(header), .nlmsg_flags = NLM_F_REQUEST };
	struct send_root_request request = { .where = "/mnt/sent",
					     .attribute = 18,
					     .datagram = &header,
					     .n_datagram = sizeof(header) };
	_cleanup_close_ int netlink = -1, file = -1;
	_cleanup_free_ void *payload = NULL;
	struct handle handle;
	size_t n_payload, n;
	char answer[256];
	void *reply;

	header.nlmsg_type = 0x7fff;
	mount_tmpfs("/mnt/sent", "size=1M");
	request.mount_id = mount_of("/mnt/sent").id;
	file = open("/mnt/sent/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_return_code(file, errno);
	assert_return_code(handle_of(file, &handle), 0);
	close(TAKE_FD(file));
	request.handle = handle_view(&handle);
	assert_return_code(send_root_request_encode(&request, &payload, &n_payload), 0);
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC);
	assert_return_code(netlink, errno);
	assert_return_code(send_root_job(payload, n_payload, netlink, &reply, &n), 0);
	assert_in_range(recv(netlink, answer, sizeof(answer), 0), sizeof(header), sizeof(answer));

	assert_return_code(unlink("/mnt/sent/file"), errno);
	assert_int_equal(send_root_job(payload, n_payload, netlink, &reply, &n), -ESTALE);
	assert_int_equal(recv(netlink, answer, sizeof(answer), 0), -1);
	assert_return_code(umount("/mnt/sent"), errno);
}

static void test_protocol_send_root(void **state)
{
	const struct send_root_request request = { .where = "/a b",
						   .handle = { 77, 3, (const uint8_t *)"abc" },
						   .mount_id = 1ULL << 63,
						   .mount_id_is_unique = true,
						   .attribute = 18,
						   .datagram = "0123456789abcdef",
						   .n_datagram = 16 };
	struct send_root_request back;
	void *payload;
	size_t n;

	assert_return_code(send_root_request_encode(&request, &payload, &n), 0);
	assert_return_code(send_root_request_decode(payload, n, &back), 0);
	assert_string_equal(back.where, "/a b");
	assert_int_equal(back.mount_id, 1ULL << 63);
	assert_true(back.mount_id_is_unique);
	assert_int_equal(back.attribute, 18);
	assert_int_equal(back.n_datagram, 16);
	assert_memory_equal(back.datagram, "0123456789abcdef", 16);
	assert_int_equal(back.handle.type, 77);
	assert_int_equal(back.handle.n, 3);
	assert_memory_equal(back.handle.bytes, "abc", 3);
	for (size_t k = 0; k < n; k++) {
		char *copy = malloc(k ? k : 1);

		assert_non_null(copy);
		memcpy(copy, payload, k);
		assert_int_equal(send_root_request_decode(copy, k, &back), -EBADMSG);
		free(copy);
	}
	/* Lengths that together are right. */
	((uint32_t *)payload)[4]++;
	((uint32_t *)payload)[5]--;
	assert_int_equal(send_root_request_decode(payload, n, &back), -EBADMSG);
	free(payload);
}

/* Requests that are cut or lie about their lengths. */
static void test_protocol(void **state)
{
	struct statfs_request request = { .where = "/a b",
					  .mount_id = 1ULL << 63,
					  .mount_id_is_unique = true,
					  .btrfs_uuid = "0-f" },
			      back;
	struct mark_request mark = { .where = "/m", .mount_id = 5, .mask = 0xff }, mark_back;
	struct statfs_reply reply = { .error = -EIO };
	void *payload;
	size_t n;

	assert_return_code(statfs_request_encode(&request, &payload, &n), 0);
	assert_return_code(statfs_request_decode(payload, n, &back), 0);
	assert_string_equal(back.where, "/a b");
	assert_string_equal(back.btrfs_uuid, "0-f");
	assert_int_equal(back.mount_id, 1ULL << 63);
	assert_true(back.mount_id_is_unique);
	for (size_t k = 0; k < n; k++) {
		char *copy = malloc(k ? k : 1);

		assert_non_null(copy);
		memcpy(copy, payload, k);
		assert_int_equal(statfs_request_decode(copy, k, &back), -EBADMSG);
		assert_int_equal(mark_request_decode(copy, k, &mark_back), -EBADMSG);
		free(copy);
	}
	((char *)payload)[n - 1] = 'x';
	assert_int_equal(statfs_request_decode(payload, n, &back), -EBADMSG);
	memset((char *)payload + 12, 0xff, 8);
	assert_int_equal(statfs_request_decode(payload, n, &back), -EBADMSG);
	free(payload);

	assert_return_code(mark_request_encode(&mark, &payload, &n), 0);
	assert_return_code(mark_request_decode(payload, n, &mark_back), 0);
	assert_string_equal(mark_back.where, "/m");
	assert_int_equal(mark_back.mask, 0xff);
	assert_int_equal(mark_back.fanotify_fd, -1);
	free(payload);

	assert_return_code(statfs_reply_encode(&reply, &payload, &n), 0);
	assert_int_equal(statfs_reply_decode(payload, n - 1, &reply), -EBADMSG);
	assert_int_equal(statfs_reply_decode(NULL, 0, &reply), -EBADMSG);
	assert_return_code(statfs_reply_decode(payload, n, &reply), 0);
	assert_int_equal(reply.error, -EIO);
	free(payload);

	assert_int_equal(job_reply_max(12345), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocol),
		cmocka_unit_test(test_protocol_send_root),
		cmocka_unit_test(test_send_root),
		cmocka_unit_test(test_send_inode),
		cmocka_unit_test(test_btrfs_unsettled),
		cmocka_unit_test_setup_teardown(test_statfs, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_overmounted, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_exchange, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_frozen, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_writers, fixture_setup, fixture_teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
