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
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/job-watch.h"
#include "daemon/worker/reach.h"
#include "tests/io/harness.h"

#define USER 4711
#define GROUP 4712

static int run(const struct watch_find_request *request, struct watch_find_reply *ret)
{
	_cleanup_free_ void *payload = NULL, *reply = NULL;
	size_t n;

	assert_return_code(watch_find_request_encode(request, &payload, &n), 0);
	assert_return_code(watch_find_job(payload, n, &reply, &n), 0);
	assert_return_code(watch_find_reply_decode(reply, n, ret), 0);
	if (ret->error < 0) {
		/* Nothing of what is there goes along. */
		assert_int_equal(ret->inode + ret->mnt_id + ret->handle.n + ret->n_path, 0);
		assert_int_equal(ret->mount_id_unique + ret->dev_major + ret->dev_minor, 0);
	}
	return ret->error;
}

static int find(const char *path, uid_t uid, gid_t group)
{
	const struct watch_find_request request = {
		.path = path,
		.credential = { .uid = uid, .groups = &group, .n_groups = group != 0 },
	};
	struct watch_find_reply reply;

	return run(&request, &reply);
}

static void check_found(const struct watch_find_reply *reply, const char *path, const char *where)
{
	struct mount mount = mount_of(where);
	struct handle handle;
	struct stat st;
	int fd = open(path, O_PATH | O_CLOEXEC);

	assert_int_equal(reply->error, 0);
	assert_return_code(fd, errno);
	assert_return_code(handle_of(fd, &handle), 0);
	close(fd);
	assert_int_equal(reply->handle.type, handle.type);
	assert_int_equal(reply->handle.n, handle.n);
	assert_memory_equal(reply->handle.bytes, handle.bytes, handle.n);
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(reply->inode, st.st_ino);
	assert_int_equal(reply->dev_major, major(st.st_dev));
	assert_int_equal(reply->dev_minor, minor(st.st_dev));
	assert_int_equal(reply->is_directory, S_ISDIR(st.st_mode));
	assert_int_equal(reply->mnt_id, mount.id);
	assert_int_equal(reply->mount_id_unique, mount.unique_id);
}

static void touch(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	assert_return_code(fchmod(fd, mode), errno);
	close(fd);
}

static void test_path(void **state)
{
	static const char *const paths[] = { "/mnt/find", "/mnt/find/d", "/mnt/find/file",
					     "/mnt/find/link/sub" };
	static const char *const canonical[] = { "/mnt/find", "/mnt/find/d", "/mnt/find/file",
						 "/mnt/find/d/sub" };

	mount_tmpfs("/mnt/find", "mode=755");
	make_directory("/mnt/find/d");
	make_directory("/mnt/find/d/sub");
	touch("/mnt/find/file", 0644);
	assert_return_code(symlink("d", "/mnt/find/link"), errno);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct watch_find_request request = {
			.path = paths[i],
			.credential = { .uid = i % 2 ? USER : 0 },
		};
		struct watch_find_reply reply;

		assert_int_equal(run(&request, &reply), 0);
		check_found(&reply, paths[i], "/mnt/find");
		assert_string_equal(reply.path, canonical[i]);
		assert_int_equal(reply.n_path, strlen(canonical[i]));
	}
	assert_return_code(umount2("/mnt/find", UMOUNT_NOFOLLOW), errno);
}

