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
#include <unistd.h>

#include <cmocka.h>

#include "daemon/worker/job-locate.h"
#include "tests/io/fixture.h"

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	close(fd);
}

static void request_init(struct locate_request *request, const struct mount *mount,
			 const char *path)
{
	union {
		struct file_handle handle;
		uint8_t bytes[sizeof(struct file_handle) + FANOTIFY_HANDLE_MAX];
	} file = { .handle.handle_bytes = FANOTIFY_HANDLE_MAX };
	int mount_id;

	assert_return_code(name_to_handle_at(AT_FDCWD, path, &file.handle, &mount_id, 0), errno);
	*request = (struct locate_request){
		.where = mount->where,
		.mount_id = mount_number(mount),
		.mount_id_is_unique = mount->unique_id != 0,
		.handle_type = file.handle.handle_type,
		.n_handle = file.handle.handle_bytes,
	};
	memcpy(request->handle, file.handle.f_handle, request->n_handle);
}

/* Return: the reply's error. */
static int run(const struct locate_request *request, struct locate_reply *ret)
{
	void *payload, *reply;
	size_t n;

	assert_return_code(locate_request_encode(request, &payload, &n), 0);
	assert_return_code(locate_job(payload, n, &reply, &n), 0);
	assert_return_code(locate_reply_decode(reply, n, ret), 0);
	assert_int_equal(ret->n_path, strlen(ret->path));
	free(payload);
	free(reply);
	return ret->error;
}

static void expect(const struct locate_request *request, const char *path)
{
	struct locate_reply reply;

	assert_int_equal(run(request, &reply), 0);
	assert_string_equal(reply.path, path);
}

static void expect_error(const struct locate_request *request, int error)
{
	struct locate_reply reply;

	assert_int_equal(run(request, &reply), error);
	assert_int_equal(reply.n_path, 0);
}

static void check_names(const struct mount *mount)
{
	struct locate_request file, directory;

	make_directory("a");
	make_directory("a/b");
	make_directory("c");
	touch("a/b/file");
	request_init(&file, mount, "a/b/file");
	request_init(&directory, mount, "a/b");
	expect(&file, "a/b/file");
	expect(&directory, "a/b");

	/* As it is now: moved, below something that moved, and by another name. */
	assert_return_code(rename("a/b/file", "c/moved"), errno);
	expect(&file, "c/moved");
	assert_return_code(rename("c", "a/b/d"), errno);
	expect(&file, "a/b/d/moved");
	assert_return_code(link("a/b/d/moved", "other"), errno);
	assert_return_code(unlink("a/b/d/moved"), errno);
	assert_int_equal(access("other", F_OK), 0);
	expect(&file, "other");

	/* What looks deleted is not always. */
	assert_return_code(rename("other", "other (deleted)"), errno);
	expect(&file, "other (deleted)");
	assert_return_code(unlink("other (deleted)"), errno);
	expect_error(&file, -ESTALE);
	assert_return_code(rmdir("a/b/d"), errno);
	assert_return_code(rmdir("a/b"), errno);
	expect_error(&directory, -ESTALE);
}

