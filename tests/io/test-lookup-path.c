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

#include "daemon/core/cleanup.h"
#include "daemon/worker/job-lookup.h"
#include "daemon/worker/reach.h"
#include "tests/io/harness.h"

#define USER 4711
#define N 9

struct batch {
	struct lookup_request request;
	struct lookup_question questions[N];
	struct lookup_credential credential;
	void *bytes;
	struct lookup_reply reply;
};

static struct batch batch;

static void batch_init(const struct mount *mount)
{
	free(batch.bytes);
	lookup_reply_deinit(&batch.reply);
	batch = (struct batch){ .credential.uid = USER };
	batch.request = (struct lookup_request){
		.where = mount->where,
		.mount_id = mount->unique_id ? mount->unique_id : mount->id,
		.mount_id_is_unique = mount->unique_id != 0,
		.credentials = &batch.credential,
		.n_credentials = 1,
		.questions = batch.questions,
	};
}

static struct lookup_question *ask(enum lookup_kind kind, const char *path, uint64_t inode)
{
	struct lookup_question *question = &batch.questions[batch.request.n_questions++];

	*question = (struct lookup_question){ .kind = kind, .path = path, .inode = inode };
	return question;
}

static void ask_entry(const char *path, uint64_t inode, const char *name)
{
	struct lookup_question *question = ask(LOOKUP_ENTRY, path, inode);

	question->name = name;
	question->n_name = strlen(name);
}

static int run(void)
{
	_cleanup_free_ void *payload = NULL;
	size_t n;

	assert_return_code(lookup_request_encode(&batch.request, &payload, &n), 0);
	assert_return_code(lookup_job(payload, n, &batch.bytes, &n), 0);
	assert_return_code(
		lookup_reply_decode(batch.bytes, n, batch.request.n_questions, &batch.reply), 0);
	return batch.reply.error;
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

	batch_init(&ram);
	ask(LOOKUP_ACCESS, "", inode_of("/mnt/ram"));
	ask(LOOKUP_ACCESS, "dir/closed", closed);
	ask(LOOKUP_ACCESS, "dir/file", file);
	ask(LOOKUP_ACCESS, "dir/file", dir);
	ask(LOOKUP_ACCESS, "link", dir);
	ask(LOOKUP_ACCESS, "dir/none", dir);
	ask_entry("dir", dir, "file");
	ask_entry("dir", dir, "none");
	ask(LOOKUP_CHAIN, "dir", dir);
	assert_int_equal(run(), 0);
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
	batch_init(&ram);
	ask(LOOKUP_ACCESS, "dir", dir);
	ask(LOOKUP_ACCESS, "../ram", dir);
	assert_int_equal(run(), 0);
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
		batch_init(&mount);
		ask(LOOKUP_CHAIN, NULL, 0)->handle = handle_view(&handle);
		set_effective(CAP_SYS_ADMIN, may);
		assert_int_equal(run(), 0);
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
	free(batch.bytes);
	lookup_reply_deinit(&batch.reply);
	return r;
}