static void test_denied(void **state)
{
	static const struct {
		const char *path;
		int as_user, as_group, as_root;
	} cases[] = {
		{ "/mnt/deny/700", -EACCES, -EACCES, 0 },
		{ "/mnt/deny/700/sub", -ENOENT, -ENOENT, 0 },
		{ "/mnt/deny/700/none", -ENOENT, -ENOENT, -ENOENT },
		{ "/mnt/deny/711", -EACCES, -EACCES, 0 },
		{ "/mnt/deny/711/sub", 0, 0, 0 },
		{ "/mnt/deny/744", -EACCES, -EACCES, 0 },
		{ "/mnt/deny/750", -EACCES, 0, 0 },
		{ "/mnt/deny/750/sub", -ENOENT, 0, 0 },
		{ "/mnt/deny/600", -EACCES, -EACCES, 0 },
		{ "/mnt/deny/600/below", -ENOENT, -ENOENT, -ENOENT },
		{ "/mnt/deny/fifo", -EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP },
		{ "/mnt/deny/circle", -ENOENT, -ENOENT, -ENOENT },
		{ "/mnt/deny/to-700/sub", -ENOENT, -ENOENT, 0 },
		{ "/proc/self/cwd", -ENOENT, -ENOENT, -ENOENT },
		{ "/proc/self/root/mnt/deny", -ENOENT, -ENOENT, -ENOENT },
		{ "/proc/1/root", -ENOENT, -ENOENT, -ENOENT },
		{ "/proc/self/fd/0", -ENOENT, -ENOENT, -ENOENT },
		{ "/proc", -EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP },
		{ "/proc/self/status", -EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP },
	};

	mount_tmpfs("/mnt/deny", "mode=755");
	make_directory("/mnt/deny/700");
	make_directory("/mnt/deny/700/sub");
	make_directory("/mnt/deny/711");
	make_directory("/mnt/deny/711/sub");
	make_directory("/mnt/deny/744");
	make_directory("/mnt/deny/750");
	make_directory("/mnt/deny/750/sub");
	assert_return_code(chmod("/mnt/deny/700", 0700), errno);
	assert_return_code(chmod("/mnt/deny/711", 0711), errno);
	assert_return_code(chmod("/mnt/deny/744", 0744), errno);
	assert_return_code(chmod("/mnt/deny/750", 0750), errno);
	assert_return_code(chown("/mnt/deny/750", 0, GROUP), errno);
	touch("/mnt/deny/600", 0600);
	assert_return_code(mkfifo("/mnt/deny/fifo", 0666), errno);
	assert_return_code(symlink("circle", "/mnt/deny/circle"), errno);
	assert_return_code(symlink("700", "/mnt/deny/to-700"), errno);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].path);
		assert_int_equal(find(cases[i].path, USER, 0), cases[i].as_user);
		assert_int_equal(find(cases[i].path, USER, GROUP), cases[i].as_group);
		assert_int_equal(find(cases[i].path, 0, 0), cases[i].as_root);
	}
	assert_return_code(umount2("/mnt/deny", UMOUNT_NOFOLLOW), errno);
}

/* ramfs has none. */
static void test_without_handles(void **state)
{
	const struct watch_find_request request = { .path = "/mnt/none/dir/../dir/file",
						    .credential = { .uid = USER } };
	struct watch_find_reply reply;
	struct handle handle;
	struct mount none;
	struct stat st;
	int fd;

	make_directory("/mnt/none");
	assert_return_code(mount("none", "/mnt/none", "ramfs", 0, "mode=755"), errno);
	make_directory("/mnt/none/dir");
	touch("/mnt/none/dir/file", 0644);
	fd = open("/mnt/none/dir/file", O_PATH | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_int_equal(handle_of(fd, &handle), -EOPNOTSUPP);
	close(fd);

	none = mount_of("/mnt/none");
	assert_return_code(stat("/mnt/none/dir/file", &st), errno);
	assert_int_equal(run(&request, &reply), 0);
	assert_int_equal(reply.handle.n, 0);
	assert_string_equal(reply.path, "/mnt/none/dir/file");
	assert_int_equal(reply.inode, st.st_ino);
	assert_int_equal(reply.mnt_id, none.id);
	assert_return_code(umount2("/mnt/none", UMOUNT_NOFOLLOW), errno);
}

static int find_inode(const struct mount *mount, uint64_t inode, uint64_t subvolume,
		      struct watch_find_reply *ret)
{
	const struct watch_find_request request = {
		.where = mount->where,
		.mount_id = mount_number(mount),
		.mount_id_is_unique = mount->unique_id != 0,
		.inode = inode,
		.subvolume = subvolume,
	};

	return run(&request, ret);
}

static void check_inodes(const char *where)
{
	struct mount mount = mount_of(where);
	struct watch_find_reply reply;
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/d", where);
	make_directory(path);
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(find_inode(&mount, st.st_ino, 0, &reply), 0);
	check_found(&reply, path, where);
	assert_string_equal(reply.path, path);
	assert_return_code(rmdir(path), errno);
	assert_int_equal(find_inode(&mount, st.st_ino, 0, &reply), -ENOENT);

	snprintf(path, sizeof(path), "%s/file", where);
	touch(path, 0644);
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(find_inode(&mount, st.st_ino, 0, &reply), 0);
	check_found(&reply, path, where);

	assert_return_code(stat(where, &st), errno);
	assert_int_equal(find_inode(&mount, st.st_ino, 0, &reply), 0);
	check_found(&reply, where, where);

	assert_int_equal(find_inode(&mount, 999999999, 0, &reply), -ENOENT);
	assert_int_equal(find_inode(&mount, 1ULL << 60, 0, &reply), -ENOENT);
	assert_int_equal(find_inode(&mount, 0, 0, &reply), -ENOENT);
	mount.id++;
	mount.unique_id += mount.unique_id != 0;
	assert_int_equal(find_inode(&mount, st.st_ino, 0, &reply), -ESTALE);
}

static void test_inode(void **state)
{
	static const char *const types[] = { "ext4", "xfs", "btrfs" };
	struct watch_find_reply reply;
	struct mount mount;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const char *size = strcmp(types[i], "xfs") == 0 ? "320M" : "128M";
		char where[64];

		snprintf(where, sizeof(where), "/mnt/inode-%s", types[i]);
		if (!mount_image(where, types[i], size)) {
			print_message("SKIPPED: mkfs.%s is missing\n", types[i]);
			continue;
		}
		print_message("%s\n", types[i]);
		check_inodes(where);
		assert_return_code(umount2(where, UMOUNT_NOFOLLOW), errno);
	}

	mount_tmpfs("/mnt/inode-tmpfs", "mode=755");
	mount = mount_of("/mnt/inode-tmpfs");
	assert_int_equal(find_inode(&mount, 1, 0, &reply), -EOPNOTSUPP);
	assert_return_code(umount2("/mnt/inode-tmpfs", UMOUNT_NOFOLLOW), errno);
}