/* Deleted, and open: the inode lives, a file of its old name may lead elsewhere. */
static void check_open(const struct mount *mount)
{
	struct locate_request request;
	int fd;

	touch("open");
	request_init(&request, mount, "open");
	fd = open("open", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(unlink("open"), errno);
	touch("open");
	touch("open (deleted)");
	expect_error(&request, -ESTALE);
	close(fd);
}

static void check_refused(const struct mount *mount)
{
	struct locate_request request, other;
	struct locate_reply reply;

	touch("present");
	request_init(&request, mount, "present");
	expect(&request, "present");

	other = request;
	other.mount_id++;
	expect_error(&other, -ESTALE);
	other = request;
	memset(other.handle, 0xff, other.n_handle);
	assert_true(run(&other, &reply) < 0);
	other = request;
	other.n_handle = 0;
	assert_true(run(&other, &reply) < 0);
	other = request;
	other.handle_type = 200;
	assert_true(run(&other, &reply) < 0);
	other = request;
	other.where = "/mnt/no such";
	other.mount_id++;
	expect_error(&other, -ENOENT);
	/* Moved away from there, and still mounted. */
	other.mount_id--;
	expect(&other, "present");
	request_init(&other, mount, ".");
	expect_error(&other, -ENOENT);
}

static void check_image(const char *type, const char *size)
{
	struct locate_request request;
	struct mount whole, bind;
	char where[32];

	snprintf(where, sizeof(where), "/mnt/%s", type);
	if (!mount_image(where, type, size)) {
		print_message("SKIPPED: mkfs.%s is missing\n", type);
		skip();
	}
	whole = mount_of(where);
	assert_return_code(chdir(where), errno);
	check_names(&whole);
	check_open(&whole);
	check_refused(&whole);

	/* By a mount of a subdirectory, outside of it. */
	make_directory("/mnt/bind");
	assert_return_code(mkdir("sub", 0700), errno);
	touch("sub/inner");
	assert_return_code(mount("sub", "/mnt/bind", NULL, MS_BIND, NULL), errno);
	bind = mount_of("/mnt/bind");
	request_init(&request, &bind, "/mnt/bind/inner");
	expect(&request, "inner");
	request_init(&request, &bind, "present");
	expect_error(&request, -ENOENT);

	/* Nothing stays open. */
	assert_return_code(chdir("/"), errno);
	assert_return_code(umount2("/mnt/bind", UMOUNT_NOFOLLOW), errno);
	assert_return_code(umount2(where, UMOUNT_NOFOLLOW), errno);
}

static void test_ext4(void **state)
{
	check_image("ext4", "32M");
}

static void test_xfs(void **state)
{
	check_image("xfs", "300M");
}

static void test_btrfs(void **state)
{
	check_image("btrfs", "200M");
}

static void test_worker(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct pool_submission s = call_prepare(&call, POOL_LANE_LOCAL, 1);
	struct locate_request request;
	struct locate_reply reply;
	struct mount mount;
	void *payload;

	mount_tmpfs("/mnt/worker", "size=1M");
	mount = mount_of("/mnt/worker");
	make_directory("/mnt/worker/directory");
	touch("/mnt/worker/directory/\n\xff");
	request_init(&request, &mount, "/mnt/worker/directory/\n\xff");
	assert_return_code(locate_request_encode(&request, &payload, &s.n_payload), 0);
	s.job = JOB_LOCATE;
	s.payload = payload;
	s.deadline_us = 10000000;
	assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
	free(payload);
	assert_true(loop_until(fixture->loop, &call.done, 20000000));
	assert_int_equal(call.result, POOL_DONE);
	assert_return_code(locate_reply_decode(call.reply, call.n_reply, &reply), 0);
	assert_int_equal(reply.error, 0);
	assert_string_equal(reply.path, "directory/\n\xff");
}

/* Cut, or with lengths that lie. */
static void test_protocol(void **state)
{
	struct locate_request request = { .where = "/a", .n_handle = 8, .handle_type = 1 }, back;
	struct locate_reply reply;
	uint8_t *payload;
	size_t n;

	assert_return_code(locate_request_encode(&request, (void **)&payload, &n), 0);
	assert_return_code(locate_request_decode(payload, n, &back), 0);
	assert_string_equal(back.where, "/a");
	assert_int_equal(back.n_handle, 8);
	for (size_t k = 0; k < n; k++)
		assert_int_equal(locate_request_decode(payload, k, &back), -EBADMSG);
	payload[n - 1] = 'x';
	assert_int_equal(locate_request_decode(payload, n, &back), -EBADMSG);
	payload[n - 1] = '\0';
	payload[n - 3] = '\0';
	assert_int_equal(locate_request_decode(payload, n, &back), -EBADMSG);
	free(payload);

	assert_int_equal(locate_reply_decode(NULL, 0, &reply), -EBADMSG);
	assert_int_equal(locate_reply_decode("\0\0\0\0\2\0\0\0a", 9, &reply), -EBADMSG);
	assert_int_equal(locate_reply_decode("\0\0\0\0\2\0\0\0a\0", 10, &reply), -EBADMSG);
	assert_int_equal(locate_reply_decode("\1\0\0\0\0\0\0\0", 8, &reply), -EBADMSG);
	assert_int_equal(locate_reply_decode("\0\0\0\0\1\0\0\0a", 9, &reply), 0);
	assert_string_equal(reply.path, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocol),
		cmocka_unit_test(test_ext4),
		cmocka_unit_test(test_xfs),
		cmocka_unit_test(test_btrfs),
		cmocka_unit_test_setup_teardown(test_worker, fixture_setup, fixture_teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
