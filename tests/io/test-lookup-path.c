/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Questions by path, for what has no handle, and those that could not be asked a second time.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/worker/reach.h"
#include "tests/io/harness.h"
#include "tests/io/lookup-fixture.h"

#define USER 4711

static void begin(const struct mount *mount)
{
	batch_init(mount);
	batch.credentials[0].uid = USER;
	batch.request.n_credentials = 1;
}

static struct lookup_question *ask(enum lookup_kind kind, const char *path, uint64_t inode)
{
	struct lookup_question *question = batch_add(kind);

	question->path = path;
	question->inode = inode;
	return question;
}

static void ask_entry(const char *path, uint64_t inode, const char *name)
{
	struct lookup_question *question = ask(LOOKUP_ENTRY, path, inode);

	question->name = name;
	question->n_name = strlen(name);
}

static uint64_t inode_of(const char *path)
{
	struct stat st;

	assert_return_code(stat(path, &st), errno);
	return st.st_ino;
}

static void check_access(size_t i, bool may_read, bool may_search)
{
	assert_int_equal(batch.reply.answers[i].error, 0);
	assert_int_equal(batch.reply.answers[i].may_read, may_read);
	assert_int_equal(batch.reply.answers[i].may_search, may_search);
}

/* On ramfs, which has no handles: only what the path leads to counts, and only that inode. */
static void test_path(void **state)
{
	uint64_t dir, closed, file;
	struct mount ram;

	make_directory("/mnt/ram");
	assert_return_code(mount("none", "/mnt/ram", "ramfs", 0, "mode=755"), errno);
	make_directory("/mnt/ram/dir");
	make_directory("/mnt/ram/dir/closed");
	assert_return_code(chmod("/mnt/ram/dir/closed", 0711), errno);
	assert_return_code(mknod("/mnt/ram/dir/file", S_IFREG | 0644, 0), errno);
	assert_return_code(symlink("dir", "/mnt/ram/link"), errno);
	ram = mount_of("/mnt/ram");
	dir = inode_of("/mnt/ram/dir");
	closed = inode_of("/mnt/ram/dir/closed");
	file = inode_of("/mnt/ram/dir/file");

	begin(&ram);
	ask(LOOKUP_ACCESS, "", inode_of("/mnt/ram"));
	ask(LOOKUP_ACCESS, "dir/closed", closed);
	ask(LOOKUP_ACCESS, "dir/file", file);
	ask(LOOKUP_ACCESS, "dir/file", dir);
	ask(LOOKUP_ACCESS, "link", dir);
	ask(LOOKUP_ACCESS, "dir/none", dir);
	ask_entry("dir", dir, "file");
	ask_entry("dir", dir, "none");
	ask(LOOKUP_CHAIN, "dir", dir);
	assert_int_equal(batch_run(), 0);
	check_access(0, true, true);
	check_access(1, false, true);
	check_access(2, true, false);
	for (size_t i = 3; i < 6; i++)
		assert_int_equal(batch.reply.answers[i].error, -EXDEV);
	assert_int_equal(batch.reply.answers[6].error, 0);
	assert_int_equal(batch.reply.answers[6].inode, file);
	assert_int_equal(batch.reply.answers[7].error, -ENOENT);
	assert_int_equal(batch.reply.answers[8].error, -EXDEV);

	/* Something is mounted there: it is not looked into. */
	mount_tmpfs("/mnt/ram/dir", "mode=755");
	begin(&ram);
	ask(LOOKUP_ACCESS, "dir", dir);
	ask(LOOKUP_ACCESS, "../ram", dir);
	assert_int_equal(batch_run(), 0);
	assert_int_equal(batch.reply.answers[0].error, -EXDEV);
	assert_int_equal(batch.reply.answers[1].error, -EXDEV);
	assert_return_code(umount2("/mnt/ram/dir", UMOUNT_NOFOLLOW), errno);
	assert_return_code(umount2("/mnt/ram", UMOUNT_NOFOLLOW), errno);
}

static void set_effective(uint32_t capability, bool on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	assert_return_code((int)syscall(SYS_capget, &header, data), errno);
	if (on)
		data[0].effective |= 1U << capability;
	else
		data[0].effective &= ~(1U << capability);
	assert_return_code((int)syscall(SYS_capset, &header, data), errno);
}

/* Below what is mounted over it, without the right to mount: not known is not nowhere. */
static void test_not_asked_again(void **state)
{
	struct handle handle;
	struct mount mount;
	int fd;

	mount_tmpfs("/mnt/over", "mode=755");
	make_directory("/mnt/over/a");
	make_directory("/mnt/over/a/b");
	mount = mount_of("/mnt/over");
	fd = open("/mnt/over/a/b", O_PATH | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(handle_of(fd, &handle), 0);
	close(fd);
	mount_tmpfs("/mnt/over/a", "mode=755");

	for (unsigned int may = 0; may < 2; may++) {
		begin(&mount);
		ask(LOOKUP_CHAIN, NULL, 0)->handle = handle_view(&handle);
		set_effective(CAP_SYS_ADMIN, may);
		assert_int_equal(batch_run(), 0);
		set_effective(CAP_SYS_ADMIN, true);
		assert_int_equal(batch.reply.answers[0].error, may ? 0 : -EPERM);
	}
	assert_return_code(umount2("/mnt/over/a", UMOUNT_NOFOLLOW), errno);
	assert_return_code(umount2("/mnt/over", UMOUNT_NOFOLLOW), errno);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_not_asked_again),
	};
	int r;

	harness_enter();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	batch_deinit();
	return r;
}