/* A number stands for one in each subvolume. */
static void test_subvolume(void **state)
{
	struct watch_find_reply reply;
	struct mount mount;
	struct stat st;

	if (system("command -v btrfs >/dev/null") != 0 ||
	    !mount_image("/mnt/tree", "btrfs", "128M")) {
		print_message("SKIPPED: btrfs-progs is missing\n");
		skip();
	}
	mount = mount_of("/mnt/tree");
	assert_int_equal(system("cd /mnt/tree && btrfs subvolume create s >/dev/null && "
				"mkdir here s/there"),
			 0);
	assert_return_code(stat("/mnt/tree/s/there", &st), errno);
	assert_int_equal(find_inode(&mount, st.st_ino, 256, &reply), 0);
	check_found(&reply, "/mnt/tree/s/there", "/mnt/tree");
	assert_string_equal(reply.path, "/mnt/tree/s/there");
	assert_int_equal(find_inode(&mount, st.st_ino, 999, &reply), -ENOENT);
	assert_return_code(stat("/mnt/tree/here", &st), errno);
	assert_int_equal(find_inode(&mount, st.st_ino, 0, &reply), 0);
	check_found(&reply, "/mnt/tree/here", "/mnt/tree");
	assert_int_equal(find_inode(&mount, st.st_ino, 5, &reply), 0);
	check_found(&reply, "/mnt/tree/here", "/mnt/tree");
	assert_return_code(umount2("/mnt/tree", UMOUNT_NOFOLLOW), errno);
}

static void test_replies(void **state)
{
	struct watch_mark_reply marked = { .error = 1 };
	struct watch_find_reply found = { .inode = 1 };
	uint8_t bytes[4096] = {};

	for (size_t n = 0; n < sizeof(bytes); n += 7)
		assert_int_equal(watch_find_reply_decode(bytes, n, &found), -EBADMSG);
	memset(bytes, 0xff, sizeof(bytes));
	for (size_t n = 0; n < 256; n++) {
		/* An error and nothing else is a reply. */
		if (n != 48)
			assert_int_equal(watch_find_reply_decode(bytes, n, &found), -EBADMSG);
		if (n != 12)
			assert_int_equal(watch_mark_reply_decode(bytes, n, &marked), -EBADMSG);
	}
	assert_int_equal(watch_find_reply_decode(NULL, 0, &found), -EBADMSG);
	assert_int_equal(found.inode, 1);
	assert_int_equal(marked.error, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),	cmocka_unit_test(test_denied),
		cmocka_unit_test(test_inode),	cmocka_unit_test(test_subvolume),
		cmocka_unit_test(test_replies), cmocka_unit_test(test_without_handles),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
